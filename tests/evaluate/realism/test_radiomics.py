from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analytic import ball
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.radiomics import (
    LEVELS,
    SPAN,
    first_order,
    ks_of,
    lesion_features,
    median_ks,
    radiomics_of,
    texture,
)
from synbt_aug.evaluate.realism.windows import Windows

WIDTH = (SPAN[1] - SPAN[0]) / LEVELS


def test_two_values_have_the_statistics_of_a_coin() -> None:
    found = first_order(np.array([1.0, 3.0] * 50))
    assert found["mean"] == 2
    assert found["sd"] == 1
    assert found["skewness"] == pytest.approx(0)
    assert found["kurtosis"] == pytest.approx(1)
    assert found["entropy"] == pytest.approx(1)
    assert (found["p10"], found["p90"]) == (1, 3)


def test_a_lesion_of_few_voxels_has_no_statistics() -> None:
    assert all(math.isnan(v) for v in first_order(np.ones(29)).values())
    assert all(math.isnan(v) for v in texture(np.ones((4, 4, 4)), np.eye(4)[None] > 2).values())


def test_a_flat_lesion_has_no_texture() -> None:
    mask = ball(16, 5).numpy()
    found = texture(np.full((16, 16, 16), 1.0), mask)
    assert found["glcm contrast"] == 0
    assert found["glcm homogeneity"] == 1
    assert found["glcm ASM"] == 1
    assert found["glcm entropy"] == 0


def test_stripes_have_the_contrast_that_counting_gives() -> None:
    # Levels alternate by 2 along the last axis. Of the pairs counted, over three sets of slices
    # and four directions, those along that axis (2 of 12) and its diagonals (4 of 12) differ.
    n = 24
    stripes = np.zeros((n, n, n))
    stripes[..., 1::2] = 2 * WIDTH
    found = texture(stripes + WIDTH / 2, np.ones((n, n, n), bool))
    straight, diagonal = n * (n - 1), (n - 1) ** 2
    all_pairs = 3 * (2 * straight + 2 * diagonal)
    differ = 2 * straight + 4 * diagonal
    assert found["glcm contrast"] == pytest.approx(4 * differ / all_pairs)


def test_texture_does_not_look_outside_the_lesion() -> None:
    mask = ball(16, 5).numpy()
    inside = np.random.default_rng(0).uniform(0, 4, (16, 16, 16))
    outside = np.where(mask, inside, 99.0)
    assert texture(inside, mask) == texture(outside, mask)


def test_texture_has_no_preferred_axis() -> None:
    mask = ball(16, 5).numpy()
    channel = np.random.default_rng(0).uniform(0, 4, (16, 16, 16)).cumsum(0) / 5
    turned = texture(channel.transpose(2, 0, 1), mask.transpose(2, 0, 1))
    assert turned == pytest.approx(texture(channel, mask))


def test_features_name_their_channel_and_leave_out_shape() -> None:
    level = np.random.default_rng(0).uniform(0, 4, (2, 16, 16, 16))
    small, large = (lesion_features(level, ball(16, r).numpy()) for r in (3, 6))
    assert list(small) == list(large)
    assert {name.split()[0] for name in small} == {"pre", "post", "subtraction"}
    flat = np.ones_like(level)
    a, b = (lesion_features(flat, ball(16, r).numpy()) for r in (3, 6))
    assert a == pytest.approx(b)


def test_windows_are_measured_in_reference_ranges() -> None:
    label = ball(64, 5)[None].to(torch.uint8)
    signal = torch.full((1, 2, 64, 64, 64), -0.5)
    signal[:, 1] = 1 + math.log(3.0)  # beyond the knee: s = 3, two ranges above low
    found = radiomics_of(Windows(signal.half(), label, ("a",)))
    assert found["pre mean"][0] == pytest.approx(0.25)
    assert found["post mean"][0] == pytest.approx(2.0, rel=1e-3)
    assert found["subtraction mean"][0] == pytest.approx(1.75, rel=1e-3)


def test_equal_samples_have_no_distance_and_separate_ones_all_of_it() -> None:
    a = {"x": np.arange(10.0), "y": np.arange(10.0)}
    b = {"x": np.arange(10.0), "y": np.arange(10.0) + 100}
    found = ks_of(a, b)
    assert found == {"x": 0.0, "y": 1.0}
    assert median_ks(found) == 0.5


def test_lesions_without_a_feature_are_left_out() -> None:
    nan = float("nan")
    found = ks_of({"x": np.array([1.0, nan, 2.0])}, {"x": np.array([1.0, 2.0, nan])})
    assert found == {"x": 0.0}
    assert ks_of({"x": np.array([nan])}, {"x": np.array([1.0])}) == {}
    assert math.isnan(median_ks({}))


def test_other_features_are_refused() -> None:
    with pytest.raises(SynBTError, match="same features"):
        ks_of({"x": np.ones(2)}, {"y": np.ones(2)})
