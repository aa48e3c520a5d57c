"""What goes in and what comes out: a breast MRI, and the same MRI with a tumor.

Values only. They check their shapes once, at the door, and hold no networks, files or
random state.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError

Spacing = tuple[float, float, float]

#: Most post-contrast scans of one case.
MAX_PHASES = 8

#: Voxel sizes that a breast scan may have.
SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.05, 20.0


@dataclass(frozen=True)
class BreastVolume:
    """Pre- and post-contrast MRI on one voxel grid.

    A tumor is painted into pre and one post-contrast scan, and follows its kinetic curve in
    further ones. The axes may lie in any of the 48 orders and directions; nothing here knows
    "anterior".

    Args:
        image: Signal in any scale and dtype, shape `(2, D, H, W)`; channel 0 is
            pre-contrast, channel 1 post-contrast. Further post-contrast scans of the series, up
            to 7, may follow in order of time: `(2 + P, D, H, W)`.
        spacing: Voxel size along D, H and W, in mm.
        tumor: Tumors that are there already, boolean, shape `(D, H, W)`; nothing is painted
            on them.
        forbidden: Other places where nothing may go, boolean, shape `(D, H, W)`.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`; False where a host
            filled with zeros (padding, nnU-Net's nonzero mask). None means all.
        roi: Where a tumor may go, in place of what its tissues say: a mask (what is above 0), or
            weights in [0, 1], how likely its centre is there, shape `(D, H, W)`. None asks the
            tissues.
        earlier: How many of the further scans were taken before channel 1; the rest after it.

    Raises:
        SynBTError: If a shape, the spacing or a value is not as said, or the image is
            constant.
    """

    image: Tensor
    spacing: Spacing = (1.0, 1.0, 1.0)
    tumor: Tensor | None = None
    forbidden: Tensor | None = None
    valid: Tensor | None = None
    roi: Tensor | None = None
    earlier: int = 0

    def __post_init__(self) -> None:
        image = self.image
        if not isinstance(image, Tensor):
            raise SynBTError(
                f"BreastVolume needs a torch tensor, got {type(image).__name__}. Convert an array "
                f"with torch.from_numpy(array)."
            )
        if image.ndim != 4 or not 2 <= image.shape[0] <= 1 + MAX_PHASES:
            raise SynBTError(
                f"BreastVolume needs an image of shape (2, D, H, W), got {tuple(image.shape)}. "
                f"Stack the pre- and post-contrast scans with torch.stack([pre, post]); up to "
                f"{MAX_PHASES - 1} further phases may follow."
            )
        if not 0 <= self.earlier <= image.shape[0] - 2:
            raise SynBTError(
                f"earlier is how many of the {image.shape[0] - 2} further scans were taken before "
                f"channel 1, got {self.earlier}."
            )
        if min(image.shape[1:]) < 2:
            raise SynBTError(
                f"BreastVolume needs a 3D image, got {tuple(image.shape)}: an axis of one voxel. "
                f"Pass whole volumes, not slices."
            )
        try:
            spacing = tuple(float(mm) for mm in self.spacing)
        except (TypeError, ValueError):
            spacing = ()
        if len(spacing) != 3 or not all(
            SMALLEST_SPACING_MM <= mm <= LARGEST_SPACING_MM for mm in spacing
        ):
            raise SynBTError(
                f"BreastVolume needs three voxel sizes in mm ({SMALLEST_SPACING_MM:g} to "
                f"{LARGEST_SPACING_MM:g}), got {self.spacing}. "
                f"For 1 mm voxels pass spacing=(1.0, 1.0, 1.0)."
            )
        object.__setattr__(self, "spacing", spacing)
        check_type(image, "BreastVolume")
        # What is painted is data: no gradient goes through it.
        object.__setattr__(self, "image", image.detach() if image.requires_grad else image)
        image = self.image
        for name in ("tumor", "forbidden", "valid", "roi"):
            self._check_mask(name)
        if image.is_floating_point() and not bool(torch.isfinite(image).all()):
            count = int((~torch.isfinite(image)).sum())
            raise SynBTError(
                f"BreastVolume needs finite signal, got {count} NaN or infinite voxels. Replace "
                f"them, for example with torch.nan_to_num(image), and mark them in valid=."
            )
        for number, channel in enumerate(image):
            if bool(channel.amin() == channel.amax()):
                raise SynBTError(
                    f"BreastVolume needs signal, but the {channel_name(number)} channel is "
                    f"constant ({channel.flatten()[0].item():g} in every voxel). Check the file."
                )

    @classmethod
    def unchecked(
        cls, image: Tensor, spacing: Spacing, valid: Tensor | None = None
    ) -> BreastVolume:
        """A volume of values that were looked at before, and are not read from their device again.

        Args:
            image: As for the class.
            spacing: Likewise.
            valid: Likewise, boolean, on the image's device.
        """
        volume = object.__new__(cls)
        values = {"image": image, "spacing": spacing, "valid": valid, "earlier": 0}
        for name in ("image", "spacing", "tumor", "forbidden", "valid", "roi", "earlier"):
            object.__setattr__(volume, name, values.get(name))
        return volume

    def with_image(self, image: Tensor) -> BreastVolume:
        """The same with another image of the same grid, which is not looked at again."""
        volume = copy.copy(self)
        object.__setattr__(volume, "image", image)
        return volume

    def _check_mask(self, name: str) -> None:
        mask: Tensor | None = getattr(self, name)
        if mask is None:
            return
        if not isinstance(mask, Tensor):
            raise SynBTError(
                f"BreastVolume needs {name} as a torch tensor, got {type(mask).__name__}. Convert "
                f"an array with torch.from_numpy(array)."
            )
        if mask.shape != self.image.shape[1:]:
            raise SynBTError(
                f"BreastVolume needs {name} of shape {tuple(self.image.shape[1:])}, the image's "
                f"grid, got {tuple(mask.shape)}. Resample the mask to the image first."
            )
        mask = mask.detach()
        if name == "roi":
            mask = _mask_or_weights(mask)
        dtype = torch.float32 if mask.is_floating_point() and name == "roi" else torch.bool
        object.__setattr__(self, name, mask.to(device=self.image.device, dtype=dtype))

    @property
    def further(self) -> int:
        """How many post-contrast scans there are besides channel 1."""
        return int(self.image.shape[0]) - 2

    @property
    def pair(self) -> BreastVolume:
        """Pre and the painted post alone; the volume itself where there is nothing else."""
        if not self.further:
            return self
        return replace(self, image=self.image[:2], earlier=0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along D, H and W."""
        d, h, w = self.image.shape[1:]
        return int(d), int(h), int(w)


def channel_name(channel: int) -> str:
    """What a channel of a volume holds, in words: 0 is pre-contrast."""
    named = ("pre-contrast", "post-contrast")
    return named[channel] if channel < 2 else f"further phase {channel - 1}"


def check_type(tensor: Tensor, who: str, what: str = "real-valued signal") -> None:
    """See that a tensor holds real numbers of a type that torch calculates with.

    Args:
        tensor: Of any shape.
        who: What the user called.
        what: What it needs.

    Raises:
        SynBTError: If it does not.
    """
    if tensor.is_complex() or tensor.is_quantized or tensor.dtype == torch.bool:
        raise SynBTError(
            f"{who} needs {what}, got {tensor.dtype}. Convert it, for example with "
            f"tensor.abs() of complex signal or tensor.float()."
        )
    if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64):
        raise SynBTError(
            f"{who} needs {what} of a type that torch can calculate with, got {tensor.dtype}. "
            f"Convert it with tensor.to(torch.int32) or tensor.float()."
        )


def _mask_or_weights(roi: Tensor) -> Tensor:
    """A mask where all values are whole, as files of masks are often floating point."""
    if not roi.is_floating_point() or bool((roi == roi.round()).all()):
        return roi > 0
    low, high = (float(v) for v in roi.aminmax())
    if not (low >= 0 and high <= 1):  # so, too, where a voxel is NaN
        raise SynBTError(
            f"BreastVolume needs a roi of weights from 0 to 1, got {low:g} to {high:g}. Divide "
            f"it by its maximum, or pass a mask, roi > 0."
        )
    return roi


@dataclass(frozen=True)
class Synthesis:
    """A volume after painting, or unchanged with a reason.

    Args:
        image: Shape `(2 + P, D, H, W)`, channels, dtype and device of the input.
        tumor: The new tumor's label, boolean, shape `(D, H, W)`; all False for null paints,
            removals and unchanged cases.
        support: Voxels that may differ from the input, boolean, shape `(D, H, W)`.
        recipe: What is needed to paint the same again, JSON-ready; None where nothing was
            painted.
        reason: Why nothing was painted; None where something was.
        measure: Measures what came out.
    """

    image: Tensor
    tumor: Tensor
    support: Tensor
    recipe: dict[str, Any] | None = None
    reason: str | None = None
    measure: Callable[[], dict[str, Any]] = field(default=dict, repr=False, compare=False)

    @cached_property
    def measured(self) -> dict[str, Any]:
        """What came out, JSON-ready: diameters in mm, appearance, visibility.

        Measured when it is first read: training does not read it.
        """
        return self.measure()

    def __getstate__(self) -> dict[str, Any]:
        # What measures holds the whole case.
        return {**self.__dict__, "measured": self.measured, "measure": dict}

    @property
    def painted(self) -> bool:
        """Whether any voxel may differ from the input."""
        return self.reason is None


def unchanged(image: Tensor, reason: str) -> Synthesis:
    """The case as it came, and why. `image` has shape `(2 + P, D, H, W)`."""
    nothing = torch.zeros(image.shape[1:], dtype=torch.bool, device=image.device)
    return Synthesis(image, tumor=nothing, support=nothing, reason=reason)
