from __future__ import annotations

import json
import warnings

import pytest

from some_scores import scores_of
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.compare_methods import Comparison, compare_methods, values_of
from synbt_aug.evaluate.segmentation import METRICS

DICE = [0.2, 0.4, 0.5, 0.6, 0.7, 0.8]


def _by_name(found: tuple[Comparison, ...]) -> dict[tuple[str, str], Comparison]:
    return {(one.method, one.metric): one for one in found}


def test_a_constant_gain_has_an_interval_of_no_width() -> None:
    better = scores_of([value + 0.1 for value in DICE])
    found = _by_name(compare_methods({"plain": scores_of(DICE), "ours": better}))
    dice = found["ours", "dice"]
    assert dice.difference is not None and dice.difference.count == 6
    ends = (dice.difference.mean, dice.difference.low, dice.difference.high)
    assert ends == pytest.approx((0.1, 0.1, 0.1))
    assert (dice.better, dice.worse, dice.p) == (6, 0, pytest.approx(2 / 64))


def test_a_method_like_the_baseline_has_p_1_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_methods({"a": scores_of(DICE), "b": scores_of(DICE)})
    assert [one.metric for one in found] == list(METRICS)
    for one in found:
        assert one.difference is not None and one.difference.mean == 0.0
        assert (one.better, one.worse, one.p, one.p_holm) == (0, 0, 1.0, 1.0)


def test_smaller_distances_are_better() -> None:
    near, far = scores_of([0.5] * 3, [1.0, 2.0, 3.0]), scores_of([0.5] * 3, [2.0, 3.0, 3.0])
    found = _by_name(compare_methods({"far": far, "near": near}))
    hd95 = found["near", "hd95_mm"]
    assert hd95.difference is not None and hd95.difference.mean == pytest.approx(-2 / 3)
    assert (hd95.better, hd95.worse) == (2, 0)


def test_distances_are_compared_where_both_have_one() -> None:
    # Each misses one case; the other two differ by 1 and 3 mm. Dice counts all four.
    first = scores_of([0.0, 0.5, 0.5, 0.5], [None, 2.0, 2.0, 9.0])
    second = scores_of([0.5, 0.5, 0.5, 0.0], [1.0, 3.0, 5.0, None])
    found = _by_name(compare_methods({"first": first, "second": second}))
    assd, dice = found["second", "assd_mm"].difference, found["second", "dice"].difference
    assert assd is not None and (assd.mean, assd.count) == (2.0, 2)
    assert dice is not None and (dice.mean, dice.count) == (0.0, 4)


def test_without_a_common_distance_there_is_no_difference() -> None:
    blind = scores_of([0.0] * 6, [None] * 6)
    one = _by_name(compare_methods({"a": scores_of(DICE), "blind": blind}))["blind", "asd_mm"]
    assert one.difference is None and one.p is None and one.p_holm is None
    assert json.loads(json.dumps(one.to_dict()))["difference"] is None


def test_holm_corrects_over_the_methods_of_a_metric() -> None:
    gains = {"b": [0.1] * 6, "c": [0.1, 0.1, 0.1, 0.1, 0.1, -0.05]}
    scores = {"a": scores_of(DICE)}
    scores |= {n: scores_of([x + y for x, y in zip(DICE, g)]) for n, g in gains.items()}
    found = _by_name(compare_methods(scores))
    # c: the one below has rank 1 of 6, so 20 of 21 lie above: 2 of 64 sums are as large.
    assert found["c", "dice"].p == pytest.approx(2 * 2 / 64)
    assert found["b", "dice"].p_holm == pytest.approx(2 * 2 / 64)
    assert found["c", "dice"].p_holm == pytest.approx(2 * 2 / 64)


def test_the_baseline_is_the_first_or_the_one_named() -> None:
    scores = {name: scores_of(DICE) for name in "abc"}
    assert {one.baseline for one in compare_methods(scores)} == {"a"}
    named = compare_methods(scores, baseline="b")
    assert [one.method for one in named[:2]] == ["a", "c"] and named[0].baseline == "b"
    assert compare_methods({"a": scores_of(DICE)}) == ()
    with pytest.raises(SynBTError, match="The baseline is one of a, b, c, not 'd'"):
        compare_methods(scores, baseline="d")
    with pytest.raises(SynBTError, match="at least one method, got none"):
        compare_methods({})


def test_methods_of_other_cases_are_not_compared() -> None:
    scores = {"a": scores_of(DICE), "b": scores_of(DICE[:-1])}
    with pytest.raises(SynBTError, match="same cases, but b lacks 1 of 6: case05"):
        compare_methods(scores)


def test_a_metric_is_one_of_those_measured() -> None:
    with pytest.raises(SynBTError, match="A metric is one of dice, hd95_mm"):
        values_of(scores_of(DICE), "iou")
