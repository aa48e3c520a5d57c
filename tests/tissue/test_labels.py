from __future__ import annotations

import numpy as np

from synbt_aug.phantom.tissue import Tissue
from synbt_aug.tissue import TissueLabel, tissue_labels


def _one(tissue: Tissue, in_breast: bool) -> int:
    labels = np.full((1, 1, 1), tissue, np.uint8)
    return int(tissue_labels(labels, np.full((1, 1, 1), in_breast))[0, 0, 0])


def test_a_tumor_counts_as_gland_and_a_vessel_as_the_fat_around_it() -> None:
    assert _one(Tissue.TUMOR, in_breast=True) == TissueLabel.GLAND
    assert _one(Tissue.VESSEL, in_breast=True) == TissueLabel.FAT
    assert _one(Tissue.GLAND, in_breast=True) == TissueLabel.GLAND


def test_fat_of_the_chest_lies_behind_the_breast() -> None:
    assert _one(Tissue.FAT, in_breast=True) == TissueLabel.FAT
    assert _one(Tissue.FAT, in_breast=False) == TissueLabel.BEHIND


def test_skin_and_nipple_are_one_and_count_wherever_they_are() -> None:
    for tissue in (Tissue.SKIN, Tissue.NIPPLE):
        for in_breast in (True, False):
            assert _one(tissue, in_breast) == TissueLabel.SKIN


def test_what_is_in_the_chest_lies_behind_and_air_is_background() -> None:
    inside = (Tissue.MUSCLE, Tissue.BONE, Tissue.LUNG, Tissue.BLOOD, Tissue.LIVER)
    assert {_one(tissue, in_breast=False) for tissue in inside} == {TissueLabel.BEHIND}
    assert _one(Tissue.AIR, in_breast=False) == TissueLabel.BACKGROUND
