from __future__ import annotations

import math

import pytest

from synbt_aug.evaluate.limits import FAIR, GOOD, POOR, UNDECIDED, Limit, worst

SHARE = Limit(good=0.6, fair=0.4, places=0, percent=True)
BEHIND = Limit(good=1.5, fair=2.0, unit="dB")


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        (SHARE, 0.6, GOOD),
        (SHARE, 0.59999, FAIR),
        (SHARE, 0.4, FAIR),
        (SHARE, 0.39999, POOR),
        (SHARE, math.nan, POOR),
        (BEHIND, -3.0, GOOD),
        (BEHIND, 1.5, GOOD),
        (BEHIND, 2.0, FAIR),
        (BEHIND, 2.1, POOR),
    ],
)
def test_a_limit_belongs_to_its_better_side(limit: Limit, value: float, verdict: str) -> None:
    assert limit.verdict(value) == verdict


def test_the_limit_that_was_missed_is_told() -> None:
    assert SHARE.missed(0.7) == ""
    assert SHARE.missed(0.5) == " (good: at least 60%)"
    assert SHARE.missed(0.3) == " (at least 40%)"
    assert BEHIND.missed(1.7) == " (good: at most 1.5 dB)"
    assert BEHIND.missed(9.0) == " (at most 2 dB)"


def test_a_value_is_shown_where_it_lies() -> None:
    assert SHARE.shown(0.5999) + SHARE.missed(0.5999) == "59.99% (good: at least 60%)"
    assert BEHIND.shown(2.04) + BEHIND.missed(2.04) == "2.04 dB (at most 2 dB)"
    assert BEHIND.shown(0.31) == "0.3 dB"


def test_the_worst_verdict_stands_for_all() -> None:
    assert worst([]) == GOOD
    assert worst([GOOD, FAIR, GOOD]) == FAIR
    assert worst([FAIR, POOR, UNDECIDED]) == POOR
    assert worst([GOOD, UNDECIDED, FAIR]) == UNDECIDED
