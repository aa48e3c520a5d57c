"""What shows of a tumor just beyond its label: partial volume, a halo, the roots of strands.

A tumor that is painted away within its label alone leaves them as a ring.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import bounding_box
from synbt_aug.volume import Spacing

#: What hangs on a tumor farther than this from its label, in mm, stays.
REACH_MM = 2.0

#: From its surroundings (0) to the tumor (1): what enhances more belongs to it.
_SHARE = 0.5

#: Surroundings lie this far from the label, in mm.
_AROUND_MM = (6.0, 12.0)

#: Noise is smoothed away by this much, in mm.
_SIGMA_MM = 0.6


def with_halo(pair: Tensor, mask: Tensor, spacing: Spacing, others: Tensor | None = None) -> Tensor:
    """A tumor's label and what hangs on it.

    Args:
        pair: Pre- and post-contrast signal in one unit, shape `(2, D, H, W)`.
        mask: The label, boolean, not empty, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        others: Voxels that are not to be touched, such as other tumors, boolean, same shape.

    Returns:
        Boolean, same shape and device as the mask: the mask and all voxels within `REACH_MM`, or a
        voxel along each axis, that hang together with it and enhance by `_SHARE` of the way from
        its surroundings to it. The mask alone where it enhances no more than these vary.
    """
    reach = [math.ceil((_AROUND_MM[1] + 3 * _SIGMA_MM) / mm) for mm in spacing]
    d, h, w = (
        slice(max(a - r, 0), min(b + r, n))
        for (a, b), r, n in zip(bounding_box(mask), reach, mask.shape, strict=True)
    )
    box = (d, h, w)
    inside = mask[box].cpu().numpy()
    rise = (pair[(1, *box)].double() - pair[(0, *box)].double()).cpu().numpy()
    smooth = ndimage.gaussian_filter(rise, [_SIGMA_MM / mm for mm in spacing])
    distance = ndimage.distance_transform_edt(~inside, sampling=spacing)
    free = np.ones_like(inside) if others is None else ~others[box].cpu().numpy()
    around = (distance > _AROUND_MM[0]) & (distance <= _AROUND_MM[1]) & free
    if not around.any():
        return mask
    outer, inner = np.median(smooth[around]), np.median(smooth[inside])
    spread = np.median(np.abs(smooth[around] - outer))
    if inner <= outer + spread:
        return mask
    bright = (smooth > outer + _SHARE * (inner - outer)) & free
    bright &= (distance <= REACH_MM) | ndimage.binary_dilation(inside)
    parts, _ = ndimage.label(bright | inside, np.ones((3, 3, 3)))
    whole = mask.clone()
    whole[box] = torch.from_numpy(np.isin(parts, np.unique(parts[inside]))).to(mask.device)
    return whole
