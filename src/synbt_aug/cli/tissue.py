"""`synbt tissue`: the tissues of a scan, and where a tumor may go in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, note
from synbt_aug.errors import SynBTError

# There is no site, and the reason is in the case, not in the command.
NO_SITE = 3


def tissue(
    pre: Annotated[Path, typer.Argument(help="Pre-contrast scan, .nii.gz or .nii.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A new .nii.gz file: the tissues.")
    ],
    post: Annotated[
        Path | None, typer.Option(help="Post-contrast scan: shows vessels and nodes.")
    ] = None,
    existing: Annotated[
        Path | None, typer.Option(help="Mask of tumors that are there: no sites near them.")
    ] = None,
    sites: Annotated[
        Path | None,
        typer.Option(help="A new .nii.gz file: how likely a tumor starts here, in [0, 1]."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="A new .png file: slices of both.")] = None,
    tissue_weights: Annotated[
        str, typer.Option("--tissue", help='"shipped", or a folder of `synbt train tissue`.')
    ] = "shipped",
    device: generator.Device = "auto",
) -> None:
    """Find background, breast fat, fibroglandular tissue, skin, and what lies behind the breast.

    The tissues are written on the scan's own grid: 0 background, 1 breast fat, 2 fibroglandular
    tissue, 3 skin and nipple, 4 behind the breast. With --sites, a map of where a tumor may go
    comes, too; pass such a map to `synbt synthesize --roi` after editing it.
    """
    import torch

    from synbt_aug.data.nifti import (
        EXISTING,
        NOTHING_KEPT,
        read_mask,
        read_pair,
        read_scan,
        write_labels,
    )
    from synbt_aug.host import Host
    from synbt_aug.report.tissue_pictures import tissue_sheet
    from synbt_aug.support.files import check_output_folder, written_whole
    from synbt_aug.tissue import TISSUE_NAMES, TissueLabel
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.tissue.sites import find_sites

    for path, ending in ((output, ".nii.gz"), (sites, ".nii.gz"), (picture, ".png")):
        if path is not None:
            if not path.name.endswith(ending):
                raise SynBTError(f"This is written as a {ending} file, not {path.name}.")
            check_output_folder(path.parent)
            if path.resolve() in {p.resolve() for p in (pre, post, existing) if p is not None}:
                raise SynBTError(f"The input {path} would be overwritten. Name another file.")
    scan = read_scan(pre, "The pre-contrast scan")
    pair = None if post is None else read_pair(pre, post)
    known = None
    if existing is not None:
        known = read_mask(existing, scan, EXISTING, if_empty=NOTHING_KEPT)
    segmenter = load_segmenter(tissue_weights)
    segmenter.network.to(generator.pick_device(device))
    values = torch.from_numpy(scan.values())
    found = segmenter(values, scan.spacing)
    labels = found.at_host()
    write_labels(output, scan, labels.cpu().numpy())
    voxel_cm3 = scan.spacing[0] * scan.spacing[1] * scan.spacing[2] / 1000
    for value, name in TISSUE_NAMES.items():
        if value is not TissueLabel.BACKGROUND:
            note(f"{name:>24}  {int((labels == value).sum()) * voxel_cm3:8.1f} cm3")
    note(f"Tissues in {output}")
    if sites is None and picture is None:
        return
    if pair is None:
        where = find_sites(found, occupied=known)
    else:
        where = Host.of(replace(pair.volume, tumor=known)).sites_by(segmenter)
    weight = where.weight_at_host(scan.shape)
    if sites is not None:
        write_labels(sites, scan, weight.numpy())
        note(f"Sites in {sites}")
    if picture is not None:
        with written_whole(picture) as unfinished:
            sheet = tissue_sheet(
                values, labels, weight, scan.spacing, scan.affine, title=f"Tissues of {pre.name}"
            )
            sheet.save(unfinished)
        note(f"Pictures in {picture}")
    if where.reason is not None:
        complain(f"A tumor may go nowhere: {where.reason}.")
        raise typer.Exit(NO_SITE)
