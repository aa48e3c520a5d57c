"""Does an image look clipped? Tumors are to be painted before anything clips.

On a real case 96 % of a tumor's voxels lie above the volume's 99.5th percentile: painted after a
clip, a tumor would stand above everything else in the image, its own kind cut flat. Only the
upper end counts; air and masked background pile up at the lower one by themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: A share from here on is no accident: a scan reaches its maximum in a voxel or two, a clip at
#: the 99.9th percentile leaves a thousandth of the voxels there.
CLIPPED_SHARE = 5e-4

#: So few voxels at the maximum say nothing, however small the crop.
_FEW = 8


def clipped_share(image: Tensor, valid: Tensor | None = None) -> float:
    """Share of voxels that lie exactly at the maximum of their channel.

    Args:
        image: Shape `(C, D, H, W)`, any scale and dtype.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`. None: all.

    Returns:
        That of the channel with the largest share, from 0 to 1; 0 where no channel has eight
        such voxels, and for channels without any contrast.
    """
    largest = 0.0
    for channel in image:
        voxels = channel.flatten() if valid is None else channel[valid]
        if len(voxels) == 0:
            continue
        low, high = torch.aminmax(voxels)
        count = int((voxels == high).sum())
        if count >= _FEW and bool(high > low):
            largest = max(largest, count / len(voxels))
    return largest


def looks_clipped(image: Tensor, valid: Tensor | None = None) -> bool:
    """Whether `clipped_share` is too large for a scan as it came; arguments as there."""
    return clipped_share(image, valid) >= CLIPPED_SHARE


def order_advice(what: str) -> str:
    """The sentence of the warning; `what` says what was seen, as a clause."""
    return (
        f"SynBT: {what}. Tumors are painted into linear signal: put the SynBT transform before "
        f"gamma, clipping, histogram and noise transforms."
    )


def clipped_advice(share: float) -> str:
    """`order_advice` for an image that looks clipped."""
    return order_advice(
        f"{share:.1%} of the voxels lie exactly at the image's maximum: it looks clipped"
    )
