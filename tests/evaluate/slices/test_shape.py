from __future__ import annotations

import math

import numpy as np
import pytest

from some_slices import disc, slice_of
from synbt_aug.evaluate.slices.lesion import find_lesion
from synbt_aug.evaluate.slices.shape import SHAPE, shape_features


def features(tumor: np.ndarray) -> dict[str, float]:
    found = find_lesion(slice_of(tumor))
    assert found is not None
    return shape_features(found)


def square(side: int) -> np.ndarray:
    mask = np.zeros((80, 80), bool)
    mask[30 : 30 + side, 30 : 30 + side] = True
    return mask


def test_features_come_in_the_stated_order() -> None:
    assert tuple(features(disc(10))) == SHAPE


def test_a_square_has_the_values_of_a_square() -> None:
    found = features(square(20))
    assert found["compactness"] == pytest.approx(4 * math.pi * 400 / (0.95 * 80) ** 2)
    assert found["solidity"] == pytest.approx(1)
    assert found["holes"] == 0 and found["pieces"] == 1


def test_a_disc_is_round_and_full() -> None:
    found = features(disc(12))
    assert found["radial_sd"] < 0.03 and found["solidity"] > 0.9
    assert found["spicule"] < 0.03


def test_a_ring_of_tumor_has_the_hole_of_its_middle() -> None:
    hollow = disc(12) & ~disc(5)
    assert features(hollow)["holes"] == pytest.approx(disc(5).sum() / disc(12).sum(), abs=0.02)


def test_a_star_is_less_compact_and_less_solid_than_a_disc() -> None:
    star = disc(8)
    star[40, 24:57] = star[24:57, 40] = True
    star[39, 24:57] = star[24:57, 39] = True
    found, plain = features(star), features(disc(8))
    assert found["compactness"] < 0.6 * plain["compactness"]
    assert found["solidity"] < 0.8 * plain["solidity"]
    assert found["radial_sd"] > 3 * plain["radial_sd"]


def test_pieces_of_four_mm2_count() -> None:
    two = disc(8)
    two[40:42, 60:62] = True
    three = two.copy()
    three[30, 60] = True
    assert features(two)["pieces"] == 2
    assert features(three)["pieces"] == 2


def test_strands_that_leave_the_tumor_are_seen_by_the_sectors_around() -> None:
    # At less than half of the lesion's enhancement the strand is what lies around.
    made = slice_of(disc(8))
    made.image[1, 39:42, 49:60] += 90
    found = find_lesion(made)
    assert found is not None
    assert shape_features(found)["spicule"] > 3 * features(disc(8))["spicule"]
