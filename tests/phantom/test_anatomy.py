"""The healthy patient: one or two breasts, density, and layers in their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from synbt_aug.phantom import Phantom, PhantomSettings, Tissue, make_phantom
from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.texture import Randomness


def test_a_whole_thorax_shows_every_tissue() -> None:
    settings = PhantomSettings(shape=(112, 96, 80), spacing=(3.0, 3.0, 3.0), bilateral=True)
    seen: set[int] = set()
    for seed in (1_000_000, 1_000_001, 1_000_002):
        seen |= set(np.unique(make_phantom(seed, settings).labels).tolist())
    assert seen == {int(t) for t in Tissue}


def test_two_breasts_lie_left_and_right_of_the_midline(small_settings: PhantomSettings) -> None:
    settings = replace(small_settings, shape=(120, 72, 64), bilateral=True)
    phantom = make_phantom(1_000_004, settings)
    # A coronal plane half way to the nipples cuts two separate breasts.
    depth = np.flatnonzero(phantom.breast.any(axis=(0, 2)))
    plane = phantom.breast[:, depth[0] + len(depth) // 4, :]
    parts, count = ndimage.label(plane)
    sizes = ndimage.sum_labels(plane, parts, range(1, count + 1))
    centers = ndimage.center_of_mass(plane, parts, range(1, count + 1))
    large = sorted(c[0] for c, s in zip(centers, sizes) if s > 50)
    assert phantom.bilateral
    assert len(large) == 2
    assert large[0] < 60 < large[1]


def test_a_narrow_field_holds_one_breast_unless_two_are_asked_for() -> None:
    small = PhantomSettings(shape=(64, 64, 48), with_tumor=False)
    assert not make_phantom(1_000_005, small).bilateral
    assert make_phantom(1_000_005, replace(small, bilateral=True)).bilateral


def test_dense_breasts_hold_more_gland_and_are_smaller(small_settings: PhantomSettings) -> None:
    def gland_and_volume(density: str) -> tuple[float, float]:
        settings = replace(small_settings, density=density, with_tumor=False)
        cases = [make_phantom(1_000_010 + i, settings) for i in range(4)]
        gland = [(c.labels[c.breast] == Tissue.GLAND).mean() for c in cases]
        return float(np.mean(gland)), float(np.mean([c.breast.sum() for c in cases]))

    fatty, dense = gland_and_volume("a"), gland_and_volume("d")
    assert dense[0] > 3 * fatty[0]
    assert dense[1] < fatty[1]


def test_skin_lies_between_air_and_fat(small_phantom: Phantom) -> None:
    labels = small_phantom.labels
    air_before_fat = (labels[:, :-1] == Tissue.AIR) & (labels[:, 1:] == Tissue.FAT)
    air_before_skin = (labels[:, :-1] == Tissue.AIR) & (labels[:, 1:] == Tissue.SKIN)
    assert air_before_skin.sum() > 20 * air_before_fat.sum()


def test_the_breast_is_in_front_of_bone_and_lung(small_phantom: Phantom) -> None:
    deep = np.isin(small_phantom.labels, [Tissue.BONE, Tissue.LUNG, Tissue.LIVER])
    assert not (deep & small_phantom.breast).any()
    rows = np.arange(small_phantom.labels.shape[1])[None, :, None]
    assert (rows * deep).sum() / deep.sum() > (rows * small_phantom.breast).sum() / max(
        small_phantom.breast.sum(), 1
    )


@pytest.mark.parametrize("density", ["a", "d"])
def test_the_asked_density_is_reported(density: str) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), density=density, with_tumor=False)
    assert make_phantom(1_000_020, settings).density == density


def test_skin_shows_unevenly_and_is_labelled_everywhere() -> None:
    settings = PhantomSettings(shape=(64, 64, 48), spacing=(1.5, 1.5, 1.5), with_tumor=False)
    anatomy = build_anatomy(settings, Randomness.stages(1_000_021, 1)[0])
    outermost = anatomy.torso.body & (anatomy.torso.skin_depth < 0.4)
    shown = anatomy.skin_weight[outermost]
    assert shown.min() < 0.6 * shown.max()
    labels = anatomy.labels[outermost]
    named = (labels == Tissue.SKIN) | (labels == Tissue.NIPPLE) | (labels == Tissue.AIR)
    assert named.float().mean() > 0.99
