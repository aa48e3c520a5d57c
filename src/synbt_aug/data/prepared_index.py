"""What tells of a prepared dataset as a whole: dataset.json, splits, MONAI's datalist, the summary.

All of it follows from the records of the cases that are there and from what was left out, so it
reads the same after one run or ten.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synbt_aug.data.nnunet_raw import write_dataset_json
from synbt_aug.data.parts import PARTS, centre_of, grouped_folds
from synbt_aug.data.prepare_plan import PrepareSettings, Skipped
from synbt_aug.data.prepared_case import files_of, records_of
from synbt_aug.support.files import write_json, written_whole

Counts = dict[str, dict[str, int]]


def write_index(
    folder: Path, settings: PrepareSettings, training: list[str], skipped: list[Skipped]
) -> Counts:
    """Write the files that list all cases; dataset.json, which makes a dataset of them, last.

    Args:
        folder: The prepared dataset.
        settings: What it is made with.
        training: All patients of the official training part, there or not: the folds are theirs,
            so that a patient who comes later moves no other.
        skipped: The cases left out.

    Returns:
        Part -> centre -> cases there.
    """
    records = records_of(folder)
    members: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for record in records:
        members[record["made_from"]["part"]].append(record)
    counts = {part: _by_centre(members[part]) for part in PARTS}
    names = {part: [record["case"] for record in members[part]] for part in PARTS}
    patients = {record["case"]: record["made_from"]["patient"] for record in members["training"]}
    official = {"train": names["training"], "val": names["validation"]}
    write_json(folder / "splits_final.json", [official, *_folds(patients, training, settings)])
    entries = {part: [_datalist_entry(name, part) for name in names[part]] for part in PARTS}
    write_json(folder / "dataset_split.json", entries)
    summary = {
        "settings": asdict(settings),
        "cases": counts,
        "phases": {record["case"]: record["made_from"]["phase"] for record in records},
        "skipped": [asdict(one) for one in skipped],
    }
    write_json(folder / "summary.json", summary)
    with written_whole(folder / "summary.md") as unfinished:
        unfinished.write_text(_page(counts, settings, skipped), encoding="utf-8")
    write_dataset_json(
        folder,
        cases=len(names["training"]) + len(names["validation"]),
        channels=["pre", "post"],
        description="MAMA-MIA at 1 mm, pre- and post-contrast, synbt-aug",
    )
    return counts


def count_table(counts: Counts) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a row for each part, a column for each centre, and sums."""
    centres = sorted({centre for count in counts.values() for centre in count})
    rows = [
        [part, *(str(count.get(centre, 0)) for centre in centres), str(sum(count.values()))]
        for part, count in counts.items()
    ]
    return ["", *centres, "all"], rows


def _by_centre(records: list[dict[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(centre_of(r["made_from"]["patient"]) for r in records).items()))


def _folds(
    patients: dict[str, str], training: list[str], settings: PrepareSettings
) -> list[dict[str, list[str]]]:
    """Cross-validation among the training cases that are there (name -> patient), for nnU-Net."""
    folds = min(settings.folds, len(training))
    if folds < 2:
        return []
    fold_of = grouped_folds(training, folds, settings.seed)
    return [
        {
            "train": [name for name, patient in patients.items() if fold_of[patient] != fold],
            "val": [name for name, patient in patients.items() if fold_of[patient] == fold],
        }
        for fold in range(folds)
    ]


def _datalist_entry(name: str, part: str) -> dict[str, Any]:
    pre, post, label = (path.as_posix() for path in files_of(name, part))
    return {"image": [pre, post], "label": label}


def _page(counts: Counts, settings: PrepareSettings, skipped: list[Skipped]) -> str:
    header, rows = count_table(counts)
    told = ", ".join(f"{key} {value}" for key, value in asdict(settings).items())
    lines = ["# MAMA-MIA at 1 mm", "", f"Made with: {told}.", "", *_table(header, rows), ""]
    lines += [f"## Left out: {len(skipped)}", ""]
    if skipped:
        # Reasons quote file names and other libraries: a bar would end the cell.
        told_of = [[one.case, one.part or "", one.reason.replace("|", "\\|")] for one in skipped]
        lines += _table(["case", "part", "why"], told_of)
    return "\n".join(lines).rstrip() + "\n"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
