"""What `synbt evaluate` writes: Markdown to read, CSV to compute with, JSON with everything."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synbt_aug.evaluate.compare_methods import Comparison
from synbt_aug.evaluate.segmentation import KINDS, METRICS, CaseScore, Interval, Scores
from synbt_aug.support.files import write_json, written_whole

#: What an empty mask counts; the same words wherever the means are shown.
EMPTY_MASKS = (
    "Where prediction and reference are both empty (correctly empty), Dice is 1 and the distances "
    "are 0. Where one of them is empty (missed: the prediction; false alarm: the reference), Dice "
    "is 0 and there is no distance: such a case is left out of the means of the distances, which "
    "then look better than the method is. The table says how many."
)
DEFINITIONS = (
    "Distances in mm, by MedPy, from surface voxel to nearest surface voxel. HD95: percentile 95 "
    "of both directions together. ASD: mean from the prediction's surface to the reference's. "
    "ASSD: mean of both directions together. Papers call either of these two MSD."
)
METRIC_NAMES = {"dice": "Dice", "hd95_mm": "HD95, mm", "asd_mm": "ASD, mm", "assd_mm": "ASSD, mm"}
_EMPTY_KINDS = KINDS[1:]
MEAN_COLUMNS = ("metric", "method", "mean", "cases")
METHOD_COLUMNS = ("method", *METRIC_NAMES.values(), "cases with distances", *_EMPTY_KINDS)
DIFFERENCE_COLUMNS = ("metric", "method", "difference", "cases", "better / worse", "p", "p (Holm)")
# Fewer cases that differ than this, and no p-value of a signed-rank test lies below .05.
_FEWEST_FOR_P = 6


def method_rows(scores: Mapping[str, Scores]) -> list[tuple[str, ...]]:
    """One row a method, as the table shows it: `METHOD_COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    for method, found in scores.items():
        counts = found.counts
        measured = sum(case.hd95_mm is not None for case in found.cases)
        means = (shown(found.means[metric], metric) for metric in METRICS)
        empty = (str(counts[kind]) for kind in _EMPTY_KINDS)
        rows.append((method, *means, f"{measured} of {len(found.cases)}", *empty))
    return rows


def mean_rows(scores: Mapping[str, Scores]) -> list[tuple[str, ...]]:
    """The means one below another, for a narrow screen: `MEAN_COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    for metric, name in METRIC_NAMES.items():
        for method, found in scores.items():
            mean = found.means[metric]
            count = 0 if mean is None else mean.count
            rows.append((name, method, shown(mean, metric), f"{count} of {len(found.cases)}"))
    return rows


def empty_masks_of(scores: Scores) -> str:
    """`2 missed, 0 false alarm, 1 correctly empty`."""
    return ", ".join(f"{scores.counts[kind]} {kind}" for kind in _EMPTY_KINDS)


def difference_rows(comparisons: Iterable[Comparison]) -> list[tuple[str, ...]]:
    """One row a metric and method: `DIFFERENCE_COLUMNS`."""
    return [
        (
            METRIC_NAMES[one.metric],
            one.method,
            shown(one.difference, one.metric, sign="+"),
            str(0 if one.difference is None else one.difference.count),
            f"{one.better} / {one.worse}",
            _shown_p(one.p),
            _shown_p(one.p_holm),
        )
        for one in comparisons
    ]


def shown(value: Interval | None, metric: str, sign: str = "") -> str:
    """`0.712 [0.650, 0.770]`: three digits of Dice, two of mm; a dash where there is no value."""
    if value is None:
        return "–"
    form = f"{sign}.{3 if metric == 'dice' else 2}f"
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def cautions(scores: Mapping[str, Scores], comparisons: Sequence[Comparison]) -> list[str]:
    """What to know before the figures are believed, a sentence each."""
    said = []
    references = [case for found in list(scores.values())[:1] for case in found.cases]
    if not any(case.reference_ml > 0 for case in references):
        said.append("No reference holds a tumor: Dice only says which predictions are empty.")
    if len(references) < _FEWEST_FOR_P:
        said.append(
            f"Of {len(references)} case{'s' * (len(references) != 1)} an interval says little."
        )
    differ = [one.better + one.worse for one in comparisons]
    if any(0 < count < _FEWEST_FOR_P for count in differ):
        said.append(
            f"Where fewer than {_FEWEST_FOR_P} cases differ, no p below .05 is possible, whatever "
            "the difference."
        )
    return said


