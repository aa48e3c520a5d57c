"""Ranges that a user sets: how they are typed, what is refused, what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.support.ranges import (
    at,
    check_range,
    check_whole_range,
    draw,
    draw_whole,
    read_range,
    shown,
)


def test_one_number_stays_one_number_and_draws_nothing() -> None:
    generator = seeded()
    before = generator.get_state()
    assert draw(check_range("size", 20, 0, 50), generator) == 20.0
    assert draw_whole(check_whole_range("count", 2, 1, 8), generator) == 2
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("value", [(10, 30), [10, 30], (np.float32(10), np.int64(30))])
def test_a_range_becomes_a_tuple_of_plain_numbers(value: Any) -> None:
    low, high = found = check_range("size", value, 0, 50)  # type: ignore[misc]
    assert found == (10.0, 30.0) and type(low) is type(high) is float
    first, last = check_whole_range("count", value, 1, 50)  # type: ignore[misc]
    assert (first, last) == (10, 30) and type(first) is type(last) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((30, 10), "size needs the smaller number of a range first, got 30:10. Type 10:30."),
        ((10,), r"size needs one number, or two as a range such as \(10, 30\), got \(10,\)"),
        ((10, 20, 30), "or two as a range"),
        ((10, float("nan")), "size needs a number from 0 to 50, got nan. Try 20."),
        ((-1, 10), "size needs a number from 0 to 50, got -1"),
        ((10, 51), "size needs a number from 0 to 50, got 51"),
        ("10:30", "size needs a number from 0 to 50, got '10:30'"),
        (("10", 30), "size needs a number from 0 to 50, got '10'"),
        (None, "got None"),
    ],
)
def test_what_is_no_range_is_refused_by_name(value: Any, message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        check_range("size", value, 0, 50, advice="Try 20.")


def test_a_range_is_read_from_text_and_shown_as_it_is_typed() -> None:
    assert read_range("10:30", float) == (10.0, 30.0) and shown((10.0, 30.0)) == "10:30"
    assert read_range("1.5", float) == 1.5 and shown(1.5) == "1.5"
    assert read_range("1:3", int) == (1, 3)
    for wrong in ("", "10:", ":10", "10:20:30", "ten"):
        with pytest.raises(ValueError):
            read_range(wrong, float)


def test_draws_are_even_and_reach_both_ends() -> None:
    generator = seeded()
    numbers = torch.tensor([draw((2.0, 6.0), generator) for _ in range(2000)])
    assert 2.0 <= float(numbers.min()) < 2.02 and 5.98 < float(numbers.max()) <= 6.0
    # The mean of 2000 has an SD of 4 / sqrt(12 * 2000) = .026.
    assert abs(float(numbers.mean()) - 4.0) < 0.1
    counts = [draw_whole((1, 3), generator) for _ in range(900)]
    assert all(abs(counts.count(n) - 300) < 60 for n in (1, 2, 3)) and len(set(counts)) == 3


def test_a_share_of_the_way_up_stays_within_the_range() -> None:
    assert at((2.0, 6.0), 0.0) == 2.0 and at((2.0, 6.0), 0.25) == 3.0 and at((2.0, 6.0), 1.0) == 6.0
    assert at((0.1, 0.3), 1.0) == 0.3
