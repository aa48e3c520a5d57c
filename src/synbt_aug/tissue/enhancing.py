"""Vessels and lymph nodes: small things that enhance far above what is around them.

Found without a network, from post minus pre. A tumor does not start in a vessel, and a node is
not replaced by one.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from synbt_aug.tissue.masks import dilated

#: Wider things are no vessels or nodes, in mm.
WIDEST_MM = 9.0

#: Least rise above the surroundings, in reference ranges, and in SDs of that rise.
LEAST_RISE = 0.25
LEAST_SD = 4.0

#: In gland, whose strands enhance, too, a vessel must rise so much higher: 1 + this times.
GLAND_SHINES = 2.0

#: Most of the breast that may count as vessels and nodes. Dense gland with strong background
#: enhancement has bright spots everywhere: only the brightest count.
MOST_SHARE = 0.05

#: Nodes are compact, at most so wide in mm and so much longer than wide, at least so large in
#: cm3, and lie in fat.
NODE_MM = 14.0
NODE_RATIO = 2.5
NODE_CM3 = 0.06
NODE_FILLS = 0.3
NODE_GLAND = 0.35


def enhancing_structures(
    level: np.ndarray,
    inside: np.ndarray,
    around_gland: np.ndarray,
    grid_mm: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Find them.

    Args:
        level: Signal of pre and post above `low` over the reference range, shape `(2, d, h, w)`.
        inside: Breast, boolean, shape `(d, h, w)`.
        around_gland: Share of fibroglandular tissue within some mm, same shape.
        grid_mm: Voxel size, in mm.

    Returns:
        All such structures, and the nodes among them with a margin of a voxel; boolean, shape
        `(d, h, w)`.
    """
    nothing = np.zeros_like(inside)
    rise = level[1] - level[0]
    sides = [2 * round(WIDEST_MM / (2 * mm)) + 1 for mm in grid_mm]
    if not inside.any() or all(side == 1 for side in sides):
        return nothing, nothing
    top = rise - _extremes(_extremes(rise, sides, np.minimum), sides, np.maximum)
    values = top[inside]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    least = max(LEAST_RISE, middle + LEAST_SD * spread, float(np.quantile(values, 1 - MOST_SHARE)))
    found = inside & (top > least * (1 + GLAND_SHINES * around_gland))
    return found, _nodes(found, around_gland, grid_mm) & inside


def _extremes(values: np.ndarray, sides: list[int], extreme: np.ufunc) -> np.ndarray:
    """The extreme of a box around each voxel; one after the other they are an opening."""
    for axis, side in enumerate(sides):
        found = values.copy()
        old, new = np.moveaxis(values, axis, 0), np.moveaxis(found, axis, 0)
        for k in range(1, min(side // 2, len(old) - 1) + 1):
            extreme(new[k:], old[:-k], out=new[k:])
            extreme(new[:-k], old[k:], out=new[:-k])
        values = found
    return values


def _nodes(
    found: np.ndarray, around_gland: np.ndarray, grid_mm: tuple[float, float, float]
) -> np.ndarray:
    parts, count = ndimage.label(found, np.ones((3, 3, 3), bool))
    voxel_cm3 = math.prod(grid_mm) / 1000
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_cm3
    most = 4 / 3 * math.pi * (NODE_MM / 20) ** 3
    nodes = np.zeros(count + 1, bool)
    boxes = ndimage.find_objects(parts)
    for k in np.flatnonzero((sizes >= NODE_CM3) & (sizes <= most)):
        if k == 0:
            continue
        box = boxes[k - 1]
        wide = [(s.stop - s.start) * mm for s, mm in zip(box, grid_mm, strict=True)]
        here = parts[box] == k
        compact = max(wide) <= min(NODE_MM, NODE_RATIO * min(wide)) and here.mean() >= NODE_FILLS
        nodes[k] = compact and float(around_gland[box][here].mean()) < NODE_GLAND
    if not nodes.any():
        return np.zeros_like(found)
    return dilated(nodes[parts])
