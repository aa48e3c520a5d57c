from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from synbt_aug.evaluate.p_values import holm, signed_rank_p


def test_signs_that_all_agree_have_two_chances_of_all() -> None:
    # Of the 2^n signs, all above and all below are as extreme.
    assert signed_rank_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == pytest.approx(2 / 64)
    assert signed_rank_p([-1.0, -2.0, -3.0]) == pytest.approx(2 / 8)
    assert signed_rank_p([7.0]) == 1.0


def test_equal_differences_are_exact_too() -> None:
    assert signed_rank_p([0.1] * 5) == pytest.approx(2 / 32)
    # 0.9 - 0.8 and 0.4 - 0.3 differ in their last digit, and are one rank.
    assert signed_rank_p([0.9 - 0.8, 0.4 - 0.3, -0.1]) == 1.0


def test_three_differences_counted_by_hand() -> None:
    # Ranks 1, 2, 3, and 2 lies below: 4 above. Sums of at least 4: {1,3}, {2,3}, {1,2,3}; of 8.
    assert signed_rank_p([1.0, -2.0, 3.0]) == pytest.approx(2 * 3 / 8)


def test_no_difference_at_all_is_p_1_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert signed_rank_p([0.0] * 9) == signed_rank_p([0.0] * 99) == signed_rank_p([]) == 1.0
        assert 0 < signed_rank_p([0.1] * 99) < 1e-9


def test_zeros_change_nothing() -> None:
    assert signed_rank_p([1.0, -2.0, 3.0, 0.0, 0.0]) == signed_rank_p([1.0, -2.0, 3.0])


@pytest.mark.parametrize("count", [4, 11, 25, 50, 51, 80])
def test_without_ties_the_test_is_scipys(count: int) -> None:
    values = np.random.default_rng(count).normal(0.3, 1, count)
    assert signed_rank_p(list(values)) == pytest.approx(stats.wilcoxon(values).pvalue)


def test_the_exact_test_meets_the_normal_limit() -> None:
    values = np.random.default_rng(5).integers(-4, 6, 50).astype(float)
    found = values[values != 0]
    # Twice the values make SciPy take the limit; halving its z takes it back to these.
    z = stats.norm.isf(stats.wilcoxon(np.tile(found, 2)).pvalue / 2) / np.sqrt(2)
    assert signed_rank_p(list(values)) == pytest.approx(2 * stats.norm.sf(z), rel=0.1)


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    # .01 x 3, .03 x 2, then .04 x 1, which may not lie below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == [] and holm([0.2]) == [0.2]
