"""`synbt realism --slices`: two folders held against each other by features of slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from synbt_aug.cli.console import counting, note


def compare_slices(real: Path, judged: Path, output: Path) -> None:
    """Measure both folders, compare them, and write `realism_slices.html`, `.md` and `.json`.

    Args:
        real: Folder of the reference: a dataset, or PNG slices with a table.
        judged: Folder of what is held against it.
        output: Where to.
    """
    from synbt_aug import __version__
    from synbt_aug.evaluate.slices import compare_tables, control, measure_slices, read_slice_set
    from synbt_aug.evaluate.slices.comparison import FEWEST_SLICES
    from synbt_aug.evaluate.slices.table import (
        digits,
        feature_rows,
        summary_rows,
        to_markdown,
        write_slice_tables,
    )
    from synbt_aug.support.files import check_output_folder, write_json

    check_output_folder(output)
    tables = []
    for folder in (real, judged):
        with counting(f"Reading {folder.name}") as tell:
            found = read_slice_set(folder, tell)
        for line in found.skipped[:10]:
            note(f"left out: {line}")
        table = measure_slices(found.slices)
        for name in table.left_out[:10]:
            note(f"left out: {name}: no lesion that enhances by 25 mm2 in its slice")
        tables.append(table)
    reference, other = tables
    sets = [
        compare_tables(judged.name, reference, other),
        control(reference, f"halves of {real.name}"),
    ]
    facts = {
        "real": f"{real}, {len(reference)} slices",
        "judged": f"{judged}, {len(other)} slices",
        "synbt-aug": __version__,
    }
    title = f"Slices of {judged.name} beside {real.name}"
    summary, features = summary_rows(sets), feature_rows(reference, sets)
    page = write_slice_tables(output, title, summary, features, facts)
    write_json(
        output / "realism_slices.json",
        {
            "facts": facts,
            "real_medians": _plain({name: reference.median(name) for name in reference.values}),
            "sets": [
                {
                    "name": one.name,
                    "slices": one.count,
                    "medians": _plain(one.medians),
                    "ks": _plain(one.distances),
                    "auc": _plain(one.areas),
                }
                for one in sets
            ],
        },
    )
    note(to_markdown(summary))
    if min(len(reference) // 2, len(other)) < FEWEST_SLICES:
        note(
            f"AUCs need {FEWEST_SLICES} slices on each side, and twice as many real ones for the "
            f"halves: {len(reference)} and {len(other)} were measured."
        )
    else:
        area, halves = (digits(one.areas["all"], 2) for one in sets)
        note(
            f"Told apart by all features with an AUC of {area}; halves of the real ones: {halves}."
        )
    note(f"Table in {page}")


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no nan."""
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}