def to_markdown(
    title: str,
    scores: Mapping[str, Scores],
    comparisons: Sequence[Comparison],
    facts: Mapping[str, Any],
) -> str:
    """The whole evaluation as Markdown.

    Args:
        title: Heading.
        scores: By method's name.
        comparisons: Of these methods; none with one method.
        facts: How they came about: name -> value.
    """
    percent = f"{100 * next(iter(scores.values())).confidence:g} %"
    lines = [f"# {title}", ""]
    for caution in cautions(scores, comparisons):
        lines += [f"**{caution}**", ""]
    lines += ["## Means", "", f"Mean over cases [{percent} interval, bootstrap over cases].", ""]
    lines += _grid(METHOD_COLUMNS, method_rows(scores))
    if comparisons:
        lines += [f"## Differences from {comparisons[0].baseline}", ""]
        lines += [
            f"Method minus {comparisons[0].baseline}, case by case [{percent} interval, bootstrap "
            "over cases]: above 0 is better for Dice, below 0 for distances. Distances over the "
            "cases where both have one, unlike the means above, which are of each method's own "
            "cases. p: Wilcoxon's signed-rank test, two-sided; Holm's correction over the "
            "methods, metric by metric.",
            "",
        ]
        lines += _grid(DIFFERENCE_COLUMNS, difference_rows(comparisons))
    lines += ["## Empty masks", "", EMPTY_MASKS, "", "## Distances", "", DEFINITIONS, ""]
    lines += ["## Made with", "", *(f"- {name}: {value}" for name, value in facts.items())]
    return "\n".join(lines) + "\n"


def write_evaluation(
    folder: str | os.PathLike[str],
    title: str,
    scores: Mapping[str, Scores],
    comparisons: Sequence[Comparison],
    facts: Mapping[str, Any],
) -> Path:
    """Write evaluation.md, evaluation.json, cases.csv, methods.csv and differences.csv.

    Args:
        folder: Where to; it exists.
        title: Of the page.
        scores: By method's name.
        comparisons: Of these methods; with none, differences.csv has a header only.
        facts: How they came about; JSON-ready.

    Returns:
        The path of evaluation.md.
    """
    folder = Path(folder)
    _write_csv(folder / "cases.csv", [_case_row(m, c) for m, s in scores.items() for c in s.cases])
    _write_csv(folder / "methods.csv", [_method_row(m, s) for m, s in scores.items()])
    columns = ("method", "baseline", "metric", "mean", "low", "high", "cases", "better", "worse")
    rows = [_difference_row(one) for one in comparisons]
    _write_csv(folder / "differences.csv", rows, (*columns, "p", "p_holm"))
    everything = {
        "facts": dict(facts),
        "empty_masks": EMPTY_MASKS,
        "methods": {method: found.to_dict() for method, found in scores.items()},
        "comparisons": [one.to_dict() for one in comparisons],
    }
    write_json(folder / "evaluation.json", everything)
    markdown = folder / "evaluation.md"
    with written_whole(markdown) as unfinished:
        unfinished.write_text(to_markdown(title, scores, comparisons, facts), encoding="utf-8")
    return markdown


def _case_row(method: str, case: CaseScore) -> dict[str, Any]:
    values = case.to_dict()
    return {"method": method, "case": values.pop("name"), **values}


def _method_row(method: str, found: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method, "cases": len(found.cases)}
    for metric in METRICS:
        mean = found.means[metric]
        ends = dict.fromkeys(("mean", "low", "high", "count")) if mean is None else asdict(mean)
        ends["count"] = ends["count"] or 0
        row |= {f"{metric}_{end}": value for end, value in ends.items()}
    return row | {kind.replace(" ", "_"): count for kind, count in found.counts.items()}


def _difference_row(one: Comparison) -> dict[str, Any]:
    row = one.to_dict()
    ends = row.pop("difference") or {"count": 0}
    return {**row, **{k: ends.get(k) for k in ("mean", "low", "high")}, "cases": ends["count"]}


def _write_csv(path: Path, rows: list[dict[str, Any]], columns: Sequence[str] = ()) -> None:
    """What is None stays empty."""
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(_cell(words) for words in row) + " |" for row in rows]
    return [*lines, ""]


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


def _shown_p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
