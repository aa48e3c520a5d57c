"""Points into voxels."""

from __future__ import annotations

import numpy as np

from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Grid, Randomness
from synbt_aug.phantom.vessels import path_under_skin, splat


def test_the_largest_of_several_weights_stays_and_outside_is_dropped() -> None:
    grid = Grid((8, 8, 8), (2.0, 1.0, 1.0))
    points = np.array([[4.2, 3.0, 3.0], [3.6, 3.1, 2.9], [100.0, 0.0, 0.0]])
    volume = splat(grid, points, np.array([0.3, 0.8, 1.0]))
    assert np.float32(0.8) == volume[2, 3, 3]
    assert int((volume > 0).sum()) == 1


def test_a_vein_runs_for_centimetres_at_its_depth_below_the_skin() -> None:
    settings = PhantomSettings(shape=(64, 72, 64), spacing=(2.0, 2.0, 2.0))
    source = Randomness.stages(1_000_730, 1)[0]
    torso = build_anatomy(settings, source).torso
    paths = [path_under_skin(torso, torso.breasts[0], 6.0, source) for _ in range(6)]
    paths = [path for path in paths if len(path)]
    assert len(paths) >= 4
    for path in paths:
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        assert steps.sum() > 20 and steps.max() < 1.5
        voxel = np.round(torso.grid.index(path)).astype(int)
        depth = torso.skin_depth.numpy()[tuple(voxel.T)]
        # The voxels are 2 mm wide, and depths below 4 mm are known on a grid of 4 mm.
        assert abs(np.median(depth) - 6.0) < 2.5
