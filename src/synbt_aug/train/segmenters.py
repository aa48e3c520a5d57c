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
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.networks.plain_settings import check_widths, from_plain
from synbt_aug.support.number import check_whole
from synbt_aug.train.files import load_network, read_facts

NETWORKS = ("unet", "nnunet", "swinunetr")
# Patch embedding and four mergings halve each side five times.
_SWIN_DIVISOR = 32
_GROUPS = 4
_LEAST_LEVELS = {"unet": 2, "nnunet": 3}
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
        check_widths("channels", self.channels, levels=(1, 8))
        check_whole("window", self.window, 1, 64)
        if not isinstance(self.checkpointing, bool):
            raise SynBTError(f"checkpointing needs true or false, got {self.checkpointing!r}.")
        if self.norm == "group" and any(width % _GROUPS for width in self.channels):
            raise SynBTError(
                f"norm 'group' needs channels that {_GROUPS} divides, got {self.channels}."
            )
        if self.name == "swinunetr":
            if len(self.channels) != 1 or self.channels[0] % 12 or self.channels[0] > 96:
                raise SynBTError(
                    f"swinunetr takes one number of channels, a multiple of 12 up to 96, got "
                    f"{self.channels}. Write channels=(12,)."
                )
        elif len(self.channels) < _LEAST_LEVELS[self.name]:
            raise SynBTError(
                f"{self.name} needs channels of {_LEAST_LEVELS[self.name]} levels, got "
                f"{self.channels}."
            )

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
        return from_plain(cls, values)


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
    groups = ("group", {"num_groups": _GROUPS})
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
    settings = SegmenterSettings.from_dict(read_facts(folder, name)["settings"])
    # MONAI's SwinUNETR reads tensors while it is made, which those on "meta" do not let it.
    device = "cpu" if settings.name == "swinunetr" else "meta"
    segmenter = load_network(lambda: Segmenter(settings), path, device=device)
    return segmenter.eval().requires_grad_(False)
