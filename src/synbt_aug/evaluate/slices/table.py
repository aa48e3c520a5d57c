"""The table of a comparison of slices: a row a feature, a column a set."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synbt_aug.evaluate.slices.comparison import SetComparison
from synbt_aug.evaluate.slices.features import GROUPS, FeatureTable
from synbt_aug.report.page import Facts, Grid, Paragraph, Section, text, write_page
from synbt_aug.support.files import written_whole

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


def write_slice_tables(
    folder: str | os.PathLike[str],
    title: str,
    summary: Rows,
    features: Rows,
    facts: Mapping[str, Any],
) -> Path:
    """Write `realism_slices.html` and `.md`.

    Args:
        folder: Where to; it exists.
        title: Of the page.
        summary: Rows of `summary_rows`.
        features: Rows of `feature_rows`.
        facts: How they came about.

    Returns:
        The page.
    """
    parts = [f"<header><h1>{text(title)}</h1></header>"]
    for heading, words, rows in (
        ("Told apart", _READING, summary),
        ("Feature by feature", _FEATURES, features),
    ):
        parts.append(Section(heading, [Paragraph(words), Grid(rows[0], rows[1:])]).html())
    parts.append(Section("Made with", [Facts(facts)]).html())
    said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    with written_whole(Path(folder) / "realism_slices.md") as unfinished:
        unfinished.write_text(
            f"# {title}\n\n{_READING}\n\n{to_markdown(summary)}\n{_FEATURES}\n\n"
            f"{to_markdown(features)}\n{said}\n",
            encoding="utf-8",
        )
    return write_page(Path(folder) / "realism_slices.html", title, parts)


_READING = (
    "AUC of a boosted tree that tells the two sets apart by the features, mean of five "
    "cross-validations; .5: it cannot. Read it beside that of the two halves of the real set."
)
_FEATURES = "Kolmogorov-Smirnov distance to the real set: 0 alike, 1 apart."


def digits(value: float, places: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{places}f}"
