"""Scores made of numbers, without masks."""

from __future__ import annotations

from collections.abc import Sequence

from synbt_aug.evaluate.segmentation import CaseScore, Scores, summarize


def scores_of(dice: Sequence[float], distances: Sequence[float | None] | None = None) -> Scores:
    """Cases case00, case01, ... A distance of None is a missed case; the default is 1 mm."""
    far = [1.0] * len(dice) if distances is None else distances
    cases = [
        CaseScore(f"case{i:02d}", d, mm, mm, mm, "missed" if mm is None else "both masks", 1.0, 2.0)
        for i, (d, mm) in enumerate(zip(dice, far, strict=True))
    ]
    return summarize(cases, resamples=200)
