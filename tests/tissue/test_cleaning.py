"""A network's map made plausible: large parts, their holes filled, islands dropped."""

from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue.cleaning import clean

GRID = (2.0, 2.0, 2.0)


def labels() -> np.ndarray:
    """A block of fat of 64 cm3 with gland inside, air in front and a chest behind."""
    found = np.full((30, 40, 40), TissueLabel.BACKGROUND)
    found[25:] = TissueLabel.BEHIND
    found[5:25, 10:30, 10:30] = TissueLabel.FAT
    found[10:20, 15:25, 15:25] = TissueLabel.GLAND
    return found


def probability(found: np.ndarray) -> np.ndarray:
    return np.stack([found == value for value in TissueLabel]).astype(np.float32)


def test_a_clean_map_stays_as_it_is() -> None:
    breast = clean(probability(labels()), None, GRID)
    inside = np.isin(labels(), (TissueLabel.FAT, TissueLabel.GLAND))
    assert (breast.inside == inside).all() and (breast.outside == ~inside).all()
    assert (breast.gland == (labels() == TissueLabel.GLAND)).all()


def test_islands_of_breast_and_gland_are_dropped() -> None:
    found = labels()
    found[27, 2:4, 2:4] = TissueLabel.GLAND
    found[0:2, 30:35, 30:35] = TissueLabel.FAT
    breast = clean(probability(found), None, GRID)
    assert (breast.inside == clean(probability(labels()), None, GRID).inside).all()
    assert breast.gland[27].sum() == 0


def test_a_second_breast_is_kept() -> None:
    found = labels()
    # 6.4 cm3 of 64: a small one, or its corner in a crop.
    found[15:25, 32:40, 10:20] = TissueLabel.FAT
    assert clean(probability(found), None, GRID).inside[15:25, 32:40, 10:20].all()


#: Where a heart is taken for a breast.
HEART = (slice(31, 37), slice(10, 30), slice(10, 30))


def with_a_heart() -> np.ndarray:
    """A breast under skin, and what a network took for another, 12 mm behind the chest wall."""
    found = np.concatenate([labels(), np.full((8, 40, 40), TissueLabel.BEHIND)])
    found[4, 9:31, 9:31] = TissueLabel.SKIN
    found[HEART] = TissueLabel.FAT
    return found


def test_a_heart_taken_for_a_breast_is_dropped() -> None:
    breast = clean(probability(with_a_heart()), None, GRID)
    assert breast.inside[5:25, 10:30, 10:30].all() and not breast.inside[26:].any()


def test_skin_drawn_towards_the_lung_does_not_save_a_heart() -> None:
    found = with_a_heart()
    found[31:37, 30, 10:30] = TissueLabel.SKIN
    found[31:37, 31:36, 10:30] = TissueLabel.BACKGROUND
    breast = clean(probability(found), None, GRID)
    assert breast.inside[5:25, 10:30, 10:30].all() and not breast.inside[26:].any()


def test_a_crop_inside_two_breasts_shows_no_skin_and_keeps_both() -> None:
    found = with_a_heart()
    found[4] = TissueLabel.FAT
    assert clean(probability(found), None, GRID).inside[HEART].all()


@pytest.mark.parametrize("side, filled", [(2, True), (6, True), (7, False)])
def test_small_holes_are_filled_and_implants_are_not(side: int, filled: bool) -> None:
    # 6^3 voxels of 8 mm3 are 1.7 cm3, 7^3 are 2.7.
    found = labels()
    hole = (slice(11, 11 + side),) * 3
    found[hole] = TissueLabel.BACKGROUND
    breast = clean(probability(found), None, GRID)
    assert breast.inside[hole].all() == filled and breast.outside[hole].any() != filled
    assert breast.gland[hole].sum() == 0


def test_a_hole_at_the_end_of_a_crop_is_not_filled() -> None:
    found = np.full((20, 20, 20), TissueLabel.FAT)
    found[0:3, 5:8, 5:8] = TissueLabel.BACKGROUND
    assert not clean(probability(found), None, GRID).inside[0:3, 5:8, 5:8].any()


def test_where_gland_and_fat_meet_neither_need_be_likeliest() -> None:
    mixed = probability(labels())
    mixed[:, 15, 12] = 0
    mixed[[TissueLabel.FAT, TissueLabel.GLAND, TissueLabel.BEHIND], 15, 12] = [[0.3], [0.3], [0.4]]
    assert clean(mixed, None, GRID).inside[15, 12, 10:30].all()


def test_margins_begin_where_the_network_is_in_doubt() -> None:
    doubtful = probability(labels())
    doubtful[:, 24, 10:30, 10:30] = 0
    doubtful[[TissueLabel.FAT, TissueLabel.BEHIND], 24, 10:30, 10:30] = [[[0.9]], [[0.1]]]
    breast = clean(doubtful, None, GRID)
    assert breast.inside[24, 10:30, 10:30].all() and breast.outside[24].all()
    assert not breast.outside[23, 10:30, 10:30].any()


def test_voxels_without_signal_are_neither_breast_nor_outside() -> None:
    valid = np.ones(labels().shape, bool)
    valid[:, :20] = False
    breast = clean(probability(labels()), valid, GRID)
    assert not breast.inside[:, :20].any() and not breast.outside[:, :20].any()
    assert breast.inside[:, 20:30].any()


def test_a_map_of_air_has_no_breast() -> None:
    breast = clean(probability(np.zeros((8, 8, 8), int)), None, GRID)
    assert not breast.inside.any() and breast.outside.all() and breast.gland.sum() == 0
