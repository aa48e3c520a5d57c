"""Landmarks: distances to skin, chest wall and nipple in a breast of formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analytic import axis_orders, ellipsoid, reorder, seeded
from breast_of_formulas import MM, ONE, TWO, tissue_map, tissues
from synbt_aug.tissue import TissueLabel, TissueMap
from synbt_aug.tissue.landmarks import Landmarks
from synbt_aug.tissue.sites import find_sites


def landmarks(labels: torch.Tensor, level: torch.Tensor | None = None) -> Landmarks:
    found = find_sites(tissue_map(labels), level).landmarks
    assert found is not None
    return found


def at(found: Landmarks, place_mm: tuple[float, float, float]) -> list[float]:
    """Distances to skin, wall and nipple, and gland, at a place of a grid of 2 mm."""
    index = tuple(int(mm // 2) - first for mm, first in zip(place_mm, found.start, strict=True))
    return [*found.distance_mm[(slice(None), *index)].tolist(), float(found.gland[index])]


def test_distances_are_those_of_the_formulas() -> None:
    # On the axis of the breast: skin ends at D = 12, the chest begins at D = 61.
    skin, wall, nipple, gland = at(landmarks(tissues()), (38.0, 40.0, 40.0))
    # To the sides the skin is farther: it lies 34 mm from the axis at the chest.
    assert skin == pytest.approx(26, abs=2)
    assert wall == pytest.approx(22, abs=2)
    assert nipple == pytest.approx(26, abs=4)
    assert gland == 1.0
    assert at(landmarks(tissues()), (18.0, 40.0, 40.0))[3] == 0.0


@pytest.mark.parametrize("order, flip", axis_orders()[::7])
def test_distances_do_not_know_the_order_of_the_axes(
    order: tuple[int, ...], flip: tuple[int, ...]
) -> None:
    expected = landmarks(tissues()).distance_mm.float()
    found = landmarks(reorder(tissues(), order, flip)).distance_mm.float()
    turned = torch.stack([reorder(part, order, flip) for part in expected])
    assert torch.allclose(found, turned, atol=0.1, equal_nan=True)


def test_each_breast_has_its_own_nipple() -> None:
    found = landmarks(tissues(TWO))
    left, right = (at(found, (38.0, across, 40.0))[2] for across in (40.0, 120.0))
    assert left == pytest.approx(right, abs=2) and left < 32


def test_what_is_not_in_view_is_not_known() -> None:
    # A crop inside the breast: fat and gland all around.
    inside = tissues()[24:56, 24:56, 24:56].contiguous()
    found = landmarks(inside)
    assert bool(found.distance_mm.isnan().all()) and not bool(found.gland.isnan().any())


def test_the_level_of_post_is_that_of_the_breast_alone() -> None:
    labels = tissues()
    level = torch.stack([torch.zeros(36, 40, 40), torch.full((36, 40, 40), 0.6)])
    found = landmarks(labels, level)
    assert found.post is not None
    assert float(found.post[~found.post.isnan()].unique()) == pytest.approx(0.6, abs=1e-3)
    assert bool(found.post.isnan().any())
    assert landmarks(labels).post is None


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_the_noise_is_that_of_the_subtraction_whatever_lies_in_it(sd: float) -> None:
    noise = torch.randn(2, 36, 40, 40, generator=seeded())
    # What both scans hold is no noise of their difference; a tumor that rises is none either.
    level = 0.4 + 0.1 * torch.rand(36, 40, 40, generator=seeded(1)) + sd * noise
    level[1, 14:22, 16:24, 16:24] += 1.0
    assert landmarks(tissues(), level).noise == pytest.approx(2**0.5 * sd, rel=0.1)
    assert landmarks(tissues()).noise is None


@pytest.mark.parametrize("fat, gland, dark", [(0.3, 0.5, True), (0.6, 0.4, False)])
def test_fat_is_dark_where_gland_is_brighter(fat: float, gland: float, dark: bool) -> None:
    labels = tissues()
    post = torch.where(labels[::2, ::2, ::2] == TissueLabel.GLAND, gland, fat)
    level = torch.stack([post, post])
    assert landmarks(labels, level).dark_fat is dark
    assert landmarks(labels).dark_fat is None


def test_gland_in_the_place_of_a_tumor_is_as_around_it() -> None:
    labels = tissues(gland_radii=None)
    # Gland on one side of a tumor that was itself taken for gland.
    tumor = ellipsoid(ONE, (36, 40, 40), (7, 7, 7))
    half = torch.arange(ONE[1])[None, :, None] >= 40
    labels[(labels == TissueLabel.FAT) & half] = TissueLabel.GLAND
    labels[tumor] = TissueLabel.GLAND
    taken = np.zeros((36, 40, 40), bool)
    taken[14:22, 16:24, 16:24] = True
    found = landmarks(labels).without(taken, (2.0, 2.0, 2.0))
    beside = [at(found, (36.0, across, 40.0))[3] for across in (33.0, 40.0, 47.0)]
    assert beside[0] < 0.3 < beside[1] < 0.7 < beside[2]


def test_gland_is_what_is_likelier_than_not() -> None:
    unsure = tissue_map(tissues()).probability.clone()
    breast = unsure[TissueLabel.FAT] + unsure[TissueLabel.GLAND]
    sure = breast > 0.99
    unsure[TissueLabel.GLAND] = breast * (0.3 + 0.4 * (unsure[TissueLabel.GLAND] >= 0.5))
    unsure[TissueLabel.FAT] = breast - unsure[TissueLabel.GLAND]
    found, known = find_sites(TissueMap(unsure, ONE, MM)).landmarks, landmarks(tissues())
    assert found is not None and found.start == known.start
    box = tuple(slice(s, s + n) for s, n in zip(found.start, found.gland.shape, strict=True))
    differs = (found.gland != known.gland) & sure[box]
    assert not bool(differs.any())
    assert set(found.gland.unique().tolist()) == {0.0, 1.0}


def test_landmarks_are_known_of_tissues_alone() -> None:
    assert (
        find_sites(TissueMap.of_labels(torch.zeros(ONE, dtype=torch.uint8), MM)).landmarks is None
    )
