"""Five tissues of a pre-contrast scan: any contrast, resolution, orientation and field of view.

`TissueSegmenter` brings a scan to the network's grid and scale and its answer back; the network
is in `network.py`, what it learns from in `labels_to_image.py`, the training in `train/tissue.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.networks.precision import (
    AUTO,
    autocast,
    check_precision,
    choose,
    prepared,
)
from synbt_aug.networks.tensor_files import load_tensors, mismatch, save_tensors, shapes_in
from synbt_aug.signal.intensity import sorted_values
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.support.files import check_output_folder, read_json, sha256_of, write_json
from synbt_aug.tissue.channels_last import probabilities
from synbt_aug.tissue.network import NetworkSettings, TissueNetwork
from synbt_aug.tissue.tissue_map import TissueMap, to_grid
from synbt_aug.volume import Spacing

#: The name of the segmenter that comes with the package.
SHIPPED = "shipped"

#: Percentiles of the signal that become -1 and 1.
PERCENTILES = (0.01, 0.99)

#: The brightest that is passed on: a hot spot under a coil stays below it.
BRIGHTEST = 3.0

#: What is no signal looks like air.
_NOTHING = -1.0

#: Voxels that the percentiles are read from; they settle far below that.
_SAMPLE = 65_536


def normalise(volume: Tensor, valid: Tensor | None = None) -> Tensor:
    """Bring a scan to the network's scale: its own 1st and 99th percentile become -1 and 1.

    Args:
        volume: Signal of any scale, shape `(d, h, w)`, floating point.
        valid: Voxels that carry signal, boolean, same shape; the others become -1.

    Returns:
        Shape `(d, h, w)`, float32, in [-2, 3].
    """
    seen = volume.flatten() if valid is None else volume[valid]
    if seen.numel() == 0:
        return torch.full_like(volume, _NOTHING, dtype=torch.float32)
    # Every k-th voxel rather than a draw: the same scan gives the same map.
    sample = sorted_values(seen[:: max(1, seen.numel() // _SAMPLE)].float())
    low, high = (sample[round(p * (len(sample) - 1))] for p in PERCENTILES)
    scaled = 2 * (volume.float() - low) / (high - low).clamp_min(1e-6 * high.abs() + 1e-12) - 1
    scaled = scaled.clamp(2 * _NOTHING, BRIGHTEST)
    return scaled if valid is None else torch.where(valid, scaled, _NOTHING)


class TissueSegmenter:
    """Finds breast fat, fibroglandular tissue, skin and what lies behind the breast.

    Args:
        network: Trained.
        card: How it was trained, JSON-ready.
        precision: "fp32", "bf16" or "fp16", of the network; "auto" takes bf16 where the device is
            fast at it (`networks/precision.py`).

    Raises:
        SynBTError: If there is no such precision.

    Source:
        Billot et al., "SynthSeg", Medical Image Analysis 86, 2023: a network that learned from
        label maps and random contrasts alone.
    """

    def __init__(
        self,
        network: TissueNetwork,
        card: Mapping[str, Any] | None = None,
        precision: str = "fp32",
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.card = dict(card or {})
        self.precision = check_precision(precision)
        if precision == AUTO:
            device = next(network.parameters()).device
            with plain_torch((device,)):
                self.precision = choose(self._small_scan, device, "the network for tissues")
        self._ready = prepared(self.network, self.precision)

    @torch.no_grad()
    def _small_scan(self, precision: str) -> tuple[Tensor]:
        """Logits of a small scan of noise."""
        s, device = self.network.settings, next(self.network.parameters()).device
        x = torch.randn((1, 1, *(s.min_side,) * 3), generator=torch.Generator().manual_seed(0))
        with autocast(precision, device):
            return (prepared(self.network, precision)(x.to(device)),)

    @torch.no_grad()
    def __call__(self, pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
        """Segment.

        Args:
            pre: The pre-contrast scan, any scale and axis order, shape `(D, H, W)`.
            spacing: Voxel size, in mm.
            valid: Voxels that carry signal, boolean, shape `(D, H, W)`.

        Returns:
            Probabilities on a grid of about 2 mm, on the scan's device.
        """
        settings = self.network.settings
        here = next(self.network.parameters()).device
        with plain_torch({pre.device, here}):
            coarse = to_grid(pre[None], spacing, settings.grid_mm)[0]
            seen = None
            if valid is not None and not bool(valid.all()):
                seen = to_grid(valid[None], spacing, settings.grid_mm)[0] >= 0.5
            x = normalise(coarse, seen)
            d, h, w = x.shape
            probability = self._probabilities(self._padded(x).to(here))[:, :d, :h, :w].to(
                pre.device
            )
        n_d, n_h, n_w = pre.shape
        return TissueMap(probability, (n_d, n_h, n_w), spacing)

    def _probabilities(self, x: Tensor) -> Tensor:
        """Of a whole scan, `(d, h, w)` -> `(5, d, h, w)`, float32."""
        if x.device.type == "cpu" and self.precision != "fp32":
            return probabilities(self._ready, x)
        with autocast(self.precision, x.device):
            return self._ready(x[None, None])[0].float().softmax(0)

    def _padded(self, x: Tensor) -> Tensor:
        """Repeat the last planes until the sides suit the network: a crop's end is no skin."""
        s = self.network.settings
        for axis, n in enumerate(x.shape):
            wanted = max(-(-n // s.divisor) * s.divisor, s.min_side)
            if wanted > n:
                index = torch.arange(wanted, device=x.device).clamp_max(n - 1)
                x = x.index_select(axis, index)
        return x

    def save(self, folder: str | Path) -> Path:
        """Write `tissue.safetensors` (float16) and `tissue.json` with its SHA-256.

        Returns:
            The folder.
        """
        folder = check_output_folder(folder)
        path = folder / "tissue.safetensors"
        save_tensors(path, {k: v.half() for k, v in sorted(self.network.state_dict().items())})
        facts = {"settings": self.network.settings.to_dict(), "sha256": sha256_of(path)}
        write_json(folder / "tissue.json", {**facts, "card": self.card})
        return folder


def load_segmenter(
    name: str | Path = SHIPPED,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
) -> TissueSegmenter:
    """Load a trained segmenter, after checking its file.

    Args:
        name: "shipped", or the folder that `synbt train tissue` wrote.
        precision: As for `TissueSegmenter`.
        device: Where the network runs.

    Raises:
        SynBTError: If it is not there, damaged, or of another shape.
    """
    folder = shipped_segmenter() if str(name) == SHIPPED else Path(name)
    path = folder / "tissue.safetensors"
    if not path.is_file():
        raise SynBTError(
            f"tissue needs {SHIPPED!r} or a folder with tissue.safetensors, got {str(name)!r}. "
            f"`synbt train tissue -o FOLDER` writes one."
        )
    facts = read_json(folder / "tissue.json", "the settings of a tissue segmenter")
    if sha256_of(path) != facts.get("sha256"):
        raise SynBTError(
            f"{path} is damaged: its SHA-256 is not that of tissue.json. Copy both again"
            + (
                ", or reinstall: pip install --force-reinstall synbt-aug."
                if str(name) == SHIPPED
                else "."
            )
        )
    try:
        settings = NetworkSettings.from_dict(facts.get("settings"))
        told = mismatch(lambda: TissueNetwork(settings), shapes_in(path))
    except SynBTError as error:
        told = str(error)
    if told:
        raise SynBTError(
            f"{path} does not fit this version of synbt-aug ({told}). Train again with `synbt "
            f"train tissue`."
        )
    # A new network draws its first weights, which are overwritten, from the caller's generator.
    with plain_torch(), torch.random.fork_rng(devices=[]):
        network = TissueNetwork(settings)
        network.load_state_dict({k: v.float() for k, v in load_tensors(path).items()})
    return TissueSegmenter(network.to(device), facts.get("card", {}), precision)


def shipped_segmenter() -> Path:
    """Where the installed package keeps the shipped segmenter."""
    import synbt_aug_weights

    return Path(synbt_aug_weights.__file__).parent / "tissue"
