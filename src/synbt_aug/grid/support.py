"""What may change around a label, and pieces of a label that are too small to be one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import distance_mm
from synbt_aug.support.device import sent
from synbt_aug.volume import Spacing

#: The support ends this far from the label, or one voxel an axis.
SUPPORT_MM = 2.0

#: Pieces of a tumor smaller than a sphere of this diameter, which has a latent cell's volume, are
#: islets where they are a small share of it, too: nobody sees them.
ISLET_MM = 5.0
ISLET_SHARE = 0.05

#: The same of a tumor with an outline of its own, whose nodules are painted at 1 mm.
NODULE_MM = 2.0


def beside(label: Tensor, spacing: Spacing) -> Tensor:
    """Voxels within 2 mm, or one voxel an axis, of labels, boolean, shape `(B, m, n, o)`."""
    if not label.numel():
        return label
    touching = touched(label)
    if label.device.type == "cpu":
        rows = [distance_mm(row, spacing, SUPPORT_MM + max(spacing)) <= SUPPORT_MM for row in label]
        return torch.stack(rows) | touching
    # One convolution with a ball in place of a distance, which takes a hundred launches.
    kernel = _ball(spacing, label.device)
    reach = [length // 2 for length in kernel.shape[2:]]
    near = F.conv3d(label[:, None].to(torch.float32), kernel, padding=reach)[:, 0]
    return (near > 0.5) | touching


@lru_cache(maxsize=32)
def _ball(spacing: Spacing, device: torch.device) -> Tensor:
    """Voxels within 2 mm of the middle one, 1 or 0, shape `(1, 1, i, j, k)`."""
    reach = [int(SUPPORT_MM / mm) for mm in spacing]
    axes = [torch.arange(-r, r + 1) * mm for r, mm in zip(reach, spacing, strict=True)]
    ball = sum(a.square() for a in torch.meshgrid(*axes, indexing="ij")) <= SUPPORT_MM**2 + 1e-6
    return sent(torch.as_tensor(ball, dtype=torch.float32), device)[None, None]


def touched(mask: Tensor) -> Tensor:
    """Masks and the voxels beside them, over corners, too, boolean, shape `(B, m, n, o)`."""
    if mask.device.type != "cpu":
        return F.max_pool3d(mask.to(torch.float32), 3, 1, 1) > 0
    # There a maximum of floats takes 40 times as long as shifted bits.
    for axis in (-3, -2, -1):
        before, mask, far = mask, mask.clone(), mask.shape[axis] - 1
        mask.narrow(axis, 1, far).logical_or_(before.narrow(axis, 0, far))
        mask.narrow(axis, 0, far).logical_or_(before.narrow(axis, 1, far))
    return mask


def islets(
    mask: Tensor, min_voxels: float, min_share: float, *, corners: bool = False
) -> Tensor | None:
    """Pieces of a mask that are both small and few of its voxels.

    Args:
        mask: Boolean, shape `(D, H, W)`; voxels that share a face are one piece.
        min_voxels: A piece of so many is none.
        min_share: Nor is one of this share of the largest piece.
        corners: Voxels that share a corner are one piece, too, as those of thin strands do.

    Returns:
        The voxels of such pieces, boolean, same shape and device; None where there are none.
    """
    touching = np.ones((3, 3, 3)) if corners else None
    parts, count = ndimage.label(mask.cpu().numpy(), touching)
    if count < 2:
        return None
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    small = np.flatnonzero(sizes < min(min_voxels, min_share * sizes.max())) + 1
    return torch.from_numpy(np.isin(parts, small)).to(mask.device) if len(small) else None
