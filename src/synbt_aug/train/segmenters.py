"""The three segmentation networks of the paper's Table 1, by MONAI: U-Net, nnU-Net's, SwinUNETR.

"nnunet" is nnU-Net's architecture (plain convolutions, as its planner lays them out) in our own
training loop; nnU-Net itself trains with `nnUNetv2_train`, see docs/segmentation.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai.networks.nets import DynUNet, SwinUNETR, UNet
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.files import read_json

NETWORKS = ("unet", "nnunet", "swinunetr")
# Patch embedding and four mergings halve each side five times.
_SWIN_DIVISOR = 32
_TWICE = "network.skip_layers."


@dataclass(frozen=True)
class SegmenterSettings:
    """Shape of a segmentation network.

    Args:
        name: One of `NETWORKS`.
        channels: By level, from the finest; of "swinunetr" one number, a multiple of 12.
        window: Side of the attention windows of "swinunetr".
        norm: "instance", MONAI's and nnU-Net's; or "group", four groups, which also works where
            the coarsest level of a small field of view is a single voxel.
        checkpointing: Of "swinunetr": compute activations twice to save memory.

    Raises:
        SynBTError: If there is no such network or norm, or the channels do not fit it.
    """

    name: str
    channels: tuple[int, ...]
    window: int = 7
    norm: str = "instance"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise SynBTError(f"--network takes one of {', '.join(NETWORKS)}, got {self.name!r}.")
        if self.norm not in ("instance", "group"):
            raise SynBTError(f"norm needs 'instance' or 'group', got {self.norm!r}.")
        if self.name == "swinunetr":
            if len(self.channels) != 1 or self.channels[0] % 12:
                raise SynBTError(
                    f"swinunetr takes one number of channels, a multiple of 12, got "
                    f"{self.channels}. Write channels=(12,)."
                )
        elif len(self.channels) < 2:
            raise SynBTError(f"{self.name} needs channels of two levels, got {self.channels}.")

    @property
    def divisor(self) -> int:
        """What the sides of its input are multiples of, in voxels."""
        return _SWIN_DIVISOR if self.name == "swinunetr" else 2 ** (len(self.channels) - 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SegmenterSettings:
        """Read what `to_dict` wrote."""
        return cls(**{**values, "channels": tuple(values["channels"])})


class Segmenter(nn.Module):
    """Pre and post in, logits of background and tumor out.

    Args:
        settings: Its shape. No network has running statistics or dropout: a sample's answer does
            not depend on the others of its batch.

    Shape:
        `(B, 2, D, H, W)` mapped intensities -> `(B, 2, D, H, W)` logits; D, H, W multiples of
        `settings.divisor`.

    Source:
        MONAI's `UNet` (Kerfoot et al., 2018), `DynUNet` laid out as nnU-Net does (Isensee et
        al., 2021) without its deep supervision, `SwinUNETR` (Hatamizadeh et al., 2022).
    """

    def __init__(self, settings: SegmenterSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = _network(settings)

    def forward(self, q: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.network(q)
        return logits

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Every weight once: MONAI's `DynUNet` holds its levels a second time as skip layers."""
        state = super().state_dict(*args, **kwargs)
        return {key: value for key, value in state.items() if _TWICE not in key}

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """The inverse of `state_dict`.

        Raises:
            RuntimeError: If a weight is missing, of another shape, or of no use here.
        """
        found = super().load_state_dict(state, strict=False, assign=assign)
        missing = [key for key in found.missing_keys if _TWICE not in key]
        if strict and (missing or found.unexpected_keys):
            raise RuntimeError(f"missing {missing}, unexpected {found.unexpected_keys}")
        return found


def _network(s: SegmenterSettings) -> nn.Module:
    groups = ("group", {"num_groups": 4})
    if s.name == "swinunetr":
        if "window_size" not in inspect.signature(SwinUNETR).parameters:
            raise SynBTError("swinunetr needs MONAI 1.5 or newer: pip install 'monai>=1.5'.")
        return SwinUNETR(
            2,
            2,
            feature_size=s.channels[0],
            window_size=s.window,
            norm_name="instance" if s.norm == "instance" else groups,
            use_checkpoint=s.checkpointing,
        )
    levels = len(s.channels)
    affine = ("instance", {"affine": True})
    if s.name == "nnunet":
        return DynUNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=2,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(s.channels),
            norm_name=affine if s.norm == "instance" else groups,
        )
    return UNet(
        spatial_dims=3,
        in_channels=2,
        out_channels=2,
        channels=s.channels,
        strides=(2,) * (levels - 1),
        num_res_units=2,
        norm="instance" if s.norm == "instance" else groups,
    )


def load_trained(folder: str | Path, name: str = "best") -> Segmenter:
    """Load what `train_segmentation` wrote, on the CPU, ready to predict.

    Args:
        folder: Of the training.
        name: "best", by the validation's Dice.

    Raises:
        SynBTError: If it is not there, or damaged.
    """
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise SynBTError(
            f"{folder} holds no trained segmenter: {path.name} is missing. Give the output folder "
            f"of `synbt train segmentation`."
        )
    facts = read_json(path.with_suffix(".json"), "the settings of a trained segmenter")
    try:
        segmenter = Segmenter(SegmenterSettings.from_dict(facts["settings"]))
        segmenter.load_state_dict(load_file(path))
    except (KeyError, TypeError, SafetensorError, OSError, RuntimeError) as error:
        raise SynBTError(
            f"{path} is damaged, or does not fit {path.stem}.json beside it "
            f"({first_line(error)}). Copy both again, or train again."
        ) from error
    return segmenter.eval().requires_grad_(False)
