from __future__ import annotations

import math

import pytest

from synbt_aug.support.wording import shown_beside


@pytest.mark.parametrize(
    ("value", "limit", "says"),
    [
        (0.8997, 0.9, "89.97%"),
        (0.899999, 0.9, "89.9999%"),
        (0.84, 0.9, "84%"),
        (0.9, 0.9, "90%"),
        (0.9004, 0.9, "90.04%"),
        (0.91, 0.9, "91%"),
    ],
)
def test_a_percentage_lies_where_its_value_lies(value: float, limit: float, says: str) -> None:
    assert shown_beside(value, limit, percent=True) == says


@pytest.mark.parametrize(
    ("value", "says"), [(0.6249, "0.6249"), (0.617, "0.617"), (0.6, "0.60"), (1.604, "1.604")]
)
def test_a_number_between_two_limits_lies_where_its_value_lies(value: float, says: str) -> None:
    assert shown_beside(value, 0.62, 0.625, 1.6, places=2) == says


def test_without_limits_the_places_are_those_asked_for() -> None:
    assert shown_beside(2 / 3, places=2) == "0.67"
    assert shown_beside(2 / 3, percent=True) == "67%"


def test_numbers_that_are_no_numbers_come_to_an_end() -> None:
    assert shown_beside(math.nan, 0.9) == "nan"
    assert shown_beside(math.inf, 0.9, percent=True) == "inf%"


def test_a_value_next_to_its_limit_is_still_told_from_it() -> None:
    below = math.nextafter(0.5, 0)
    assert float(shown_beside(below, 0.5)) < 0.5
