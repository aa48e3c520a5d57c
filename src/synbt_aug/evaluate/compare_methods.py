"""Several methods on the same cases: each one's difference from a baseline, case by case.

The mean difference has a bootstrap interval over cases, and a p-value by Wilcoxon's signed-rank
test, corrected by Holm over the methods, metric by metric. (Over the metrics, too, would be too
strict: they say nearly the same, two of them because the paper names neither.)

A distance is compared on the cases where both methods have one; a case that either missed is left
out, so that no method gains by missing hard cases. Means of distances of single methods may be
of different cases and are not to be compared.

What it leaves out: several trainings of one method, which are in compare_seeds.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synbt_aug.data.layout import shorten
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.p_values import holm, signed_rank_p
from synbt_aug.evaluate.segmentation import METRICS, Interval, Scores, bootstrap_mean

#: The metrics that are better when larger; distances are better when smaller.
LARGER_IS_BETTER = ("dice",)
# Smaller differences are rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Comparison:
    """One method beside the baseline in one metric.

    Args:
        method: Its name.
        baseline: What it is compared with.
        metric: One of `METRICS`.
        difference: Method minus baseline, over the cases where both have the metric; None where
            there is no such case.
        better: Cases where the method is better.
        worse: Cases where the baseline is; all others are equal.
        p: Of Wilcoxon's signed-rank test, two-sided; None where there is no case.
        p_holm: The same after Holm's correction over the methods compared in this metric.
    """

    method: str
    baseline: str
    metric: str
    difference: Interval | None
    better: int
    worse: int
    p: float | None
    p_holm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def compare_methods(
    scores: Mapping[str, Scores],
    *,
    baseline: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Hold every method against the baseline, in every metric.

    Args:
        scores: By method's name, all of the same cases.
        baseline: A method's name; None takes the first.
        resamples: Of the bootstrap.
        seed: Of a generator of its own.

    Returns:
        Metric by metric, method by method; none where the baseline is alone.

    Raises:
        SynBTError: If the baseline is none of the methods, or cases differ.
    """
    check_same_cases(scores)
    base = pick_baseline(tuple(scores), baseline)
    found: list[Comparison] = []
    for metric in METRICS:
        ours = [_compare(name, base, metric, scores, resamples, seed) for name in scores]
        found += _corrected([one for one in ours if one.method != base])
    return tuple(found)


def pick_baseline(methods: tuple[str, ...], baseline: str | None) -> str:
    """The method that the others are held against.

    Raises:
        SynBTError: If there is no method, or none of that name.
    """
    if not methods:
        raise SynBTError("A comparison needs the scores of at least one method, got none.")
    if baseline is not None and baseline not in methods:
        raise SynBTError(f"The baseline is one of {', '.join(methods)}, not {baseline!r}.")
    return methods[0] if baseline is None else baseline


def check_same_cases(scores: Mapping[str, Scores]) -> None:
    """See that all scores are of the same cases.

    Raises:
        SynBTError: If one lacks a case that another has.
    """
    names = {method: {case.name for case in found.cases} for method, found in scores.items()}
    every = set().union(*names.values())
    for method, known in names.items():
        if missing := sorted(every - known):
            raise SynBTError(
                f"Methods are compared on the same cases, but {method} lacks {len(missing)} of "
                f"{len(every)}: {shorten(missing)}."
            )


def values_of(scores: Scores, metric: str) -> NDArray[np.float64]:
    """A metric of every case, sorted by the cases' names, shape `(N,)`; nan where there is none.

    Raises:
        SynBTError: If there is no such metric.
    """
    if metric not in METRICS:
        raise SynBTError(f"A metric is one of {', '.join(METRICS)}, not {metric!r}.")
    cases = sorted(scores.cases, key=lambda case: case.name)
    return np.array([getattr(case, metric) for case in cases], dtype=np.float64)


def _corrected(family: list[Comparison]) -> list[Comparison]:
    corrected = iter(holm([one.p for one in family if one.p is not None]))
    return [one if one.p is None else replace(one, p_holm=next(corrected)) for one in family]


def _compare(
    method: str,
    baseline: str,
    metric: str,
    scores: Mapping[str, Scores],
    resamples: int,
    seed: int,
) -> Comparison:
    apart = values_of(scores[method], metric) - values_of(scores[baseline], metric)
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return Comparison(method, baseline, metric, None, 0, 0, None)
    difference = bootstrap_mean(
        apart.tolist(),
        confidence=scores[baseline].confidence,
        resamples=resamples,
        seed=seed,
    )
    gain = apart if metric in LARGER_IS_BETTER else -apart
    better, worse = int((gain > _TOLERANCE).sum()), int((gain < -_TOLERANCE).sum())
    p = signed_rank_p(apart.tolist())
    return Comparison(method, baseline, metric, difference, better, worse, p)
