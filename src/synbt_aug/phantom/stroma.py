"""Long strands of the stroma: ligaments and ducts that run for centimetres through the fat."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.strands import follow, tube_weight
from synbt_aug.phantom.texture import Grid, Randomness

#: Strands in 100 cm3 of breast, their length and radius in mm.
PER_100_CM3 = (45.0, 225.0)
LENGTH_MM = (12.0, 50.0)
RADIUS_MM = (0.35, 0.9)

#: Share that runs along the ducts; the others cross them, as ligaments to the skin do.
ALONG_SHARE = 0.88


def long_strands(grid: Grid, nipple: np.ndarray, inside: Tensor, rnd: Randomness) -> Tensor:
    """Partial volume (0..1) of strands in the tissue of one breast.

    Args:
        grid: Box around the breast.
        nipple: Where ducts lead, mm, shape `(3,)`.
        inside: Where strands may begin, bool, shape of `grid`.
        rnd: Source of randomness.
    """
    voxels = torch.nonzero(inside).numpy()
    volume_cm3 = len(voxels) * float(np.prod(grid.spacing)) / 1000
    count = int(rnd.numbers.poisson(rnd.uniform(*PER_100_CM3) * volume_cm3 / 100))
    if count == 0:
        return torch.zeros(grid.shape)
    drawn = voxels[rnd.numbers.integers(len(voxels), size=count)]
    starts = drawn * np.array(grid.spacing) + np.array(grid.origin_mm)
    ahead = nipple - starts
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-6
    across = np.cross(ahead, rnd.numbers.normal(size=(count, 3)))
    along = rnd.numbers.random((count, 1)) < ALONG_SHARE
    heading = np.where(along, -ahead, across) + 0.2 * rnd.numbers.normal(size=(count, 3))
    paths = follow(starts, heading, rnd.numbers.uniform(*LENGTH_MM, count), rnd, wobble=0.035)
    radii = []
    for path, radius in zip(paths, rnd.numbers.uniform(*RADIUS_MM, count)):
        uneven = ndimage.gaussian_filter1d(rnd.numbers.normal(size=len(path)), 6) * 2
        taper = np.minimum(1, 1.6 * np.sin(np.linspace(0.15, np.pi - 0.15, len(path))))
        radii.append(radius * taper * np.exp(0.3 * uneven))
    return tube_weight(grid, np.concatenate(paths), np.concatenate(radii))
