from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from some_scores import scores_of
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.compare_seeds import compare_seeds
from synbt_aug.evaluate.segmentation import Interval, bootstrap_mean

DICE = [0.1, 0.4, 0.5, 0.9]


def _ends(value: Interval | None) -> tuple[float, float, float]:
    assert value is not None
    return value.mean, value.low, value.high


def test_seeds_that_are_all_alike_give_the_plain_bootstrap() -> None:
    found = compare_seeds({"a": {0: scores_of(DICE), 1: scores_of(DICE), 2: scores_of(DICE)}})
    assert _ends(found.means["a"]) == pytest.approx(_ends(bootstrap_mean(DICE)))
    assert found.seeds == {"a": 3} and not found.differences


def test_cases_that_are_all_alike_give_the_bootstrap_of_seeds() -> None:
    # Two seeds of .2 and .6: drawn twice, they give .2, .4 and .6 by chances 1/4, 1/2 and 1/4.
    found = compare_seeds({"a": {0: scores_of([0.2] * 5), 1: scores_of([0.6] * 5)}})
    assert _ends(found.means["a"]) == pytest.approx((0.4, 0.2, 0.6))
    half = compare_seeds({"a": {0: scores_of([0.2] * 5), 1: scores_of([0.6] * 5)}}, confidence=0.4)
    assert _ends(half.means["a"]) == pytest.approx((0.4, 0.4, 0.4))


def test_a_constant_gain_has_an_interval_of_no_width() -> None:
    # However unlike the cases are: they are drawn in common.
    plain = {seed: scores_of(DICE) for seed in range(3)}
    ours = {seed: scores_of([value + 0.1 for value in DICE]) for seed in range(2)}
    found = compare_seeds({"plain": plain, "ours": ours})
    assert found.baseline == "plain" and list(found.differences) == ["ours"]
    assert _ends(found.differences["ours"]) == pytest.approx((0.1, 0.1, 0.1))


def test_the_spread_of_seeds_widens_the_interval_of_a_difference() -> None:
    random = np.random.default_rng(0)
    cases = random.uniform(0.3, 0.7, 40)
    alike = {seed: scores_of(cases) for seed in range(5)}
    apart = {
        seed: scores_of(cases + shift) for seed, shift in enumerate((-0.1, -0.05, 0, 0.05, 0.1))
    }
    found = compare_seeds({"alike": alike, "apart": apart})
    mean, low, high = _ends(found.differences["apart"])
    # Five values of variance .005: their mean has an SD of sqrt(.001) = .032.
    assert mean == pytest.approx(0, abs=1e-12)
    assert high - low == pytest.approx(2 * 1.96 * 0.0316, rel=0.15)


def test_the_mean_is_over_seeds_and_cases() -> None:
    found = compare_seeds({"a": {0: scores_of([0.0, 0.2]), 7: scores_of([0.4, 1.0])}})
    assert _ends(found.means["a"])[0] == pytest.approx(0.4)


def test_a_case_missed_by_one_seed_counts_by_the_others() -> None:
    first, second = scores_of([0.5] * 3, [2.0, None, None]), scores_of([0.5] * 3, [4.0, 6.0, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_seeds({"a": {0: first, 1: second}, "b": {0: second}}, metric="assd_mm")
    mean, difference = found.means["a"], found.differences["b"]
    assert mean is not None and (mean.mean, mean.count) == (pytest.approx((3 + 6) / 2), 2)
    assert difference is not None and difference.mean == pytest.approx((1 + 0) / 2)


def test_a_metric_that_no_case_has_is_none() -> None:
    blind = {0: scores_of([0.0, 0.0], [None, None])}
    found = compare_seeds({"a": blind, "b": {0: scores_of([0.5, 0.5])}}, metric="hd95_mm")
    assert found.means["a"] is None and found.differences["b"] is None
    assert json.loads(json.dumps(found.to_dict()))["means"]["b"]["mean"] == 1.0


def test_the_same_seed_repeats() -> None:
    scores = {"a": {0: scores_of(DICE), 1: scores_of(DICE[::-1])}}
    assert compare_seeds(scores, seed=1) == compare_seeds(scores, seed=1)
    assert compare_seeds(scores, seed=1) != compare_seeds(scores, seed=2)


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(SynBTError, match="a training of each method, got none of b"):
        compare_seeds({"a": {0: scores_of(DICE)}, "b": {}})
    with pytest.raises(SynBTError, match="but a, seed 1 lacks 1 of 4: case03"):
        compare_seeds({"a": {0: scores_of(DICE), 1: scores_of(DICE[:3])}})
    with pytest.raises(SynBTError, match="confidence between 0 and 1"):
        compare_seeds({"a": {0: scores_of(DICE)}}, confidence=95)
    with pytest.raises(SynBTError, match="The baseline is one of a, not 'b'"):
        compare_seeds({"a": {0: scores_of(DICE)}}, baseline="b")
