from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from analytic import ball
from some_windows import some_windows
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.adherence import (
    Adherence,
    dice,
    false_positives,
    measure_adherence,
)
from synbt_aug.evaluate.realism.windows import HEALTHY


class Threshold(nn.Module):
    """Finds what is bright in post."""

    def forward(self, signal: Tensor) -> Tensor:
        return signal[:, 1] - 1.0


def test_dice_is_twice_the_overlap_over_both_sizes() -> None:
    a, b = torch.zeros(2, 4, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4, 4, dtype=torch.bool)
    a[0, 0, 0, :3] = True
    b[0, 0, 0, 2:] = True
    assert dice(a, b).tolist() == pytest.approx([2 * 1 / 5, 1])


def test_tumors_that_fill_half_of_their_mask_adhere_less() -> None:
    real = some_windows(3, gain=2.0, noise=0.1)
    half = some_windows(3, gain=2.0, noise=0.1, names="other")
    half.signal[:, 1, 32:] -= 2.0
    found = measure_adherence(Threshold(), real, half)
    assert found.real == pytest.approx(1, abs=1e-3)
    # Half of the mask, all of the prediction: 2 (1/2) / (3/2).
    assert found.synthetic == pytest.approx(2 / 3, abs=0.01)
    assert found.ratio == pytest.approx(found.synthetic / found.real)


def test_the_same_windows_adhere_by_one() -> None:
    real = some_windows(2, gain=1.0)
    assert measure_adherence(Threshold(), real, real).ratio == 1


def test_a_segmenter_that_finds_no_real_tumor_says_nothing() -> None:
    assert math.isnan(Adherence(0.0, 0.5).ratio)


def test_only_a_find_in_the_marked_place_is_a_false_positive() -> None:
    windows = some_windows(4, gain=0.0, noise=0.0)
    windows.label[:] = ball(64, 8).to(torch.uint8) * HEALTHY
    windows.signal[1, 1][ball(64, 4)] = 2.0
    windows.signal[2, 1][ball(64, 2)] = 2.0
    windows.signal[3, 1][ball(64, 4, (10.0, 10.0, 10.0))] = 2.0
    # A ball of 8 mm in the place counts; one of 4 mm is less than a 6 mm ball; one beside it is
    # not of the place.
    assert false_positives(Threshold(), windows) == [False, True, False, False]


def test_an_empty_set_is_refused() -> None:
    real = some_windows(1)
    with pytest.raises(SynBTError, match="got 1 and 0"):
        measure_adherence(Threshold(), real, real.take([]))
