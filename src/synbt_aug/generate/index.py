"""Describes a generated folder once all its cases are settled: tables, dataset.json, a page.

Whichever shard ends last does it; done twice, it comes out the same.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synbt_aug.data.raw_dataset import RawDataset
from synbt_aug.generate.keeping import NOT_FOUND, TOO_EASY
from synbt_aug.generate.run import GenerateRun
from synbt_aug.report.page import Facts, Gallery, Grid, Paragraph, Part, Section, text, write_page
from synbt_aug.support.files import read_json, write_json, written_whole

#: Folds of splits_final.json, as nnU-Net makes them.
FOLDS = 5

_PICTURES = 24
_LOOKS = ("enhancement", "heterogeneity", "rim", "pre_contrast", "category")
_COLUMNS = (
    *("case", "source", "seed", "attempt", "tumor", "diameter_mm", "longest_mm", *_LOOKS),
    *("visible_share", "contrast_to_noise", "keep_by_dice"),
)


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The recipes of all cases that are done, in order."""
    paths = sorted((folder / "recipes").glob("*.json"))
    return [read_json(path, "the recipe of a generated case") for path in paths]


def rejections_of(folder: Path, records: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Why candidates were not kept, and how many, cases that were left out among them."""
    tried = [reason for record in records for reason in record["generate"]["tried"]]
    for path in (folder / "left_out").glob("*.json"):
        tried += read_json(path, "why a case was left out")["tried"]
    return Counter(tried)


def write_index(run: GenerateRun, facts: Mapping[str, Any]) -> Path:
    """Write attributes.csv, dataset.json, splits_final.json and summary.html.

    Args:
        run: What was made.
        facts: How, name -> value, for the page.

    Returns:
        The page.
    """
    folder = run.folder
    records = records_of(folder)
    rejected = rejections_of(folder, records)
    _write_attributes(folder / "attributes.csv", records)
    write_json(folder / "splits_final.json", splits_by_source(records))
    write_json(folder / "dataset.json", _described(run.dataset, len(records)))
    return _write_page(folder, records, rejected, facts)


def splits_by_source(records: Sequence[Mapping[str, Any]]) -> list[dict[str, list[str]]]:
    """Folds in which no source is both trained and validated on; as nnU-Net writes them.

    Args:
        records: Of all cases.

    Returns:
        Five folds, fewer where there are fewer sources; none of a single source.
    """
    names = {record["generate"]["case"]: record["generate"]["source"] for record in records}
    sources = sorted(set(names.values()))
    count = min(FOLDS, len(sources))
    if count < 2:
        return []
    folds = []
    for fold in range(count):
        held_out = set(sources[fold::count])
        val = sorted(name for name, source in names.items() if source in held_out)
        folds.append({"train": sorted(set(names) - set(val)), "val": val})
    return folds


def rows_of(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a tumor, with the attributes that were measured on what was written."""
    rows = []
    for record in records:
        about = record["generate"]
        for number, tumor in enumerate(record["measured"]["tumors"], 1):
            row = {name: about.get(name) for name in ("case", "source", "attempt", "keep_by_dice")}
            row |= {"seed": record["seed"], "tumor": number}
            row |= {name: value for name, value in tumor.items() if name in _COLUMNS}
            row |= {name: tumor["appearance"][name] for name in _LOOKS}
            rows.append(row)
    return rows


def _write_attributes(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    with written_whole(path) as unfinished, unfinished.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows_of(records))


def _described(dataset: RawDataset, cases: int) -> dict[str, Any]:
    # Lists of files that some converters write are of the source.
    kept = {k: v for k, v in dataset.described.items() if k not in ("training", "test", "dataset")}
    said = f"Synthetic tumors (synbt-aug) in cases of {dataset.files.folder.resolve().name}"
    return {**kept, "numTraining": cases, "description": said}


def _write_page(
    folder: Path,
    records: Sequence[Mapping[str, Any]],
    rejected: Counter[str],
    facts: Mapping[str, Any],
) -> Path:
    rows = rows_of(records)
    sections = [
        Section("Tumors", [Grid(("", "5 %", "median", "95 %", "of"), _quantiles(rows))]),
        Section("Pictures", _gallery(folder, records)),
        Section("Cases", [Facts(_counts(records, rejected))]),
        Section("Made with", [Facts(facts)]),
    ]
    head = (
        f"<header><h1>{text(folder.resolve().name)}: {len(records)} synthetic cases</h1>"
        "<p>Attributes of all tumors are in attributes.csv, what paints each case again in "
        "recipes/.</p></header>"
    )
    body = [head, *(section.html() for section in sections)]
    return write_page(folder / "summary.html", f"Synthetic cases in {folder.name}", body)


def _quantiles(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    names = ("diameter_mm", "longest_mm", *_LOOKS[:-1], "visible_share", "contrast_to_noise")
    table = []
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            low, middle, high = np.percentile(values, (5, 50, 95))
            shown = [f"{value:.3g}" for value in (low, middle, high)]
            table.append([name.replace("_", " "), *shown, str(len(values))])
    return table


def _gallery(folder: Path, records: Sequence[Mapping[str, Any]]) -> list[Part]:
    # Evenly over all cases, so that all sources have a chance.
    step = max(1, len(records) // _PICTURES)
    pictures = []
    for record in records[::step][:_PICTURES]:
        name = record["generate"]["case"]
        path = folder / "pictures" / f"{name}.png"
        if path.is_file():
            with Image.open(path) as picture:
                pictures.append((name, picture.copy(), f"{name} before and after painting"))
    words = Paragraph(f"{len(pictures)} of {len(records)} cases; all are in pictures/.")
    return [words, Gallery(pictures, columns=2)]


def _counts(records: Sequence[Mapping[str, Any]], rejected: Counter[str]) -> dict[str, Any]:
    per_source = Counter(record["generate"]["source"] for record in records)
    categories = Counter(row["category"] for row in rows_of(records))
    counts: dict[str, Any] = {
        "cases": len(records),
        "tumors": len(rows_of(records)),
        "sources": len(per_source),
        "cases of one source": f"{min(per_source.values(), default=0)} to "
        f"{max(per_source.values(), default=0)}",
        **{f"tumors, {name}": count for name, count in sorted(categories.items())},
    }
    if (judged := acceptance(records, rejected)) is not None:
        counts["kept by the segmenter"] = judged
    return counts | {f"not used: {reason}": count for reason, count in rejected.most_common()}


def acceptance(records: Sequence[Mapping[str, Any]], rejected: Counter[str]) -> str | None:
    """`12 of 40 (30%)`: how many candidates a segmenter kept; None where none was asked."""
    kept = sum("keep_by_dice" in record["generate"] for record in records)
    judged = kept + rejected[NOT_FOUND] + rejected[TOO_EASY]
    return f"{kept} of {judged} ({kept / judged:.0%})" if judged else None
