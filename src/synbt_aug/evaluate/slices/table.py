"""The table of a comparison of slices: a row a feature, a column a set."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synbt_aug.evaluate.slices.comparison import SetComparison
from synbt_aug.evaluate.slices.features import GROUPS, FeatureTable

Rows = list[tuple[str, ...]]


def feature_rows(reference: FeatureTable, sets: Sequence[SetComparison]) -> Rows:
    """Feature, median of the reference, and of each set its median and KS distance.

    Args:
        reference: The real slices.
        sets: The others, the control among them.

    Returns:
        The first row holds the headings.
    """
    rows: Rows = [("feature", "real", *(f"{one.name}: median, KS" for one in sets))]
    for name in GROUPS["all"]:
        cells = (
            f"{digits(one.medians[name])}, {digits(one.distances.get(name, math.nan), 2)}"
            for one in sets
        )
        rows.append((name, digits(reference.median(name)), *cells))
    return rows


def summary_rows(sets: Sequence[SetComparison]) -> Rows:
    """Slices, median KS and AUC of each set; the first row holds the headings."""
    rows: Rows = [("", *(one.name for one in sets))]
    rows.append(("slices", *(str(one.count) for one in sets)))
    for group, features in GROUPS.items():
        cells = (digits(one.median_distance(features), 3) for one in sets)
        rows.append((f"median KS, {group}", *cells))
    for group in GROUPS:
        rows.append((f"AUC, {group}", *(digits(one.areas[group], 3) for one in sets)))
    return rows


def to_markdown(rows: Rows) -> str:
    """Rows as a Markdown table; the first one holds the headings."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others]) + "\n"


def digits(value: float, places: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{places}f}"
