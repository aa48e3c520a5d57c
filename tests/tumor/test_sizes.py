"""Sizes: the default's, a cohort's own, and what lies between them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, lognorm

from synbt_aug.tumor.sizes import LARGEST_MM, LOG_SD, MEDIAN_MM, SMALLEST_MM, Sizes, sizes_of

#: A cohort of small tumors, about lognormal.
SMALL = tuple(float(v) for v in lognorm(0.3, scale=12).ppf((np.arange(60) + 0.5) / 60))


def drawn(sizes: Sizes, max_mm: float = LARGEST_MM) -> list[float]:
    return [sizes.at((k + 0.5) / 500, max_mm) for k in range(500)]


def test_without_a_cohort_sizes_are_those_of_mama_mia() -> None:
    found = drawn(Sizes())
    # 17, 30 and 58 mm at 5, 50 and 95 %.
    assert np.percentile(found, 50) == pytest.approx(MEDIAN_MM, rel=0.02)
    assert np.log(found).std() == pytest.approx(LOG_SD, rel=0.05)
    assert np.percentile(found, 5) == pytest.approx(17, abs=1.5)
    assert np.percentile(found, 95) == pytest.approx(58, abs=4)


def test_a_cohort_s_sizes_are_drawn_as_it_has_them() -> None:
    assert kstest(drawn(Sizes(SMALL)), SMALL).statistic < 0.05


def test_sizes_between_those_of_a_cohort_are_drawn_as_well() -> None:
    two = drawn(Sizes([10.0] * 8 + [20.0] * 8))
    assert len(set(two)) == 500 and sum(13 < size < 15 for size in two) > 20


def test_few_tumors_share_the_weight_with_the_default() -> None:
    few = Sizes([8.0] * 3)
    # 3 of 10 parts lie about 8 mm; of the default's .04 % do.
    assert few.rank_of(10.0) == pytest.approx(0.3, abs=0.02)
    assert few.rank_of(MEDIAN_MM) == pytest.approx(0.3 + 0.7 * 0.5, abs=0.02)
    assert Sizes([8.0] * 10).rank_of(10.0) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("cohort", [(), SMALL, (30.0,)])
def test_a_size_and_its_rank_are_each_other_s_inverse(cohort: tuple[float, ...]) -> None:
    sizes = Sizes(cohort)
    for most in (9.0, 25.0, LARGEST_MM):
        for rank in (0.0, 0.1, 0.5, 0.999):
            diameter = sizes.at(rank, most)
            assert SMALLEST_MM <= diameter <= most
            assert sizes.rank_of(diameter, most) == pytest.approx(rank, abs=1e-6)


@pytest.mark.parametrize("cohort", [(), SMALL])
@pytest.mark.parametrize("most", [4.0, 6.0, 7.0, 12.0, 40.0])
def test_no_diameter_is_smaller_than_six_or_larger_than_the_room(
    cohort: tuple[float, ...], most: float
) -> None:
    found = drawn(Sizes(cohort), most)
    assert min(found) >= SMALLEST_MM and max(found) <= max(most, SMALLEST_MM)


def test_a_breast_s_limit_cuts_the_distribution_off_and_leaves_its_form() -> None:
    sizes = Sizes(SMALL)
    kept = [size for size in SMALL if size <= 14.0]
    assert kstest(drawn(sizes, 14.0), kept).statistic < 0.07


def test_a_distribution_is_made_once() -> None:
    assert sizes_of(SMALL) is sizes_of(tuple(SMALL))
