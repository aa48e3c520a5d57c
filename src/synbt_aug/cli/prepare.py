"""`synbt prepare`: a public dataset as nnU-Net and MONAI read it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from synbt_aug.cli.console import console, counting, note

if TYPE_CHECKING:
    from synbt_aug.data.prepare import Prepared

# Lines of reasons on the screen; the summary has them all.
_SHOWN = 10

app = typer.Typer(
    help="Public datasets as nnU-Net raw datasets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Phases(str, Enum):
    """Which post-contrast scans train."""

    draw = "draw"
    all = "all"


@app.callback()
def _family() -> None:
    """Public datasets as nnU-Net raw datasets."""


@app.command("mama-mia")
def mama_mia(
    source: Annotated[
        Path, typer.Argument(help="The download: images, segmentations, train_test_splits.csv.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write to, such as Dataset105_MAMAMIA.")
    ],
    phases: Annotated[
        Phases,
        typer.Option(help="Training: draw one post phase a patient, or a case of each of all."),
    ] = Phases.draw,
    validation: Annotated[
        int, typer.Option(min=1, help="How many of the official test cases validate.")
    ] = 100,
    folds: Annotated[
        int, typer.Option(min=0, help="Further folds, among the training patients; 0 for none.")
    ] = 5,
    masks: Annotated[str, typer.Option(help="Folder of masks in segmentations.")] = "expert",
    seed: Annotated[
        int, typer.Option(help="Of the phases, the validation cases and the folds.")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, of 1 to 2 GB each; default: one a core.")
    ] = None,
) -> None:
    """Prepare MAMA-MIA: 1 mm, pre- and one post-contrast channel, the official split.

    A run that was stopped goes on where it was. What cannot be used is told and tried again by the
    next run.
    """
    from synbt_aug.data.prepare import prepare_mama_mia
    from synbt_aug.data.prepare_plan import PrepareSettings

    settings = PrepareSettings(phases.value, validation, folds, masks, seed)
    try:
        with counting("Preparing cases") as on_case:
            prepared = prepare_mama_mia(source, output, settings, workers=workers, on_case=on_case)
    except KeyboardInterrupt:
        note(f"Stopped. The cases done are in {output}; the same command goes on from here.")
        raise typer.Exit(130) from None
    _tell(prepared)


def _tell(prepared: Prepared) -> None:
    from synbt_aug.data.layout import shorten
    from synbt_aug.data.prepared_index import count_table

    header, rows = count_table(prepared.cases)
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    note("The paper has 1200 for training, 100 for validation, 206 for test.")
    cases: dict[str, list[str]] = {}
    for one in prepared.skipped:
        cases.setdefault(one.reason, []).append(one.case)
    for reason, names in list(cases.items())[:_SHOWN]:
        note(f"left out: {shorten(names, 3)}: {reason}")
    if len(cases) > _SHOWN:
        note(f"and {len(cases) - _SHOWN} more reasons")
    note(
        f"{prepared.made} cases made, {prepared.kept} kept, {len(prepared.skipped)} left out "
        f"(all in {prepared.folder / 'summary.md'})."
    )
    splits, name = prepared.folder / "splits_final.json", prepared.folder.resolve().name
    note(
        f"For nnU-Net: nnUNetv2_plan_and_preprocess, then copy {splits} to "
        f"$nnUNet_preprocessed/{name}."
    )
