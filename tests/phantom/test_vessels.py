"""Vessels through the breast, and veins under its skin."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.vessels import grow_vessels, path_under_skin


def test_a_breast_holds_vessels_that_run_on_without_beads() -> None:
    settings = PhantomSettings(shape=(64, 72, 64), spacing=(1.5, 1.5, 1.5))
    source = Randomness.stages(1_000_731, 1)[0]
    torso = build_anatomy(settings, source).torso
    fat = torch.full(settings.shape, int(Tissue.FAT), dtype=torch.int8)
    none = torch.zeros(settings.shape)
    shown = grow_vessels(torso, fat, none, source).numpy() > 0.002
    parts, _ = ndimage.label(shown, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    # Five vessels or more with their branches, and hardly anything beside them.
    assert sizes.sum() > 500
    assert sizes[sizes >= 20].sum() > 0.97 * sizes.sum()
    assert (fat.numpy()[shown] == Tissue.VESSEL).any()


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
