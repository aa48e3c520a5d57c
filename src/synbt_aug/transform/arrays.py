"""Arrays of any type that a host may hold: what torch can calculate with, and the way back.

torch stores unsigned integers of 16 bits and more, but neither compares nor indexes them: they
are widened here, painted, and cut to their own range. What is written is written by index; all
other voxels are copies.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def calculable(tensor: Tensor) -> Tensor:
    """The same values in a type that torch calculates with, without a gradient; no copy if fit."""
    return tensor.detach().to(_WIDER.get(tensor.dtype, tensor.dtype))


def signal_of(tensor: Tensor, what: str) -> Tensor:
    """An image as `calculable`.

    Args:
        tensor: Any shape.
        what: The image's name, for errors.

    Raises:
        SynBTError: If its values are no signal.
    """
    if tensor.is_complex():
        raise SynBTError(
            f"{what} needs real-valued signal, got {tensor.dtype}. Take the magnitude first: "
            f"image.abs()."
        )
    if tensor.dtype == torch.bool:
        raise SynBTError(f"{what} needs signal, got {tensor.dtype}: this is a mask.")
    return calculable(tensor)


def check_holds(dtype: torch.dtype, value: int, what: str) -> None:
    """See that a label can hold the value of tumors.

    Args:
        dtype: The label's.
        value: `tumor_label`.
        what: The label's name, for the error.

    Raises:
        SynBTError: If its type cannot.
    """
    if not _holds(dtype, value):
        raise SynBTError(
            f"tumor_label is {value}, more than the type of {what} holds ({dtype}). Convert the "
            f"label, or choose a smaller tumor_label."
        )


def _holds(dtype: torch.dtype, value: int) -> bool:
    # Integers wrap around, and floats skip whole numbers beyond their mantissa.
    return not dtype.is_complex and bool(torch.tensor(value).to(dtype).item() == value)


def painted_image(image: Tensor, channels: Mapping[int, Tensor], support: Tensor) -> Tensor:
    """A copy of an image with new values in some channels.

    Args:
        image: Shape `(C, D, H, W)`, any type.
        channels: New values by channel, each of shape `(D, H, W)`.
        support: Where they count, boolean, shape `(D, H, W)`.

    Returns:
        Shape and type of the image; integers are rounded and cut to what the type holds.
    """
    new = calculable(image).clone()
    for channel, values in channels.items():
        new[channel][support] = _in_range(values[support], image.dtype).to(new.dtype)
    return new.to(image.dtype)


def _in_range(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values that another type holds; only where the types differ is anything to do."""
    if values.dtype == dtype:
        return values
    if dtype.is_floating_point:
        limit = torch.finfo(dtype).max
        return values.clamp(-limit, limit)
    whole = values.round() if values.is_floating_point() else values
    return whole.clamp(torch.iinfo(dtype).min, largest_of(dtype))


def largest_of(dtype: torch.dtype) -> int:
    """The largest number of an integer type that torch can compare with."""
    return min(torch.iinfo(dtype).max, torch.iinfo(torch.int64).max)


def painted_label(label: Tensor, tumor: Tensor, value: int) -> Tensor:
    """A copy of a label with a new tumor.

    Args:
        label: Shape `(1, D, H, W)`, any type that holds the value.
        tumor: Boolean, shape `(D, H, W)`.
        value: Of tumors.
    """
    new = calculable(label).clone()
    new[0][tumor] = value
    return new.to(label.dtype)
