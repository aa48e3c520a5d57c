"""`synbt preview`: many tumors on one sheet, in one scan or over the cases of a fold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, counting, note
from synbt_aug.errors import SynBTError
from synbt_aug.support.number import MAX_SEED

if TYPE_CHECKING:
    from synbt_aug.report.previewing import Panel


def preview(
    pre: Annotated[
        Path, typer.Argument(help="Pre-contrast scan, .nii.gz or .nii; or a dataset's folder.")
    ],
    post: Annotated[
        Path | None, typer.Argument(help="Post-contrast scan on the same grid.")
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new .png file.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many panels.")] = 9,
    fold: Annotated[
        int | None,
        typer.Option(min=0, help="Of a dataset: only training cases of this fold of nnU-Net's."),
    ] = None,
    tumors: Annotated[str | None, typer.Option(help="How many a panel, or a range: 1:3.")] = None,
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
    texture: Annotated[str | None, typer.Option(help="diffusion, syntumor or copy_paste.")] = None,
    roi: generator.Roi = None,
    tissue: Annotated[str | None, typer.Option(help="What finds the tissues.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of the sampler.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="How strongly the asked appearance is followed.")
    ] = None,
    device: generator.Device = "auto",
    weights: Annotated[str | None, typer.Option(help="shipped, or a weights folder.")] = None,
    bank: generator.Bank = None,
) -> None:
    """Draw a sheet of tumors in three planes: before, after, and the subtraction with an outline.

    Of a scan, one tumor a seed. Of a dataset, one case a panel with what a training would inject:
    by the settings in force ("synbt" in dataset.json, SYNBT_* variables) and, with --fold, with
    tumor shapes of the fold's own training cases.
    """
    from synbt_aug.report.sheets import sheet_of
    from synbt_aug.support.files import check_output_folder, written_whole
    from synbt_aug.support.memory import return_freed_memory

    return_freed_memory()
    if output.suffix.lower() != ".png":
        raise SynBTError(f"A contact sheet is a .png file, not {output.name}.")
    if texture is not None:
        generator.check_texture(texture)
    if seed + number - 1 > MAX_SEED:
        raise SynBTError(f"The last seed is at most {MAX_SEED}, not {seed + number - 1}.")
    check_output_folder(output.parent)
    asked = generator.settings_typed(
        tumors=tumors,
        diameter_mm=diameter_mm,
        enhancement=enhancement,
        rim=rim,
        heterogeneity=heterogeneity,
        pre_contrast=pre_contrast,
        category=category,
        texture=texture,
        tissue=tissue,
        steps=steps,
        guidance=guidance,
        weights=weights,
        bank=bank,
    )
    if pre.is_dir():
        masks = {"A second scan": post, "--existing": existing, "--roi": roi}
        if wrong := [name for name, path in masks.items() if path is not None]:
            raise SynBTError(f"{wrong[0]} goes with a scan; {pre} is a folder, read as a dataset.")
        panels = _of_dataset(pre, fold, number, seed, asked, device)
    elif post is None:
        raise SynBTError(
            f"A preview is of a dataset's folder, or of two scans: synbt preview PRE POST -o FILE; "
            f"{pre} is no folder, and no second scan was named."
        )
    elif fold is not None:
        raise SynBTError(f"--fold goes with a dataset's folder; {pre} is none.")
    else:
        panels = _of_scan(pre, post, existing, roi, number, seed, asked, device)
    for panel in panels:
        if panel.picture is None:
            note(f"{panel.ask.name}: nothing was painted, {panel.reason}.")
    pictures = [panel.picture for panel in panels if panel.picture is not None]
    if not pictures:
        complain("Nothing was painted, whatever the seed.")
        raise typer.Exit(3)
    where = pre.resolve().name if post is None else post.name
    title = f"Tumors of {_seeds(seed, number)} in {where}, {asked.get('texture', 'diffusion')}"
    with written_whole(output) as unfinished:
        planes = "Rows: axial, coronal, sagittal."
        sheet_of(pictures, title=title, planes=planes).save(unfinished)
    note(f"{len(pictures)} of {len(panels)} tumors in {output}")


def _of_scan(
    pre: Path,
    post: Path,
    existing: Path | None,
    roi: Path | None,
    number: int,
    seed: int,
    asked: dict[str, Any],
    device: str,
) -> list[Panel]:
    from synbt_aug.data import read_pair
    from synbt_aug.host import Host
    from synbt_aug.support.memory import give_back_memory
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.tumor.bank import load_bank

    if "bank" in asked:
        load_bank(asked["bank"])  # a wrong one is told now, not after the tissues
    pair = read_pair(pre, post, existing=existing, roi=roi)
    affine = pair.pre.affine
    # The tissues are found before the generator is in memory, too; the files' own voxels are not
    # needed again.
    host = Host.of(pair.volume)
    del pair
    place = generator.pick_device(device)
    segmenter = load_segmenter(asked.get("tissue", "shipped"), "auto", place)
    with counting("Tissues") as tell:
        tell(0, 1)
        host.sites_by(segmenter)
        tell(1, 1)
    give_back_memory()
    from synbt_aug.report.previewing import Ask, decide_panels, paint_panels
    from synbt_aug.settings.injection import InjectionSettings

    settings = InjectionSettings(**asked)
    synthesizer = generator.make_synthesizer(
        settings.weights,
        device=device,
        bank=None if settings.bank is None else Path(settings.bank),
        tissue=segmenter,
        texture=settings.texture,
        steps=settings.steps,
        guidance=settings.guidance,
    )
    asks = [Ask(f"seed {k}", k) for k in range(seed, seed + number)]
    waiting = decide_panels(synthesizer, host, asks, settings.request(), affine)
    del host
    with counting("Tumors") as tell:
        return paint_panels(synthesizer, waiting, tell)


def _of_dataset(
    folder: Path, fold: int | None, number: int, seed: int, asked: dict[str, Any], device: str
) -> list[Panel]:
    from synbt_aug.report.preview_of_fold import panels_of_dataset

    with counting("Tumor shapes of the fold") as shapes, counting("Cases") as cases:
        return panels_of_dataset(
            folder,
            fold,
            number,
            seed,
            asked,
            generator.pick_device(device),
            on_shape=shapes,
            on_case=cases,
            say=note,
        )


def _seeds(seed: int, number: int) -> str:
    return f"seed {seed}" if number == 1 else f"seeds {seed} to {seed + number - 1}"
