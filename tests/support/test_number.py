"""Numbers that a user sets: what is one, what is none, and what the refusal says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.support.number import check_number, check_seed, check_whole


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int64(1)])
def test_a_number_within_its_range_is_a_float_afterwards(value: Any) -> None:
    found = check_number("share", value, 0, 1)
    assert found == value and type(found) is float


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], math.nan, math.inf, -0.1, 1.1, 1j])
def test_what_is_no_number_within_the_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(SynBTError, match=r"share needs a number from 0 to 1, got "):
        check_number("share", value, 0, 1)


@pytest.mark.parametrize("value", [2, 2.0, np.int8(2), np.float64(2)])
def test_a_whole_number_is_an_int_afterwards(value: Any) -> None:
    found = check_whole("count", value, 1, 8)
    assert found == 2 and type(found) is int


@pytest.mark.parametrize("value", [2.5, "2", None, True, math.nan, math.inf])
def test_what_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(SynBTError, match=r"count needs a whole number from 1 to 8, got "):
        check_whole("count", value, 1, 8)


@pytest.mark.parametrize("value", [0, 9, -1, 1e9])
def test_a_whole_number_outside_the_range_is_refused_with_the_range(value: Any) -> None:
    with pytest.raises(SynBTError, match=r"count needs a number from 1 to 8, got "):
        check_whole("count", value, 1, 8)


def test_a_range_may_be_open_above_and_the_error_may_end_in_advice() -> None:
    assert check_number("size", 1e30, 0) == 1e30
    with pytest.raises(SynBTError, match=r"size needs a number from 0 on, got -1\. Try 3\.$"):
        check_number("size", -1, 0, advice="Try 3.")
    with pytest.raises(SynBTError, match=r"size needs a number from 0 on, got inf\.$"):
        check_number("size", math.inf, 0)
    with pytest.raises(SynBTError, match=r"size needs a number from 0 on, got 1000"):
        check_number("size", 10**400, 0)


def test_every_seed_that_is_let_through_is_one_that_torch_takes() -> None:
    for seed in (0, 2**63, 2**64 - 1):
        torch.Generator().manual_seed(check_seed(seed))
    for seed in (-1, 2**64, 10**400):
        with pytest.raises(SynBTError, match=r"seed needs a number from 0 to 18446744073709551615"):
            check_seed(seed)
    with pytest.raises(SynBTError, match="seed needs a whole number"):
        check_seed(0.5)
