from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from some_slices import TISSUE, TUMOR, UPTAKE, disc, slice_of
from synbt_aug.evaluate.slices import TumorSlice
from synbt_aug.evaluate.slices.lesion import find_lesion
from synbt_aug.evaluate.slices.signal import RING, SIGNAL, ring_features, signal_features


def features(made: TumorSlice) -> dict[str, float]:
    found = find_lesion(made)
    assert found is not None
    return signal_features(found) | ring_features(found)


def test_features_come_in_the_stated_order() -> None:
    assert tuple(features(slice_of(disc(10)))) == (*SIGNAL, *RING)


def test_levels_of_a_disc_are_those_it_was_made_with() -> None:
    found = features(slice_of(disc(16)))
    # The edge's smoothing takes a little off the mean.
    assert found["early"] == pytest.approx(UPTAKE / TUMOR, rel=0.03)
    assert found["contrast_pre"] == pytest.approx(TUMOR / TISSUE, rel=0.03)
    assert found["contrast_post"] == pytest.approx((TUMOR + UPTAKE) / TISSUE, rel=0.04)
    assert found["ring_enhancement"] == pytest.approx(0, abs=1e-3)
    assert found["ring_cv"] == pytest.approx(0, abs=1e-3)


def test_tissue_that_enhances_by_half_says_half() -> None:
    made = slice_of(disc(10))
    image = made.image.copy()
    image[1, ~disc(10)] *= 1.5
    assert features(replace(made, image=image))["ring_enhancement"] == pytest.approx(0.5, abs=0.01)


def test_a_bright_rim_is_above_one() -> None:
    made = slice_of(disc(12))
    image = made.image.copy()
    image[1, disc(6)] -= 80
    assert features(replace(made, image=image))["rim"] > 1.15 > 1 > features(made)["rim"]


def test_grain_is_texture_and_slow_change_is_none() -> None:
    made, random = slice_of(disc(14)), np.random.default_rng(0)
    grain, slow = made.image.copy(), made.image.copy()
    grain[1] += random.normal(0, 80, (80, 80))
    slow[1] *= 1 + 0.3 * np.sin(np.arange(80) / 12)[:, None]
    plain = features(made)["texture"]
    assert features(replace(made, image=grain))["texture"] > 1.5 * plain
    assert features(replace(made, image=slow))["texture"] < 1.2 * plain
    assert features(replace(made, image=grain))["ring_texture"] > 0.1


def test_a_factor_on_the_signal_changes_nothing() -> None:
    made = slice_of(disc(10))
    one, other = features(made), features(replace(made, image=made.image * 16))
    assert one == pytest.approx(other)
