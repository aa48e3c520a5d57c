"""Masks as bits: an eighth of the bytes to be copied to a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def bits_of(masks: Sequence[Tensor]) -> Tensor:
    """Masks of one shape, packed.

    Args:
        masks: B of them, boolean, on the CPU.

    Returns:
        Shape `(B, n)`, uint8, on the CPU.
    """
    rows = torch.stack(list(masks)).flatten(1).numpy()
    return torch.from_numpy(np.packbits(rows, axis=1))


def masks_of(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `bits_of`, on the device of the bits.

    Args:
        bits: Shape `(B, n)`.
        shape: Of a mask.

    Returns:
        Boolean, shape `(B, *shape)`.
    """
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    # A last byte may be longer than the mask.
    count = torch.Size(shape).numel()
    single = bits[..., None].bitwise_right_shift(places).bitwise_and_(1).flatten(1)
    return single[:, :count].to(torch.bool).unflatten(1, tuple(shape))
