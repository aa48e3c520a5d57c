"""Subtraction channels: recognised whatever their scale, and right where a tumor was painted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import ball, seeded
from breast_series import series_image
from pretend_accelerator import PretendAccelerator
from synbt_aug.signal.subtraction import LEAST_R2, fit_channel, recomputed

SUPPORT = torch.nn.functional.pad(ball(20, 8), (26, 26, 26, 26, 20, 16))


def painted(image: Tensor) -> Tensor:
    """Something bright, other in each scan, inside the support."""
    new = torch.rand(image.shape, generator=seeded(4)) * 300
    return torch.where(SUPPORT, new, image.float()).to(image.dtype)


@pytest.mark.parametrize("gain, offset", [(1.0, 0.0), (0.02, -1.3), (-4.0, 250.0)])
def test_a_subtraction_in_any_scale_is_recognised_and_recomputed(
    gain: float, offset: float
) -> None:
    before = series_image().double()
    after = painted(before)

    def subtraction(image: Tensor) -> Tensor:
        return gain * (image[1] - image[0]) + offset

    fit = fit_channel(subtraction(before), before)
    assert fit.holds and float(fit.r2) == pytest.approx(1.0)
    new = recomputed(subtraction(before), fit, before, after, SUPPORT)
    inside = subtraction(after)[SUPPORT].clamp_min(float(fit.floor))
    assert torch.allclose(new[SUPPORT], inside, atol=abs(gain) * 1e-3)


def test_outside_the_support_it_is_bitwise_as_it_was() -> None:
    before = series_image()
    channel = before[2] - before[0]
    fit = fit_channel(channel, before)
    new = recomputed(channel, fit, before, painted(before), SUPPORT)
    assert torch.equal(new[~SUPPORT], channel[~SUPPORT])
    assert (new != channel)[SUPPORT].float().mean() > 0.9


def test_a_subtraction_that_was_cut_off_at_zero_stays_so() -> None:
    before = (series_image()[:2] * 8).to(torch.int16)
    after = painted(before)
    channel = (before[1] - before[0]).clamp_min(0)
    assert (channel == 0).float().mean() > 0.2
    fit = fit_channel(channel, before)
    new = recomputed(channel, fit, before, after, SUPPORT)
    assert new.dtype == torch.int16
    assert (new - (after[1] - after[0]).clamp_min(0))[SUPPORT].abs().max() <= 1


def test_padding_is_left_out_of_the_fit() -> None:
    before = series_image()
    channel = before[1] - before[0] + 40
    valid = torch.zeros(channel.shape, dtype=torch.bool)
    valid[:, 10:-10] = True
    filled = torch.where(valid, channel, torch.tensor(90.0))
    assert fit_channel(filled, before, valid).holds
    assert not fit_channel(filled, before).holds


@pytest.mark.parametrize("what", ["another sequence", "magnitude", "constant"])
def test_what_is_no_subtraction_is_not_taken_for_one(what: str) -> None:
    image = series_image()
    channel = {
        "another sequence": image[2] * 0.3 + torch.rand(image.shape[1:], generator=seeded(1)) * 40,
        "magnitude": (image[1] - image[0]).abs(),
        "constant": torch.full(image.shape[1:], 3.0),
    }[what]
    fit = fit_channel(channel, image[:2])
    assert not fit.holds and float(fit.r2) < LEAST_R2


def test_two_equal_scans_do_not_break_the_fit() -> None:
    image = series_image()[[0, 1, 1]]
    channel = image[1] - image[0]
    fit = fit_channel(channel, image)
    assert fit.holds
    assert torch.isfinite(fit.weights).all() and float(fit.weights[1:].sum()) == pytest.approx(1.0)


def test_nothing_is_waited_for() -> None:
    image = series_image()
    with PretendAccelerator() as there:
        far, support = there.put(image), there.put(SUPPORT)
        fit = fit_channel(far[1] - far[0], far)
        recomputed(far[1] - far[0], fit, far, far * 2, support)
    assert there.waits == []
