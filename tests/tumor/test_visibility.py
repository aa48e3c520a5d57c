"""Visibility: whether a label tells the truth."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import ball, examples, seeded
from synbt_aug.tumor.visibility import (
    CONTRAST_TO_NOISE,
    VISIBLE_SHARE,
    Visibility,
    measure_visibility,
)

SIDE = 40
LABEL = ball(SIDE, 8)
ALL = torch.ones(SIDE, SIDE, SIDE, dtype=torch.bool)


def scan(
    contrast: float = 1.0, noise: float = 0.05, where: Tensor = LABEL, seed: int = 0
) -> Tensor:
    signal = torch.zeros(2, SIDE, SIDE, SIDE)
    signal[1, where] = contrast
    return signal + noise * torch.randn(signal.shape, generator=seeded(seed))


@given(contrast=st.floats(0.5, 3.0), sign=st.sampled_from([1, -1]))
@examples(10)
def test_contrast_is_tumor_less_shell(contrast: float, sign: int) -> None:
    seen = measure_visibility(scan(sign * contrast), LABEL, ALL)
    # Smoothing by .8 mm dims the outermost voxels of a ball of 8 mm.
    assert seen.contrast == pytest.approx(sign * contrast, rel=0.12)
    assert seen.share > VISIBLE_SHARE
    assert seen.contrast_to_noise > 0


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_noise_is_the_grain_around_the_tumor(noise: float) -> None:
    seen = measure_visibility(scan(noise=noise), LABEL, ALL)
    # What a Gaussian of .8 voxels takes away from white noise has the variance 1 - 2 g^3 + h^3
    # with g = .499, its peak, and h = .353, the sum of its squares: an SD of .89.
    assert seen.contrast_to_noise == pytest.approx(seen.contrast / (0.89 * noise), rel=0.05)


def test_half_a_tumor_is_half_visible() -> None:
    half = LABEL.clone()
    half[20:] = False
    assert measure_visibility(scan(where=half), LABEL, ALL).share == pytest.approx(0.5, abs=0.08)


def test_a_dark_core_inside_a_rim_is_visible() -> None:
    rim = LABEL & ~ball(SIDE, 4)
    assert measure_visibility(scan(where=rim), LABEL, ALL).share > VISIBLE_SHARE


def test_a_dark_core_that_opens_to_the_outside_is_not() -> None:
    open_rim = LABEL & ~ball(SIDE, 5)
    open_rim[20:] = False
    seen = measure_visibility(scan(where=open_rim), LABEL, ALL)
    assert seen.share < 0.6


def test_voxels_outside_the_label_count_for_nothing() -> None:
    disturbed = scan()
    far = ~ball(SIDE, 18)
    disturbed[1, far] = 9.0
    # Beyond the shell of 2 to 6 mm.
    plain = measure_visibility(scan(), LABEL, ALL)
    assert measure_visibility(disturbed, LABEL, ALL).contrast == pytest.approx(
        plain.contrast, rel=1e-4
    )


def test_the_shell_is_taken_from_tissue_alone() -> None:
    signal = scan()
    # Bright fat from 3 mm off the tumor on, in the half that does not count as tissue.
    half = torch.zeros_like(LABEL)
    half[:, :, 20:] = True
    signal[1, half & ~ball(SIDE, 11)] += 5.0
    around = ALL.clone()
    around[:, :, 16:] = False
    plain = measure_visibility(scan(), LABEL, around).contrast
    assert measure_visibility(signal, LABEL, around).contrast == pytest.approx(plain, rel=0.02)
    assert measure_visibility(signal, LABEL, ALL).contrast < 0


def test_only_post_contrast_is_looked_at() -> None:
    signal = scan()
    other = signal.clone()
    other[0] = 7.0
    assert measure_visibility(other, LABEL, ALL) == measure_visibility(signal, LABEL, ALL)


@pytest.mark.parametrize("around", [ALL & False, LABEL])
def test_without_tissue_around_everything_else_is_the_surroundings(around: Tensor) -> None:
    seen = measure_visibility(scan(), LABEL, around)
    assert seen.contrast == pytest.approx(1.0, rel=0.15)


def test_a_label_stands_from_the_least_contrast_and_share_on() -> None:
    assert Visibility(VISIBLE_SHARE, 1.0, CONTRAST_TO_NOISE).convinces(False)
    assert not Visibility(VISIBLE_SHARE - 0.01, 1.0, CONTRAST_TO_NOISE).convinces(False)
    assert not Visibility(1.0, 1.0, CONTRAST_TO_NOISE - 0.01).convinces(False)


def test_a_faint_tumor_stands_only_where_it_was_asked_for() -> None:
    faint = Visibility(0.5, 0.01, 0.2)
    assert faint.convinces(True) and not faint.convinces(False)


def test_a_bright_tumor_in_the_wrong_place_never_stands() -> None:
    astray = Visibility(0.5, 1.0, 20.0)
    assert not astray.convinces(True) and not astray.convinces(False)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (Visibility(0.8996, 1.0, 9.0), "89.96% of the label shows (at least 90%)"),
        (Visibility(0.95, 1.0, 1.496), "contrast 1.496 times the noise (at least 1.5)"),
        (Visibility(0.95, 1.0, 9.0, changed=0.4996), "49.96% of its voxels hold another value"),
        (Visibility(0.8, 1.0, 0.5), "80% of the label shows"),
    ],
)
def test_a_complaint_shows_digits_until_the_value_is_not_its_limit(
    seen: Visibility, says: str
) -> None:
    complaint = seen.complaint(contrast_was_asked=False)
    assert complaint is not None and says in complaint


def test_nine_voxels_of_ten_are_enough() -> None:
    label = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.bool)
    label[10:20, 10:20, 10:20] = True
    signal = torch.zeros(2, SIDE, SIDE, SIDE)
    signal[1, label] = 1.0
    # An open tenth: the last slice of the box.
    signal[1, 19, 10:20, 10:20] = 0.0
    seen = measure_visibility(signal, label, ALL)
    assert seen.share == pytest.approx(VISIBLE_SHARE, abs=1e-5) and seen.convinces(
        contrast_was_asked=False
    )
