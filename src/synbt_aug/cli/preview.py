"""`synbt preview`: many tumors in one scan, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, counting, note
from synbt_aug.errors import SynBTError


def preview(
    pre: Annotated[Path, typer.Argument(help="Pre-contrast scan, .nii.gz or .nii.")],
    post: Annotated[Path, typer.Argument(help="Post-contrast scan on the same grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new .png file.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many tumors.")] = 9,
    diameter_mm: Annotated[float | None, typer.Option(help="Default: drawn.")] = None,
    enhancement: generator.Enhancement = None,
    rim: generator.Rim = None,
    heterogeneity: generator.Heterogeneity = None,
    pre_contrast: generator.PreContrast = None,
    category: generator.Category = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others follow.")] = 0,
    existing: Annotated[Path | None, typer.Option(help="Mask of tumors that are there.")] = None,
    texture: generator.Texture = "diffusion",
    roi: generator.Roi = None,
    tissue: generator.Tissue = "shipped",
    steps: generator.Steps = generator.DEFAULT_STEPS,
    guidance: generator.Guidance = 1.0,
    device: generator.Device = "auto",
    weights: generator.Weights = "shipped",
    bank: generator.Bank = None,
) -> None:
    """Draw a contact sheet: one tumor a seed, each in the scan as it came."""
    from synbt_aug.data import read_pair
    from synbt_aug.files import check_output_folder, written_whole
    from synbt_aug.pictures import BeforeAfter, contact_sheet
    from synbt_aug.tumor.appearance import Appearance

    if output.suffix.lower() != ".png":
        raise SynBTError(f"A contact sheet is a .png file, not {output.name}.")
    check_output_folder(output.parent)
    pair = read_pair(pre, post, existing=existing, roi=roi)
    synthesizer = generator.make_synthesizer(
        weights,
        device=device,
        bank=bank,
        tissue=tissue,
        texture=texture,
        steps=steps,
        guidance=guidance,
    )
    wish = Appearance(enhancement, heterogeneity, rim, pre_contrast, category)
    shown, before = [], pair.volume.image.numpy()
    with counting("Tumors") as tell:
        for k in range(seed, seed + number):
            tell(k - seed, number)
            result = synthesizer(pair.volume, seed=k, diameter_mm=diameter_mm, appearance=wish)
            if not result.painted:
                note(f"Seed {k}: nothing was painted, {result.reason}.")
                continue
            size = result.measured["tumors"][0]["diameter_mm"]
            title = f"seed {k}: {size:.0f} mm"
            tumor, support = result.tumor.numpy(), result.support.numpy()
            after, spacing = result.image.numpy(), pair.volume.spacing
            shown.append(
                BeforeAfter(title, before, after, tumor, support, spacing, pair.pre.affine)
            )
        tell(number, number)
    if not shown:
        complain("Nothing was painted, whatever the seed.")
        raise typer.Exit(3)
    with written_whole(output) as unfinished:
        contact_sheet(shown).save(unfinished)
    note(f"{len(shown)} of {number} tumors in {output}")
