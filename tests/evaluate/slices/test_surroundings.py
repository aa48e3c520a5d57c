from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from some_slices import SIDE, TISSUE, UPTAKE, disc, slice_of
from synbt_aug.evaluate.slices import TumorSlice
from synbt_aug.evaluate.slices.lesion import find_lesion
from synbt_aug.evaluate.slices.surroundings import SURROUNDINGS, surroundings_features

TUMOR = disc(8)
# Columns from 40 on are three times as bright: gland beside suppressed fat.
HALVES = np.where(np.arange(SIDE) < 40, TISSUE, 3 * TISSUE) * np.ones((SIDE, 1))


def features(made: TumorSlice) -> dict[str, float]:
    found = find_lesion(made)
    assert found is not None
    return surroundings_features(made, found)


def breast(pre: np.ndarray, noise: float = 1.0) -> TumorSlice:
    """The tumor in tissue of one's own, with a little noise."""
    grain = np.random.default_rng(0).normal(0, noise, (2, SIDE, SIDE))
    made = slice_of(TUMOR, pre=np.where(TUMOR, 2 * TISSUE, pre))
    return replace(made, image=(made.image + grain).astype(np.float32))


def test_features_come_in_the_stated_order() -> None:
    assert tuple(features(breast(HALVES))) == SURROUNDINGS


def test_fat_and_gland_are_told_apart_by_their_levels() -> None:
    found = features(breast(HALVES))
    assert found["fat_level"] == pytest.approx(1 / 3, abs=0.01)
    assert found["bright_share"] == pytest.approx(0.5, abs=0.02)
    assert found["air"] == 0 and np.isnan(found["skin"])


def test_enhancement_of_gland_is_told_over_its_level() -> None:
    made = breast(HALVES)
    image = made.image.copy()
    image[1, :, 40:] += 0.3 * 300 * ~TUMOR[:, 40:]
    found = features(replace(made, image=image))
    assert found["background"] == pytest.approx(0.3, abs=0.01)
    assert found["brightest"] == pytest.approx(0.3 * 300 / UPTAKE, abs=0.04)


def test_stripes_run_one_way_and_noise_runs_every_way() -> None:
    stripes = TISSUE * (1.5 + 0.5 * np.sin(np.arange(SIDE) / 1.5)) * np.ones((SIDE, 1))
    one_way = features(breast(stripes))["coherence"]
    every_way = features(breast(HALVES * 0 + TISSUE, noise=10))["coherence"]
    assert one_way > 0.95 and every_way < 0.6


def test_bright_spots_are_counted_per_ten_cm2() -> None:
    made, plain = breast(HALVES, noise=0.1), None
    plain = features(made)["spots"]
    image = made.image.copy()
    for row, column in ((12, 12), (12, 65), (65, 12), (65, 65)):
        image[1, row : row + 2, column : column + 2] += UPTAKE
    assert plain == 0
    # Four of them in some 62 cm2 that are far enough from the tumor.
    assert features(replace(made, image=image))["spots"] == pytest.approx(4 / 6.02, rel=0.02)


def test_lines_are_told_by_their_length_and_blobs_are_no_lines() -> None:
    flat = np.full((SIDE, SIDE), TISSUE)
    line, blobs = flat.copy(), flat.copy()
    line[10:70, 15:17] += 150
    blobs[10:70:12, 15:17] += 150
    blobs[11:70:12, 15:17] += 150
    drawn = features(breast(line, noise=0.1))["lines"]
    # 60 mm in some 60 cm2.
    assert drawn == pytest.approx(1.0, abs=0.1)
    assert features(breast(blobs, noise=0.1))["lines"] < 0.2 * drawn
    assert features(breast(flat, noise=0.1))["lines"] == 0


def test_shading_of_fat_is_its_slow_change_and_not_its_grain() -> None:
    shaded = HALVES * (1 + 0.5 * np.linspace(-1, 1, SIDE))[:, None]
    assert features(breast(shaded))["shading"] > 0.15
    assert features(breast(HALVES, noise=10))["shading"] < 0.02


def test_grain_is_the_noise_of_fat_over_the_level_of_gland() -> None:
    # What is finer than .7 mm keeps most of white noise.
    found = features(breast(HALVES, noise=9))["grain"]
    assert 0.6 * 9 / 300 < found < 9 / 300


def test_coarse_texture_has_a_steeper_slope_than_noise() -> None:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE))
    coarse = gaussian_filter(noise, 4)
    fine_slope = features(breast(TISSUE + 10 * noise))["slope"]
    coarse_slope = features(breast(TISSUE + 10 * coarse / coarse.std()))["slope"]
    # White noise loses half an octave's power in two dimensions: its SD halves with the width.
    assert fine_slope == pytest.approx(-1, abs=0.3)
    assert coarse_slope > 0.5


def test_air_and_skin_are_seen_at_the_body_s_edge() -> None:
    pre = HALVES.copy()
    pre[:, :20] = 0
    pre[:, 20:22] = 4 * TISSUE
    found = features(breast(pre, noise=0.5))
    assert found["air"] == pytest.approx(0.25, abs=0.02)
    assert found["skin"] > 1.5


def test_a_factor_on_the_signal_changes_nothing() -> None:
    made = breast(HALVES)
    one, other = features(made), features(replace(made, image=made.image * 16))
    assert one == pytest.approx(other, nan_ok=True)


def test_too_little_tissue_gives_nan_and_no_error() -> None:
    pre = np.where(disc(14), TISSUE, 0.0)
    assert all(np.isnan(value) for value in features(breast(pre, noise=0.0)).values())
