"""Behind the breasts: muscle in layers of uneven thickness, ribs as ovals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from synbt_aug.phantom.chest import label_chest
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Torso, build_torso

Chest = tuple[Torso, np.ndarray, torch.Tensor]


@pytest.fixture(scope="module")
def chests() -> list[Chest]:
    settings = PhantomSettings(shape=(72, 96, 72), spacing=(1.5, 1.5, 1.5))
    found = []
    for seed in range(1_000_760, 1_000_764):
        source = Randomness.stages(seed, 1)[0]
        torso = build_torso(settings, "b", source)
        labels, fascia = label_chest(torso, source)
        found.append((torso, labels.numpy(), fascia))
    return found


def test_the_muscle_is_of_uneven_thickness(chests: list[Chest]) -> None:
    spreads = []
    for _, labels, _ in chests:
        thickness = (labels == Tissue.MUSCLE).sum(axis=1)[10:-10, 10:-10]
        spreads.append(thickness.std() / thickness.mean())
    assert np.median(spreads) > 0.1


def test_nothing_but_fat_and_air_lies_in_front_of_the_muscle(chests: list[Chest]) -> None:
    for torso, labels, fascia in chests:
        front = (torso.chest_depth < fascia - 0.1).numpy()
        assert set(np.unique(labels[front])) <= {int(Tissue.AIR), int(Tissue.FAT)}
        assert float(fascia.min()) >= 2.5 * (1 - 1e-6)


def test_planes_of_fat_part_the_muscle(chests: list[Chest]) -> None:
    shares = []
    for _, labels, _ in chests:
        muscle = labels == Tissue.MUSCLE
        before = np.cumsum(muscle, axis=1) > 0
        behind = np.cumsum(muscle[:, ::-1], axis=1)[:, ::-1] > 0
        between = (labels == Tissue.FAT) & before & behind
        shares.append(between.sum() / muscle.sum())
    assert 0.005 < np.median(shares) < 0.3


def test_ribs_are_ovals_of_about_a_centimetre(chests: list[Chest]) -> None:
    sizes = []
    for torso, labels, _ in chests:
        lateral = np.abs(torso.grid.axis(0).numpy().ravel()) > 30
        for section in (labels == Tissue.BONE)[lateral][::8]:
            boxes = ndimage.find_objects(ndimage.label(section)[0])
            # Whole ones: not cut by the edge of the field.
            sizes += [
                1.5 * (b[1].stop - b[1].start)
                for b in boxes
                if b[1].start > 0 and b[1].stop < section.shape[1]
            ]
    assert len(sizes) > 5
    assert 6 < np.median(sizes) < 18
