"""`synbt preview`: many tumors in one scan, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, counting, note
from synbt_aug.errors import SynBTError
from synbt_aug.support.number import MAX_SEED


def preview(
    pre: Annotated[Path, typer.Argument(help="Pre-contrast scan, .nii.gz or .nii.")],
    post: Annotated[Path, typer.Argument(help="Post-contrast scan on the same grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new .png file.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many tumors.")] = 9,
    diameter_mm: generator.DiameterMm = None,
    enhancement: generator.Enhancement = None,
    rim: generator.Rim = None,
    heterogeneity: generator.Heterogeneity = None,
    pre_contrast: generator.PreContrast = None,
    category: generator.Category = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of the first; the others follow.")
    ] = 0,
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
    from synbt_aug.host import Host
    from synbt_aug.report.pictures import BeforeAfter
    from synbt_aug.report.sheets import axial_panel, sheet_of
    from synbt_aug.support.files import check_output_folder, written_whole
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.tumor.bank import load_bank

    if output.suffix.lower() != ".png":
        raise SynBTError(f"A contact sheet is a .png file, not {output.name}.")
    generator.check_texture(texture)
    if bank is not None:
        load_bank(bank)  # a wrong one is told now, not after the tissues
    if seed + number - 1 > MAX_SEED:
        raise SynBTError(f"The last seed is at most {MAX_SEED}, not {seed + number - 1}.")
    check_output_folder(output.parent)
    look = generator.appearance_of(enhancement, rim, heterogeneity, pre_contrast, category)
    size = generator.number_or_range("--diameter-mm", diameter_mm)
    pair = read_pair(pre, post, existing=existing, roi=roi)
    affine = pair.pre.affine
    # One host for all, whose tissues are found once and before the generator is in memory, too.
    # The files' own voxels are not needed again.
    host = Host.of(pair.volume)
    del pair
    segmenter = load_segmenter(tissue, "auto", generator.pick_device(device))
    with counting("Tissues") as tell:
        tell(0, 1)
        host.sites_by(segmenter)
        tell(1, 1)
    synthesizer = generator.make_synthesizer(
        weights,
        device=device,
        bank=bank,
        tissue=segmenter,
        texture=texture,
        steps=steps,
        guidance=guidance,
    )
    panels = []
    with counting("Tumors") as tell:
        for k in range(seed, seed + number):
            tell(k - seed, number)
            result = synthesizer(host, seed=k, diameter_mm=size, appearance=look)
            if not result.painted:
                note(f"Seed {k}: nothing was painted, {result.reason}.")
                continue
            shown = BeforeAfter(
                title=_title(k, result.measured),
                before=host.volume.image.numpy(),
                after=result.image.numpy(),
                tumor=result.tumor.numpy(),
                support=result.support.numpy(),
                spacing=host.volume.spacing,
                affine=affine,
            )
            # Drawn at once: a painted scan is as large as the scan.
            panels.append(axial_panel(shown))
            del shown, result
        tell(number, number)
    if not panels:
        complain("Nothing was painted, whatever the seed.")
        raise typer.Exit(3)
    seeds = f"seed {seed}" if number == 1 else f"seeds {seed} to {seed + number - 1}"
    with written_whole(output) as unfinished:
        sheet_of(panels, title=f"Tumors of {seeds} in {post.name}, {texture}").save(unfinished)
    note(f"{len(panels)} of {number} tumors in {output}")


def _title(seed: int, measured: dict[str, Any]) -> str:
    tumor = measured["tumors"][0]
    category = tumor["appearance"].get("category")
    return f"seed {seed}: {tumor['diameter_mm']:.0f} mm" + (f", {category}" if category else "")
