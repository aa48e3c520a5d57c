"""Vessels of the chest wall and from it into the breast."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from synbt_aug.phantom.anatomy import Anatomy, build_anatomy
from synbt_aug.phantom.chest_vessels import below_fascia, grow_chest_vessels
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    settings = PhantomSettings(shape=(72, 80, 64), spacing=(1.5, 1.5, 1.5), with_tumor=False)
    return build_anatomy(settings, Randomness.stages(1_000_750, 1)[0])


def test_points_lie_as_deep_below_the_muscles_surface_as_asked(anatomy: Anatomy) -> None:
    torso = anatomy.torso
    x = np.linspace(-20, 20, 60) + torso.breasts[0].center[0]
    for depth in (-4.0, 3.0):
        path = below_fascia(torso, anatomy.fascia, x, 0 * x, depth)
        i, j, k = np.round(torso.grid.index(path)).astype(int).T
        found = torso.chest_depth.numpy()[i, j, k] - anatomy.fascia.numpy()[i, 0, k]
        # Voxels are 1.5 mm wide, and paths are smoothed over 4 points.
        assert np.abs(found - depth).max() < 3.5


def test_some_run_for_centimetres_and_some_lie_in_or_behind_the_muscle(anatomy: Anatomy) -> None:
    source = Randomness.stages(1_000_751, 1)[0]
    weight = grow_chest_vessels(anatomy.torso, anatomy.fascia, source).numpy()
    assert weight.min() >= 0 and weight.max() <= 1
    shown = weight > 0.2
    parts, count = ndimage.label(shown, np.ones((3, 3, 3)))
    lengths = [1.5 * max(b.stop - b.start for b in box) for box in ndimage.find_objects(parts)]
    assert count >= 3 and max(lengths) > 40
    behind = (anatomy.torso.chest_depth > anatomy.fascia).numpy()
    assert shown[behind].sum() > 30 and shown[~behind].sum() > 30


def test_none_reaches_the_skin(anatomy: Anatomy) -> None:
    source = Randomness.stages(1_000_752, 1)[0]
    weight = grow_chest_vessels(anatomy.torso, anatomy.fascia, source)
    assert float(weight[anatomy.torso.skin_depth <= 1].max()) == 0
