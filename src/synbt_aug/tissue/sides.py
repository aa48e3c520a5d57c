"""Which breast is which: the parts of a site map that belong to one side."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from synbt_aug.tissue.masks import within

#: Depths at which two breasts that touch are told apart, in mm.
_DEPTHS_MM = (0.0, 5.0, 8.0, 11.0)

#: A second breast holds at least this share of the first, and this many cm3.
_SHARE = 0.2
_CM3 = 8.0


def sides(
    inside: np.ndarray,
    outside: np.ndarray,
    grid_mm: tuple[float, float, float],
    surface_mm: float = 0.0,
) -> np.ndarray:
    """Number the breasts.

    Two that are joined by thin tissue between them are parted at the least depth that does.

    Args:
        inside: Breast, boolean, shape `(d, h, w)`.
        outside: What depths are measured from, boolean, same shape.
        grid_mm: Voxel size, in mm.
        surface_mm: How far from the centres of those voxels the surface lies.

    Returns:
        1, 2, ... by breast, 0 elsewhere; same shape. All 1 where there is one breast.
    """
    voxel_cm3 = math.prod(grid_mm) / 1000
    for least in _DEPTHS_MM:
        parts, count = ndimage.label(inside & ~within(outside, least + surface_mm, grid_mm))
        if count < 2:
            continue
        cm3 = np.bincount(parts.ravel(), minlength=count + 1) * voxel_cm3
        cm3[0] = 0
        large = np.flatnonzero((cm3 >= _SHARE * cm3.max()) & (cm3 >= _CM3))
        if len(large) < 2:
            continue
        seeds = np.where(np.isin(parts, large), parts, 0)
        nearest = ndimage.distance_transform_edt(
            seeds == 0, sampling=grid_mm, return_distances=False, return_indices=True
        )
        return np.where(inside, seeds[tuple(nearest)], 0)
    return inside.astype(np.int32)
