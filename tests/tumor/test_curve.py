"""Kinetic curves: what is drawn, what is measured, and what they refuse."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.tumor.curve import (
    BENIGN_SHARES,
    BODY_RISE,
    CURVES,
    PLATEAU,
    Curve,
    draw_curve,
    in_time,
    kind_of,
    measure_course,
)


def late_changes(count: int) -> torch.Tensor:
    """From the first to the last phase, in signal: what the levels leave out is put back."""
    return torch.tensor([draw_curve(k, 1).fractions[0] - 1 + BODY_RISE for k in range(count)])


def test_late_changes_have_the_quantiles_of_patients() -> None:
    found = late_changes(4000).quantile(torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
    expected = torch.tensor([-0.13, -0.05, -0.01, 0.03, 0.13])
    assert (found - expected).abs().max() < 0.02


def test_types_come_with_the_shares_of_patients_and_of_benign_lesions() -> None:
    malignant = Counter(draw_curve(k, 2).kind for k in range(2000))
    benign = Counter(draw_curve(k, 2, benign=True).kind for k in range(2000))
    assert malignant["plateau"] / 2000 == pytest.approx(0.83, abs=0.03)
    assert malignant["washout"] / 2000 == pytest.approx(0.10, abs=0.03)
    assert benign["persistent"] / 2000 == pytest.approx(BENIGN_SHARES[2], abs=0.03)


@pytest.mark.parametrize("kind", CURVES)
def test_a_type_that_is_asked_for_is_drawn(kind: str) -> None:
    changes = [draw_curve(k, 3, kind=kind).fractions[-1] - 1 + BODY_RISE for k in range(100)]
    limits = {"washout": (-1, -PLATEAU), "plateau": (-PLATEAU, PLATEAU), "persistent": (PLATEAU, 1)}
    low, high = limits[kind]
    assert all(low - 0.04 <= change <= high + 0.04 for change in changes)


def test_the_same_seed_draws_the_same_curve() -> None:
    assert draw_curve(7, 4) == draw_curve(7, 4)
    assert draw_curve(7, 4) != draw_curve(8, 4)


def test_a_washout_falls_from_phase_to_phase_ever_more_slowly() -> None:
    curves = [draw_curve(k, 3, kind="washout").fractions for k in range(200)]
    one, two, three = torch.tensor(curves).mean(0).tolist()
    assert 1 - one > one - two > two - three > 0


def test_fractions_of_scans_before_the_painted_one_are_over_it() -> None:
    course = (1.0, 0.8, 0.5)
    assert draw_curve(0, 2, 0, courses=[course]).fractions == pytest.approx((0.8, 0.5))
    assert draw_curve(0, 2, 1, courses=[course]).fractions == pytest.approx((1.25, 0.625))
    assert draw_curve(0, 2, 2, courses=[course]).fractions == pytest.approx((2.0, 1.6))


def test_a_course_of_the_type_asked_for_is_taken_from_those_measured() -> None:
    courses = [(1.0, 0.6), (1.0, 0.95), (1.0, 1.4)]
    for kind, fraction in zip(CURVES, (0.6, 0.95, 1.4), strict=True):
        assert draw_curve(3, 1, kind=kind, courses=courses) == Curve(kind, (fraction,))


def test_a_course_of_more_phases_is_read_between_them() -> None:
    assert draw_curve(0, 2, courses=[(1.0, 0.8, 0.7, 0.6, 0.5)]).fractions == (0.7, 0.5)
    assert draw_curve(0, 4, courses=[(1.0, 0.6)]).fractions == pytest.approx((0.9, 0.8, 0.7, 0.6))


def test_a_measured_course_is_enhancement_over_that_in_the_first_phase() -> None:
    mask = torch.zeros(6, 6, 6, dtype=torch.bool)
    mask[2:4, 2:4, 2:4] = True
    levels = torch.tensor([0.2, 1.2, 1.0, 0.7]).view(4, 1, 1, 1)
    linear = 2 * torch.where(mask, levels, torch.zeros(())) - 1
    assert measure_course(linear, mask) == pytest.approx((1.0, 0.8, 0.5))
    assert measure_course(linear[:2], mask) == ()


def test_a_tumor_that_hardly_enhances_has_no_course() -> None:
    mask = torch.ones(3, 3, 3, dtype=torch.bool)
    levels = torch.tensor([0.2, 0.3, 0.9]).view(3, 1, 1, 1)
    assert measure_course(2 * levels.expand(3, 3, 3, 3) - 1, mask) == ()


def test_the_type_of_a_course_counts_the_body_s_own_rise() -> None:
    assert [kind_of((1.0, 0.9, 1 - BODY_RISE + d)) for d in (-0.2, 0.0, 0.2)] == list(CURVES)


def test_channels_go_into_the_order_of_time() -> None:
    channels = torch.tensor([0, 3, 1, 2, 4]).view(5, 1)
    assert in_time(channels, earlier=2).flatten().tolist() == [0, 1, 2, 3, 4]


def test_a_curve_survives_json() -> None:
    curve = draw_curve(5, 7)
    assert Curve.from_dict(json.loads(json.dumps(curve.to_dict()))) == curve


def test_what_is_no_curve_is_refused() -> None:
    with pytest.raises(
        SynBTError, match="curve needs one of 'washout', 'plateau', 'persistent', g"
    ):
        Curve("rising", (1.0,))
    with pytest.raises(SynBTError, match="Each fraction of a curve needs a number from 0.1 to 5"):
        Curve("plateau", (float("nan"),))
    with pytest.raises(SynBTError, match="at most 7 further phases, got 8"):
        Curve("plateau", (1.0,) * 8)
