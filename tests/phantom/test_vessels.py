"""Points into voxels."""

from __future__ import annotations

import numpy as np

from synbt_aug.phantom.texture import Grid
from synbt_aug.phantom.vessels import splat


def test_the_largest_of_several_weights_stays_and_outside_is_dropped() -> None:
    grid = Grid((8, 8, 8), (2.0, 1.0, 1.0))
    points = np.array([[4.2, 3.0, 3.0], [3.6, 3.1, 2.9], [100.0, 0.0, 0.0]])
    volume = splat(grid, points, np.array([0.3, 0.8, 1.0]))
    assert np.float32(0.8) == volume[2, 3, 3]
    assert int((volume > 0).sum()) == 1
