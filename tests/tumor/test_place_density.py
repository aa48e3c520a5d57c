"""The density of places: it finds what tumors prefer, and believes few tumors little."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from synbt_aug.tumor.place_density import DEFAULT, KNOTS, PlaceDensity, fit_places

#: So many places are offered to each tumor.
OFFERED = 32


def cohort(count: int, prefers: PlaceDensity, seed: int = 0) -> list[np.ndarray]:
    """Tumors that take one of the places offered, by a density; their own comes first."""
    numbers = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rows = numbers.uniform(0, (50, 70, 100, 1), (OFFERED + 1, 4))
        weight = prefers.weights(rows)
        own = numbers.choice(len(rows), p=weight / weight.sum())
        rows[[0, own]] = rows[[own, 0]]
        found.append(rows)
    return found


def shallow() -> PlaceDensity:
    """Half as likely with each 10 mm below the skin; all else alike."""
    values = np.zeros(KNOTS.shape)
    values[0] = -np.log(2) * KNOTS[0] / 10
    return PlaceDensity(values)


def test_what_tumors_prefer_is_found() -> None:
    fitted = fit_places(cohort(600, shallow()), PlaceDensity(np.zeros(KNOTS.shape)))
    assert fitted.tumors == 600
    curve = np.interp([10, 40], KNOTS[0], fitted.values[0])
    assert curve[0] - curve[1] == pytest.approx(3 * np.log(2), abs=0.5)
    # What they do not mind stays flat.
    assert np.abs(np.ptp(fitted.values[1])) < 1.2


def test_places_drawn_by_the_fit_lie_as_the_tumors_do() -> None:
    fitted = fit_places(cohort(400, shallow()), PlaceDensity(np.zeros(KNOTS.shape)))
    own = np.array([rows[0] for rows in cohort(400, shallow(), seed=1)])
    drawn = np.array([rows[0] for rows in cohort(400, fitted, seed=2)])
    anywhere = np.array([rows[1] for rows in cohort(400, shallow(), seed=1)])
    for column in range(4):
        assert ks_2samp(own[:, column], drawn[:, column]).statistic < 0.1
    assert ks_2samp(own[:, 0], anywhere[:, 0]).statistic > 0.2


def test_a_few_samples_of_what_is_offered_do_not_drive_the_curves_far() -> None:
    # Own places come from 3000, of which 32 others are known: without its own among those that are
    # chosen from, a fit comes out too steep.
    flat = PlaceDensity(np.zeros(KNOTS.shape))
    numbers = np.random.default_rng(3)
    places, everywhere = [], numbers.uniform(0, (50, 70, 100, 1), (3000, 4))
    share = shallow().weights(everywhere)
    for _ in range(600):
        own = everywhere[numbers.choice(len(everywhere), p=share / share.sum())]
        others = everywhere[numbers.choice(len(everywhere), OFFERED, replace=False)]
        places.append(np.concatenate([own[None], others]))
    fitted = fit_places(places, flat)
    truth = np.average(everywhere[:, 0], weights=share)
    drawn = np.average(everywhere[:, 0], weights=fitted.weights(everywhere))
    assert drawn == pytest.approx(truth, abs=1)


def test_few_tumors_move_the_curves_little() -> None:
    flat = PlaceDensity(np.zeros(KNOTS.shape))
    few, many = (np.ptp(fit_places(cohort(n, shallow()), flat).values[0]) for n in (3, 300))
    assert few < 0.4 * many


def test_without_tumors_the_default_is_what_there_is() -> None:
    assert fit_places([]) is DEFAULT
    nowhere = np.full((1 + OFFERED, 4), np.nan)
    nowhere[0] = 20.0
    assert fit_places([nowhere]) is DEFAULT


def test_a_statistic_that_is_not_known_counts_for_nothing() -> None:
    places = cohort(200, shallow())
    for rows in places:
        rows[:, 2] = np.nan
    fitted = fit_places(places, PlaceDensity(np.zeros(KNOTS.shape)))
    assert np.abs(fitted.values[2]).max() < 1e-6
    one = np.array([[20.0, 30.0, 50.0, 0.2], [20.0, 30.0, np.nan, 0.2]])
    assert shallow().weights(one) == pytest.approx([1.0, 1.0])


def test_what_is_not_known_of_some_places_tells_nothing_of_the_others() -> None:
    flat = PlaceDensity(np.zeros(KNOTS.shape))
    places = cohort(200, shallow())
    for rows in places:
        rows[3, 0] = np.nan
    assert np.abs(fit_places(places, flat).values[0]).max() < 1e-6
    # A place whose depth is not known is as likely as the others are in the mean of their logs.
    rows = np.array([[10.0, 9, 9, 0.1], [30.0, 9, 9, 0.1], [np.nan, 9, 9, 0.1]])
    assert shallow().weights(rows) == pytest.approx([1.0, 0.25, 0.5])


def test_a_fit_does_not_depend_on_the_order_of_the_tumors() -> None:
    places = cohort(50, shallow())
    assert np.allclose(fit_places(places).values, fit_places(places[::-1]).values, atol=2e-3)


def test_weights_are_relative_to_the_largest() -> None:
    rows = np.array([[10.0, 20.0, 30.0, 0.1], [20.0, 20.0, 30.0, 0.1], [90.0, 20.0, 30.0, 0.1]])
    # Beyond the last corner the curve goes on level: 90 mm count as 70.
    assert shallow().weights(rows) == pytest.approx([1.0, 0.5, 2.0**-6])
    assert len(shallow().weights(rows[:0])) == 0
