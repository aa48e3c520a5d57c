"""`synbt phantom`: a cohort of phantoms on disk."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli.console import counting, note, triple
from synbt_aug.support.number import MAX_SEED


class Layout(str, Enum):
    """How the cohort lies on disk."""

    nnunet = "nnunet"
    mama_mia = "mama-mia"


def phantom(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many phantoms.")],
    layout: Annotated[
        Layout, typer.Option("--format", help="Layout of the folder.")
    ] = Layout.nnunet,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_SEED,
            help="Seed of the first; 1000000 and above are for testing only.",
        ),
    ] = 0,
    shape: Annotated[
        str, typer.Option(help="Voxels: left-right x front-back x feet-head.")
    ] = "192x192x128",
    spacing: Annotated[str, typer.Option(help="Voxel size in mm, likewise.")] = "1x1x1",
    times: Annotated[
        str | None,
        typer.Option(
            help="Seconds from injection to each post-contrast scan: 90,180,300; default: 120."
        ),
    ] = None,
    phases: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Post-contrast scans, 100 s apart from 90 s on."),
    ] = None,
    field_tesla: Annotated[
        float | None, typer.Option(help="1.5 or 3, which sets the tissues' T1; default: drawn.")
    ] = None,
    fat_saturation: Annotated[
        bool | None,
        typer.Option(
            "--fat-saturation/--no-fat-saturation", help="Dark fat; default: drawn, 94 % dark."
        ),
    ] = None,
    slice_thickness_mm: Annotated[
        float | None,
        typer.Option(min=0.1, max=20, help="Of the acquired slices; default: drawn, 1 to 2.6."),
    ] = None,
    snr: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1000,
            help="Mean signal of the breast before contrast over the noise; default: drawn, 9 to "
            "30.",
        ),
    ] = None,
    bilateral: Annotated[
        bool | None, typer.Option("--bilateral/--unilateral", help="Default: drawn.")
    ] = None,
    density: Annotated[
        str | None, typer.Option(help="BI-RADS a, b, c or d; default: drawn.")
    ] = None,
    tumor: Annotated[bool, typer.Option(help="With tumors, or healthy.")] = True,
    category: Annotated[
        str | None,
        typer.Option(help="Of the largest tumor: mass, rim or nonmass; default: drawn."),
    ] = None,
    diameter_mm: Annotated[
        float | None,
        typer.Option(
            min=4, max=120, help="Of the largest tumor, where the breast holds it; default: drawn."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one a core.")
    ] = None,
) -> None:
    """Write a cohort of breast DCE-MRI phantoms, for training and for trying things out.

    Phantom number i has the seed SEED + i. What is not fixed is drawn for each; what was fixed is
    in phantoms.json, and a cohort has one choice of it. A run that was stopped goes on where it
    was.
    """
    from synbt_aug.data.phantom_cohort import write_phantom_cohort
    from synbt_aug.errors import SynBTError
    from synbt_aug.phantom import PhantomSettings

    if times is not None and phases is not None:
        raise SynBTError("--times and --phases both say how many scans there are: name one.")
    try:
        times_s = tuple(float(part) for part in (times or "120").split(","))
    except ValueError:
        times_s = ()
    if phases is not None:
        times_s = tuple(90.0 + 100.0 * phase for phase in range(phases))
    if not times_s or not all(math.isfinite(time) for time in times_s):
        raise SynBTError(f"--times is numbers such as 90,180,300, not {times!r}.")
    settings = PhantomSettings(
        shape=triple(shape, "--shape", int),
        spacing=triple(spacing, "--spacing"),
        bilateral=bilateral,
        times_s=times_s,
        field_tesla=field_tesla,
        fat_saturation=fat_saturation,
        slice_thickness_mm=slice_thickness_mm,
        snr=snr,
        with_tumor=tumor,
        density=density,
        category=category,
        diameter_mm=diameter_mm,
    )
    try:
        with counting("Phantoms") as on_case:
            write_phantom_cohort(
                output,
                range(seed, seed + number),
                settings=settings,
                layout=layout.value,
                workers=workers,
                on_case=on_case,
            )
    except KeyboardInterrupt:
        note(f"Stopped. The phantoms done are in {output}; the same command goes on from here.")
        raise typer.Exit(130) from None
    note(f"{number} phantoms in {output} ({layout.value} layout).")
