"""How places lie in a breast: below the skin, before the chest wall, beside the nipple, in gland.

Measured on the working grid, from tissues alone, so that a place in a real case, in a phantom and
in a host that is painted speak the same language.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import separable
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.masks import dilated
from synbt_aug.tissue.sides import sides

#: Distances are cut off here, in mm.
FARTHEST_MM = 150.0

#: The nipple is taken to lie where a breast reaches farthest from the chest wall: in the middle
#: of its voxels that are no more than this nearer to it, in mm.
_TIP_MM = 4.0

#: Reach of the gland that fills the place of a tumor, in mm.
_FILL_MM = 8.0


#: Voxels of the grid that tell the level of a tissue, at least.
_FEWEST = 20


class Landmarks(NamedTuple):
    """Distances and gland of the voxels in the box of the breasts.

    Args:
        start: The box's first voxel on the working grid.
        distance_mm: To skin (the breast's surface towards the air), chest wall and nipple, float16,
            shape `(3, d, h, w)`; NaN where there is none in view.
        gland: 1 where fibroglandular tissue is likelier than not, else 0, float16, shape
            `(d, h, w)`; in between where a tumor was taken out. Not the probability: a doubt spread
            over all of a breast is no preference, and known tissues are to give the same numbers.
        post: Level of the post-contrast scan above `low` over the reference range, float16, same
            shape; NaN outside the breasts. None where only tissues are known.
        noise: SD of what varies from voxel to voxel of the grid in post less pre, over the
            reference range; None likewise.
        dark_fat: Whether fibroglandular tissue is brighter than fat in post: fat is suppressed.
            None where nothing tells.
    """

    start: tuple[int, int, int]
    distance_mm: Tensor
    gland: Tensor
    post: Tensor | None = None
    noise: float | None = None
    dark_fat: bool | None = None

    def without(self, tumor: np.ndarray, grid_mm: tuple[float, float, float]) -> Landmarks:
        """The same with gland as it may have been where a tumor is now.

        Args:
            tumor: Boolean, on the whole working grid.
            grid_mm: Size of its voxels, in mm.
        """
        box = tuple(slice(s, s + n) for s, n in zip(self.start, self.gland.shape, strict=True))
        # Its border is half tumor, half what is around.
        hidden = torch.from_numpy(dilated(tumor[box]))
        if not hidden.any():
            return self
        gland, known = self.gland.float(), (~hidden).float()
        # Where it is hidden alone is the mean wanted.
        first, last = (end(hidden.nonzero(), 0) for end in (torch.amin, torch.amax))
        there = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
        d, h, w = (
            torch.from_numpy(_blur(n, _FILL_MM / mm)[part])
            for n, mm, part in zip(hidden.shape, grid_mm, there, strict=True)
        )
        share, weight = separable(torch.stack([gland * known, known]), (d, h, w))
        fill = share / weight.clamp_min(1e-6)
        gland[there] = torch.where(hidden[there], fill, gland[there])
        return self._replace(gland=gland.half())


def find_landmarks(
    labels: np.ndarray,
    gland: np.ndarray,
    inside: np.ndarray,
    box: tuple[slice, ...],
    grid_mm: tuple[float, float, float],
    scan: np.ndarray | None = None,
) -> Landmarks:
    """Measure the voxels in a box.

    Args:
        labels: The likeliest tissue on the working grid, values of `TissueLabel`.
        gland: Probability of fibroglandular tissue in the box.
        inside: Breast in the box, boolean.
        box: Of the breasts.
        grid_mm: Size of the grid's voxels, in mm.
        scan: Level of pre and post in the box, shape `(2, d, h, w)`.
    """
    seen = labels[box]
    air = ((seen == TissueLabel.SKIN) | (seen == TissueLabel.BACKGROUND)) & ~inside
    behind = (seen == TissueLabel.BEHIND) & ~inside
    skin, chest = (_distance_to(part, grid_mm) for part in (air, behind))
    nipple = np.full(seen.shape, np.nan, np.float32)
    if behind.any():
        side = sides(inside, ~inside, grid_mm)
        for number in range(1, int(side.max()) + 1):
            here = side == number
            reached = np.where(here, chest, 0)
            tip = np.argwhere(reached >= reached.max() - _TIP_MM).mean(0)
            np.copyto(nipple, _distance_from(tip, grid_mm, here.shape), where=here)
    distances = np.stack([skin, chest, nipple]).clip(max=FARTHEST_MM).astype(np.float16)
    first = tuple(s.start for s in box)
    start = int(first[0]), int(first[1]), int(first[2])
    marks = Landmarks(
        start, torch.from_numpy(distances), torch.from_numpy((gland >= 0.5).astype(np.float16))
    )
    if scan is None:
        return marks
    post = torch.from_numpy(np.where(inside, scan[1], np.nan).astype(np.float16))
    dark_fat = _darker(scan[1][inside & (gland < 0.5)], scan[1][inside & (gland >= 0.5)])
    return marks._replace(post=post, noise=_noise(scan[1] - scan[0], inside), dark_fat=dark_fat)


def _darker(levels: np.ndarray, others: np.ndarray) -> bool | None:
    """Whether a tissue is darker than another; None where too few voxels tell."""
    if min(len(levels), len(others)) < _FEWEST:
        return None
    return bool(np.median(levels) < np.median(others))


def _noise(rise: np.ndarray, inside: np.ndarray) -> float | None:
    """SD of what varies from voxel to voxel: robust, as vessels and tumors rise, too."""
    if not inside.any():
        return None
    near = ndimage.uniform_filter(rise, 3)
    fine = (rise - near)[inside]
    spread = float(np.median(np.abs(fine - np.median(fine))))
    # A normal distribution's SD over its median distance; of 27 voxels that are averaged one is
    # taken from itself.
    return 1.4826 * spread * math.sqrt(27 / 26)


@lru_cache(maxsize=64)
def _blur(length: int, sigma: float) -> np.ndarray:
    """A Gaussian along an axis as a matrix, float32; beyond its ends the axis is reflected."""
    unit = np.eye(length, dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter1d(unit, sigma, axis=0, truncate=6.0))


def _distance_to(mask: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """To the nearest face of a mask's voxels, in mm; NaN where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.nan, np.float32)
    found = ndimage.distance_transform_edt(~mask, sampling=grid_mm)
    return np.asarray(np.maximum(found - min(grid_mm) / 2, 0), np.float32)


def _distance_from(
    point: np.ndarray, grid_mm: tuple[float, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """Of all voxels of a box from a point of it, in mm."""
    along = [(np.arange(n) - p) * mm for n, p, mm in zip(shape, point, grid_mm, strict=True)]
    d, h, w = (np.square(x) for x in along)
    return np.asarray(np.sqrt(d[:, None, None] + h[:, None] + w), np.float32)
