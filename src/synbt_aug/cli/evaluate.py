"""`synbt evaluate`: how well segmentations match their references, for any number of methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli.console import counting, note, show_table
from synbt_aug.support.number import MAX_SEED


def evaluate(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="PRED... REF",
            help="Folders of masks (CASE.nii.gz): the predictions of each method, written FOLDER "
            "or NAME=FOLDER, and last the references.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for evaluation.md and .json, cases.csv, methods.csv, differences.csv.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The references, if they are not the last of the folders."),
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="The methods' names, in order: a,b,c. Default: folders'.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="The method that the others are compared with. Default: the first."),
    ] = None,
    label: Annotated[
        int | None, typer.Option(min=1, help="Value of the tumor. Default: every value above 0.")
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure Dice, HD95 and mean surface distances in mm, and compare methods case by case.

    Means come with bootstrap intervals, differences from the baseline with Wilcoxon's signed-rank
    test. A case with one empty mask has Dice 0 and no distance, and is counted; with both empty,
    Dice is 1.
    """
    from importlib.metadata import version

    from synbt_aug import __version__
    from synbt_aug.errors import SynBTError
    from synbt_aug.evaluate.compare_methods import compare_methods, pick_baseline
    from synbt_aug.evaluate.method_folders import name_methods, score_methods
    from synbt_aug.evaluate.methods_table import (
        DIFFERENCE_COLUMNS,
        MEAN_COLUMNS,
        cautions,
        difference_rows,
        empty_masks_of,
        mean_rows,
        write_evaluation,
    )
    from synbt_aug.support.files import check_output_folder

    if reference is None:
        *folders, last = folders
        reference = Path(last)
    if not folders:
        raise SynBTError(
            f"Predictions are measured against references, but {reference} is the only folder: "
            f"synbt evaluate PREDICTIONS REFERENCES."
        )
    methods = name_methods(folders, None if names is None else names.split(","))
    base = pick_baseline(tuple(methods), baseline)
    if output is not None:
        check_output_folder(output)
    with counting("Measuring masks") as tell:
        scores = score_methods(
            methods, reference, label=label, confidence=confidence, seed=seed, on_case=tell
        )
    comparisons = compare_methods(scores, baseline=base, seed=seed)
    show_table(MEAN_COLUMNS, mean_rows(scores))
    for name, found in scores.items():
        note(f"{name}: {empty_masks_of(found)} of {len(found.cases)}")
    if comparisons:
        note(f"Differences from {base}: above 0 is better for Dice, below 0 for distances.")
        show_table(DIFFERENCE_COLUMNS, difference_rows(comparisons))
    for caution in cautions(scores, comparisons):
        note(caution)
    if output is None:
        return
    facts = {
        "references": str(reference),
        **{f"predictions, {name}": str(folder) for name, folder in methods.items()},
        "label": "every value above 0" if label is None else label,
        "confidence": confidence,
        "seed": seed,
        "MedPy": version("medpy"),
        "synbt-aug": __version__,
    }
    title = f"{', '.join(methods)} against {reference.name}"
    note(f"Tables in {write_evaluation(output, title, scores, comparisons, facts)}")
