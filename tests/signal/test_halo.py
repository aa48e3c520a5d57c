from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import ball
from synbt_aug.signal.halo import REACH_MM, with_halo

SIDE = 48
MM = (1.0, 1.0, 1.0)
MIDDLE = SIDE // 2


def scan(*enhancing: Tensor, rise: float = 100.0) -> Tensor:
    """Pre- and post-contrast: 50 everywhere, and so much more where something enhances."""
    generator = torch.Generator().manual_seed(0)
    pair = 50 + torch.randn(2, SIDE, SIDE, SIDE, generator=generator)
    for where in enhancing:
        pair[1] += rise * where
    return pair


def test_what_shows_beside_a_label_belongs_to_it() -> None:
    label, shown = ball(SIDE, 7.0), ball(SIDE, 8.5)
    whole = with_halo(scan(shown), label, MM)
    assert bool(whole[shown].all())
    assert not (whole & ~ball(SIDE, 10.5)).any()


def test_a_vessel_is_followed_as_far_as_the_reach() -> None:
    label = ball(SIDE, 7.0)
    vessel = torch.zeros_like(label)
    vessel[MIDDLE, MIDDLE - 1 : MIDDLE + 2, MIDDLE:] = True
    whole = with_halo(scan(label, vessel & ~label), label, MM)
    along = whole[MIDDLE, MIDDLE].nonzero().flatten()
    assert MIDDLE + 7 < int(along.max()) <= MIDDLE + 7 + REACH_MM


def test_what_does_not_hang_on_it_stays() -> None:
    label = ball(SIDE, 7.0)
    near = torch.zeros_like(label)
    near[MIDDLE, MIDDLE, MIDDLE + 12 : MIDDLE + 16] = True
    assert not (with_halo(scan(label, near), label, MM) & near).any()


def test_other_tumors_stay() -> None:
    label = ball(SIDE, 7.0)
    other = ball(SIDE, 9.0) & ~label
    other[:, :, :MIDDLE] = False
    assert not (with_halo(scan(label, other), label, MM, other) & other).any()


@pytest.mark.parametrize("rise", [0.0, -40.0])
def test_a_tumor_that_does_not_enhance_is_taken_by_its_label(rise: float) -> None:
    label = ball(SIDE, 7.0)
    whole = with_halo(scan(label, rise=rise), label, MM)
    assert int((whole & ~label).sum()) < 0.05 * int(label.sum())


def test_thick_slices_reach_one_slice() -> None:
    label, spacing = ball(SIDE, 7.0), (3.0, 1.0, 1.0)
    shown = label.clone()
    shown[1:] |= label[:-1]
    whole = with_halo(scan(shown), label, spacing)
    assert int((whole & shown & ~label).sum()) > 0.8 * int((shown & ~label).sum())
