"""Looks: around those of templates, as widely as the bank's, and never the same twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytic import seeded
from synbt_aug.tumor.appearance import LIMITS, RIM_RATIO, Appearance
from synbt_aug.tumor.looks import Looks

NAMES = ("enhancement", "heterogeneity", "rim", "pre_contrast")


def bank(count: int, category: str = "mass") -> list[Appearance]:
    """Looks whose numbers go together: the brighter, the more uneven."""
    bright = np.random.default_rng(0).normal(0.6, 0.25, count)
    return [
        Appearance(float(np.expm1(b)), 0.1 * float(np.exp(b)), 1.1, 0.3, category) for b in bright
    ]


def drawn(
    appearances: list[Appearance], count: int = 400, diameter_mm: float = 30.0
) -> list[Appearance]:
    looks, generator = Looks(appearances), seeded()
    return [looks.draw(k % len(appearances), diameter_mm, generator) for k in range(count)]


def column(looks: list[Appearance], name: str) -> np.ndarray:
    return np.array([getattr(one, name) for one in looks])


def test_no_look_comes_twice() -> None:
    found = drawn(bank(3), 24)
    assert all(len(set(column(found, name))) == 24 for name in NAMES)


def test_looks_spread_as_the_bank_s_do() -> None:
    own, found = bank(100), drawn(bank(100), 2000)
    before, after = (np.log1p(column(looks, "enhancement")) for looks in (own, found))
    assert after.mean() == pytest.approx(before.mean(), abs=0.02)
    # The default's spread counts for 4 of 103 tumors.
    assert after.std() == pytest.approx(before.std(), rel=0.08)
    together = [
        np.corrcoef(np.log(column(looks, "heterogeneity")), e)[0, 1]
        for looks, e in ((own, before), (found, after))
    ]
    assert together[0] == pytest.approx(1.0) and together[1] > 0.9


@pytest.mark.parametrize(
    ("diameter_mm", "more"), [(6.0, 0.0), (18.0, 0.0), (30.0, 0.12), (36.0, 0.18), (90.0, 0.18)]
)
def test_the_larger_a_tumor_the_less_even(diameter_mm: float, more: float) -> None:
    own = bank(20)
    small, large = (column(drawn(own, 100, mm), "heterogeneity") for mm in (6.0, diameter_mm))
    assert np.sqrt(large**2 - small**2) == pytest.approx(more, abs=1e-7)
    names = ("enhancement", "rim", "pre_contrast")
    for name in names:
        assert (column(drawn(own, 20, diameter_mm), name) == column(drawn(own, 20), name)).all()


def with_rims(count: int = 40) -> list[Appearance]:
    """Masses, and a few uneven tumors with a rim."""
    return bank(count) + [Appearance(3.0, 0.3 + 0.01 * k, 1.5, 0.3, "rim") for k in range(5)]


def test_some_large_masses_get_rim_and_heterogeneity_of_a_tumor_with_one() -> None:
    own = with_rims()
    looks, generator = Looks(own), seeded()
    found = [looks.draw(k % 40, 30.0, generator) for k in range(2000)]
    rimmed = [one for one in found if one.category == "rim"]
    assert len(rimmed) / len(found) == pytest.approx(0.15, abs=0.03)
    assert column(rimmed, "rim").min() >= RIM_RATIO
    # Unevenness that is added with the diameter, as squares, left out.
    uneven = np.sqrt(column(rimmed, "heterogeneity") ** 2 - 0.12**2)
    assert np.median(uneven) == pytest.approx(0.32, rel=0.15)
    # Of all of them, not of one again and again.
    assert uneven.std() > 0.02
    # What is not of the rim is the mass's own.
    assert np.median(column(rimmed, "enhancement")) == pytest.approx(
        np.median(column(found, "enhancement")), abs=0.15
    )


@pytest.mark.parametrize(
    ("diameter_mm", "like"),
    [
        (17.9, Appearance(0.8, 0.2, 1.1, 0.3, "mass")),
        (30.0, Appearance(0.8, None, 1.1, 0.3, "mass")),
        (30.0, Appearance(0.8, 0.2, 1.0, 0.3, "mass")),
        (30.0, Appearance(0.8, 0.2, 1.1, 0.3, "non-mass")),
    ],
    ids=["small", "of unknown heterogeneity", "without a core", "non-mass"],
)
def test_no_other_tumor_gets_a_rim(diameter_mm: float, like: Appearance) -> None:
    looks, generator = Looks([like, *with_rims()]), seeded()
    found = [looks.draw(0, diameter_mm, generator) for _ in range(100)]
    assert {one.category for one in found} == {like.category}
    assert like.rim != 1.0 or {one.rim for one in found} == {1.0}


@pytest.mark.parametrize("rim", [None, Appearance(0.8, None, 1.5), Appearance(0.8, 0.3, None)])
def test_a_bank_that_knows_no_rims_draws_none(rim: Appearance | None) -> None:
    own = bank(20) if rim is None else [*bank(20), replace(rim, category="rim")]
    looks, generator = Looks(own), seeded()
    found = [looks.draw(k % 20, 30.0, generator) for k in range(200)]
    assert {one.category for one in found} == {"mass"}


def test_where_none_may_be_given_no_rim_is_and_the_rest_is_drawn_alike() -> None:
    own = with_rims()
    looks, first, second = Looks(own), seeded(), seeded()
    for k in range(200):
        one = looks.draw(k % 40, 30.0, first)
        other = looks.draw(k % 40, 30.0, second, rims=False)
        assert other.category == "mass"
        assert one == other or one.category == "rim"


def test_a_look_stays_near_its_template_s() -> None:
    own = bank(100)
    looks, generator = Looks(own), seeded()
    brightest = int(column(own, "enhancement").argmax())
    again = [looks.draw(brightest, 30.0, generator).enhancement for _ in range(200)]
    assert np.mean(again) > np.percentile(column(own, "enhancement"), 90)


def test_one_template_has_the_default_s_spread() -> None:
    found = np.log1p(column(drawn([Appearance(0.8, 0.2, 1.1, 0.3, "mass")]), "enhancement"))
    # One tumor's width is 1: .30 over the square root of two.
    assert found.std() == pytest.approx(0.30 / 2**0.5, rel=0.1)
    assert found.mean() == pytest.approx(np.log1p(0.8), abs=0.03)


def test_a_category_keeps_its_rim() -> None:
    rims = [Appearance(0.8, 0.2, rim, 0.3, "rim") for rim in (1.4, 1.6, 2.2)]
    assert column(drawn(rims), "rim").min() >= RIM_RATIO
    masses = [Appearance(0.8, 0.2, rim, 0.3, "mass") for rim in (0.9, 1.1, 1.3)]
    assert column(drawn(masses), "rim").max() <= RIM_RATIO
    assert {one.category for one in drawn(rims)} == {"rim"}


def test_a_tumor_too_thin_for_a_core_keeps_a_rim_of_one() -> None:
    assert set(column(drawn([Appearance(0.8, 0.2, 1.0, 0.3, "mass")]), "rim")) == {1.0}


def test_what_is_not_known_of_a_template_stays_so() -> None:
    found = drawn([Appearance(0.8), Appearance(1.2)], 8)
    assert all(one.enhancement is not None for one in found)
    assert {(one.heterogeneity, one.rim, one.pre_contrast, one.category) for one in found} == {
        (None, None, None, None)
    }


def test_looks_are_ones_that_a_tumor_can_have() -> None:
    extreme = [Appearance(-0.9, 3.0, 20.0, -5.0, "rim"), Appearance(20.0, 0.0, 0.05, 20.0, "mass")]
    for one in drawn(extreme):
        for name, (low, high) in LIMITS.items():
            assert low <= getattr(one, name) <= high


def test_looks_are_plain_numbers_as_recipes_keep_them() -> None:
    (one,) = drawn(bank(5), 1)
    assert all(type(getattr(one, name)) is float for name in NAMES)


def test_a_seed_gives_the_same_looks_again() -> None:
    assert drawn(bank(5), 10) == drawn(bank(5), 10)
