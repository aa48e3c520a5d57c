"""Neighbours in boolean arrays: `scipy.ndimage`'s answers in a tenth of the time.

A shifted array and a logical operation take 30 microseconds where an erosion there takes 5 ms, and
whether anything lies within some millimetres needs no distance to everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def dilated(mask: np.ndarray, times: int = 1) -> np.ndarray:
    """The mask and the voxels that share a face with it, as often as asked."""
    for _ in range(times):
        before, mask = mask, mask.copy()
        for axis in range(mask.ndim):
            _or_shifted(mask, before, axis, 1)
    return mask


def eroded(mask: np.ndarray, *, beyond: bool = False) -> np.ndarray:
    """The voxels all of whose faces are shared with the mask.

    Args:
        mask: Boolean.
        beyond: Whether what lies beyond the array counts as the mask.
    """
    found = ~dilated(~mask)
    if not beyond:
        for axis in range(mask.ndim):
            for end in (0, -1):
                found[(slice(None),) * axis + (end,)] = False
    return found


def opened(mask: np.ndarray) -> np.ndarray:
    """Without what is thinner than three voxels somewhere."""
    return dilated(eroded(mask))


def enclosed(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parts of what is not in the mask that nothing joins to the end of the array.

    Returns:
        Numbered parts of what is not in the mask, within its box and a voxel around, and the
        voxels of each, which are 0 where a part reaches the end; 0 elsewhere, as for the mask.
    """
    parts = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return parts, np.zeros(1, np.int64)
    box = box_of(mask)
    numbers, count = ndimage.label(~mask[box])
    parts[box] = numbers
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    sizes[0] = 0
    for axis in range(mask.ndim):
        for end in (0, -1):
            sizes[np.take(numbers, end, axis)] = 0
    return parts, sizes


def filled(mask: np.ndarray) -> np.ndarray:
    """With what it encloses."""
    parts, sizes = enclosed(mask)
    return mask | (sizes > 0)[parts]


def box_of(mask: np.ndarray) -> tuple[slice, ...]:
    """The mask's box and a voxel around: nothing nearer to a voxel of it lies beyond."""
    box = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        box.append(slice(max(int(there[0]) - 1, 0), int(there[-1]) + 2))
    return tuple(box)


def within(mask: np.ndarray, mm: float, grid_mm: Sequence[float]) -> np.ndarray:
    """Voxels less than so far from a mask of three axes, centre to centre.

    Args:
        mask: Boolean, shape `(d, h, w)`.
        mm: How far.
        grid_mm: Voxel size, in mm.

    Returns:
        Boolean, same shape: `distance_transform_edt(~mask, sampling=grid_mm) < mm`.
    """
    found = np.zeros_like(mask)
    step_d, step_h, step_w = grid_mm
    # Along the last axis by 0, 1, 2, ... voxels; each row around then takes the one it reaches.
    along = [mask]
    while len(along) * step_w < mm:
        longer = along[-1].copy()
        _or_shifted(longer, mask, 2, len(along))
        along.append(longer)
    for d in range(math.ceil(mm / step_d)):
        for h in range(math.ceil(mm / step_h)):
            left = mm**2 - (d * step_d) ** 2 - (h * step_h) ** 2
            reach = sum(k * k * step_w**2 < left for k in range(len(along)))
            if reach:
                moved = along[reach - 1]
                if h:
                    moved = np.zeros_like(mask)
                    _or_shifted(moved, along[reach - 1], 1, h)
                if d:
                    _or_shifted(found, moved, 0, d)
                else:
                    found |= moved
    return found


def _or_shifted(found: np.ndarray, mask: np.ndarray, axis: int, by: int) -> None:
    """Add a mask shifted both ways along an axis to what was found, in place."""
    if by < mask.shape[axis]:
        first = (slice(None),) * axis
        near, far = (*first, slice(by, None)), (*first, slice(None, -by))
        found[near] |= mask[far]
        found[far] |= mask[near]
