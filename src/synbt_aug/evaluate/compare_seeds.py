"""Several trainings of each method, by their seeds: means and differences over seeds and cases.

One training says nothing about the next. Here both vary: each resample draws cases, the same for
all methods, so that differences are paired, and for every method its seeds anew. A case's value is
its mean over the drawn seeds; a method's value is the mean over the drawn cases.

Seeds of two methods are drawn apart even where they bear the same numbers: two trainings have
little more in common than their data. With S seeds the spread between them is taken as (S - 1) / S
of what it is, as with every bootstrap of few values; with one seed it is taken as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.compare_methods import check_same_cases, pick_baseline, values_of
from synbt_aug.evaluate.segmentation import Interval, Scores

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedComparison:
    """One metric of all methods.

    Args:
        metric: Which one.
        baseline: What the others are compared with.
        means: By method, over seeds and cases; None where no case has the metric.
        differences: By method, without the baseline: method minus baseline, over the cases where
            both have the metric in at least one seed; likewise.
        seeds: By method: how many.
        confidence: Of the intervals.
    """

    metric: str
    baseline: str
    means: Mapping[str, Interval | None]
    differences: Mapping[str, Interval | None]
    seeds: Mapping[str, int]
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def compare_seeds(
    scores: Mapping[str, Mapping[int, Scores]],
    *,
    metric: str = "dice",
    baseline: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> SeedComparison:
    """Hold methods against each other by all their trainings.

    Args:
        scores: By method's name and training's seed, all of the same cases; methods may have
            different numbers of seeds.
        metric: One of `METRICS`.
        baseline: A method's name; None takes the first.
        confidence: Between 0 and 1.
        resamples: Of the bootstrap.
        seed: Of a generator of its own.

    Raises:
        SynBTError: If a method has no training, the baseline is none of the methods, or cases
            differ.
    """
    base = pick_baseline(tuple(scores), baseline)
    if bare := [method for method, trained in scores.items() if not trained]:
        raise SynBTError(f"compare_seeds needs a training of each method, got none of {bare[0]}.")
    if not 0 < confidence < 1 or resamples < 1:
        raise SynBTError(
            f"compare_seeds needs a confidence between 0 and 1 and resamples from 1 on, "
            f"got {confidence} and {resamples}."
        )
    check_same_cases(
        {f"{m}, seed {s}": found for m, trained in scores.items() for s, found in trained.items()}
    )
    values = {
        method: np.stack([values_of(found, metric) for found in trained.values()])
        for method, trained in scores.items()
    }
    cases = values[base].shape[1]
    random = np.random.default_rng(seed)
    # Cases first: with seeds that are all alike, this is `bootstrap_mean` to the last draw.
    drawn = random.integers(0, cases, (resamples, cases))
    whole = {method: _over_seeds(v, np.ones((1, len(v))))[0] for method, v in values.items()}
    resampled = {m: _over_seeds(v, _counts(random, len(v), resamples)) for m, v in values.items()}
    return SeedComparison(
        metric,
        base,
        {m: _interval(whole[m], resampled[m], drawn, confidence) for m in scores},
        {
            m: _interval(whole[m] - whole[base], resampled[m] - resampled[base], drawn, confidence)
            for m in scores
            if m != base
        },
        {method: len(trained) for method, trained in scores.items()},
        confidence,
    )


def _counts(random: np.random.Generator, seeds: int, resamples: int) -> _Floats:
    """How often each seed is drawn, shape `(resamples, seeds)`."""
    drawn = random.integers(0, seeds, (resamples, seeds))
    return (drawn[:, :, None] == np.arange(seeds)).sum(axis=1).astype(np.float64)


def _over_seeds(values: _Floats, counts: _Floats) -> _Floats:
    """Each case's mean over the drawn seeds that have a value; nan where none has.

    Args:
        values: Shape `(seeds, cases)`, with nan.
        counts: Shape `(resamples, seeds)`.

    Returns:
        Shape `(resamples, cases)`.
    """
    known = ~np.isnan(values)
    total = counts @ np.where(known, values, 0.0)
    many = counts @ known.astype(np.float64)
    return np.where(many > 0, total / np.maximum(many, 1.0), np.nan)


def _interval(
    whole: _Floats, resampled: _Floats, drawn: NDArray[np.int64], confidence: float
) -> Interval | None:
    """Mean over cases and its percentile interval.

    Args:
        whole: Value of each case by all seeds, shape `(cases,)`, with nan.
        resampled: The same by the drawn seeds, shape `(resamples, cases)`.
        drawn: Indices of the drawn cases, likewise.
        confidence: Between 0 and 1.
    """
    known = whole[~np.isnan(whole)]
    if not len(known):
        return None
    picked = np.take_along_axis(resampled, drawn, axis=1)
    # A resample may draw nothing but cases without a value: it has no mean.
    picked = picked[~np.isnan(picked).all(axis=1)]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.nanmean(picked, axis=1), (tail, 100 - tail))
    return Interval(float(known.mean()), float(low), float(high), len(known))
