"""`synbt bank`: tumor shapes of your own to draw from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from synbt_aug.cli.console import console, counting, note

app = typer.Typer(
    help="Tumor banks: shapes with their appearance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("build")
def build(
    data: Annotated[Path, typer.Argument(help="A dataset with tumor masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new .npz file.")],
    fold: Annotated[
        int | None,
        typer.Option(min=0, help="Only training cases of this nnU-Net fold, so that none leaks."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this part of the dataset's own split: train or test.")
    ] = None,
    masks_only: Annotated[
        bool,
        typer.Option(
            "--masks-only",
            help="Keep shapes and appearance, no voxels of any image. Enough for all textures but "
            "copy_paste.",
        ),
    ] = False,
) -> None:
    """Collect the tumors of a dataset, the lesions of a case together.

    With the images' voxels unless told otherwise: such a bank is as private as the images.
    """
    from synbt_aug.data.bank import bank_of_dataset
    from synbt_aug.errors import SynBTError
    from synbt_aug.support.files import check_output_folder
    from synbt_aug.tissue.segmenter import load_segmenter

    if output.suffix != ".npz":
        raise SynBTError(f"A tumor bank is a .npz file, not {output.name}.")
    check_output_folder(output.parent)
    with counting("Reading cases") as on_case:
        built = bank_of_dataset(
            data,
            fold=fold,
            split=split,
            voxels=not masks_only,
            segmenter=load_segmenter(),
            on_case=on_case,
        )
    built.bank.save(output)
    for line in built.skipped[:5]:
        note(f"left out: {line}")
    held = "masks only" if masks_only else "with voxels of the images: share it only as these"
    megabytes = output.stat().st_size / 1e6
    note(
        f"{len(built.bank)} tumors of {built.cases} cases in {output} ({megabytes:.1f} MB, {held})"
    )


@app.command("show")
def show(
    bank: Annotated[
        Path | None, typer.Argument(help="A .npz file; default: the shipped bank.")
    ] = None,
) -> None:
    """List what a bank's tumors look like, which is what may be asked for, and what it holds."""
    import numpy as np

    from synbt_aug.tumor.bank import load_bank
    from synbt_aug.weights import load_weights

    found = load_weights().bank if bank is None else load_bank(bank)
    table = Table("", "5 %", "median", "95 %")
    looks = [template.appearance for template in found.templates]
    rows = {"diameter, mm": [template.diameter_mm for template in found.templates]}
    for name in ("enhancement", "heterogeneity", "rim", "pre_contrast"):
        rows[name.replace("_", "-")] = [getattr(look, name) for look in looks]
    for name, values in rows.items():
        known = [value for value in values if value is not None]
        shown = [f"{v:.2f}" for v in np.percentile(known, (5, 50, 95))] if known else ["unknown"]
        table.add_row(name, *shown)
    counts = Counter(look.category or "of unknown category" for look in looks)
    console.print(f"{len(found)} tumors: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    console.print(table)
    lesions = sum(len(members) for members in found.groups.values())
    console.print(
        f"{len(found.groups)} cases with several lesions, {lesions} lesions in them"
        if found.groups
        else "no case with several lesions"
    )
    with_voxels = sum(template.signal is not None for template in found.templates)
    console.print(
        f"voxels of the images: {with_voxels} of {len(found)} tumors"
        if with_voxels
        else "masks only, no voxels of any image"
    )
