from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.auc import area_under_curve


def test_scores_that_do_not_overlap_have_an_area_of_one() -> None:
    area = area_under_curve([0.0, 1.0, 2.0], [3.0, 4.0])
    assert (area.value, area.low, area.high) == (1.0, 1.0, 1.0)
    assert not area.holds_half


def test_equal_scores_count_half() -> None:
    assert area_under_curve([1.0, 1.0], [1.0, 1.0, 1.0]).value == 0.5


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    # 1 < 2, 1 < 4, 3 > 2, 3 < 4: three of four.
    assert area_under_curve([1.0, 3.0], [2.0, 4.0]).value == 0.75


def test_to_swap_the_sets_mirrors_the_area() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0, 1, 30), generator.normal(0.7, 1, 40)
    forth, back = area_under_curve(a, b), area_under_curve(b, a)
    assert forth.value == pytest.approx(1 - back.value)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    # Hanley and McNeil, 1982: SE of an AUC of .5 is sqrt((n + m + 1) / (12 n m)).
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=200), generator.normal(size=200)
    area = area_under_curve(a, b)
    expected = 2 * 1.96 * np.sqrt(401 / (12 * 200 * 200))
    assert area.holds_half
    assert area.high - area.low == pytest.approx(expected, rel=0.1)


def test_windows_of_one_case_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=40), generator.normal(size=40)
    names_a, names_b = [f"a{k}" for k in range(40)], [f"b{k}" for k in range(40)]
    once = area_under_curve(a, b, names_a, names_b)
    wrong = area_under_curve(np.repeat(a, 5), np.repeat(b, 5))
    clustered = area_under_curve(
        np.repeat(a, 5), np.repeat(b, 5), list(np.repeat(names_a, 5)), list(np.repeat(names_b, 5))
    )
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.1)
    assert wrong.high - wrong.low < 0.6 * (once.high - once.low)


def test_an_empty_set_and_a_nan_are_refused() -> None:
    with pytest.raises(SynBTError, match="got 0 and 1 scores"):
        area_under_curve([], [1.0])
    with pytest.raises(SynBTError, match="finite"):
        area_under_curve([float("nan")], [1.0])
