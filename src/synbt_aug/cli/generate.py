"""`synbt generate`: an offline dataset of synthetic cases, in shards, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, counting, note
from synbt_aug.cli.synthesize import NOTHING_PAINTED
from synbt_aug.support.number import MAX_SEED


def generate(
    dataset: Annotated[
        Path, typer.Argument(help="nnU-Net raw dataset, phantom cohort or MAMA-MIA folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The new nnU-Net raw dataset: DatasetXXX_Name.")
    ],
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Cases, of all shards together.")
    ],
    shard: Annotated[
        str | None,
        typer.Option(help="1/2 and 2/2: a part each. Default: SLURM's array or torchrun's rank."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Paint only into training cases of this fold.")
    ] = None,
    keep_by: Annotated[
        str | None,
        typer.Option(
            help="A segmenter, as for `synbt probe`: keep only cases whose tumors it finds, but "
            "not all too easily."
        ),
    ] = None,
    keep_dice: Annotated[
        str, typer.Option(help="Dice of the tumors that are kept, with --keep-by.")
    ] = "0.1:0.9",
    tumors: Annotated[str | None, typer.Option(help="How many a case, or a range: 1:3.")] = None,
    multifocal: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability that a tumor comes with further lesions."),
    ] = None,
    distractors: Annotated[
        float | None,
        typer.Option(min=0, max=8, help="Benign things beside the tumors, on average; unlabelled."),
    ] = None,
    diameter_mm: generator.DiameterMm = None,
    enhancement: generator.Enhancement = None,
    rim: generator.Rim = None,
    heterogeneity: generator.Heterogeneity = None,
    pre_contrast: generator.PreContrast = None,
    category: generator.Category = None,
    only_tumor_free: Annotated[
        bool | None, typer.Option(help="Only cases without a real tumor.")
    ] = None,
    only_free_side: Annotated[
        bool | None, typer.Option(help="Only breasts without a real tumor.")
    ] = None,
    texture: Annotated[str | None, typer.Option(help="diffusion, syntumor or copy_paste.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of the sampler.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="How strongly the asked appearance is followed.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="shipped, or a weights folder.")] = None,
    bank: generator.Bank = None,
    tissue: Annotated[str | None, typer.Option(help="What finds the tissues.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="All that is random follows from it.")
    ] = 0,
    device: generator.Device = "auto",
) -> None:
    """Write a dataset of synthetic cases, for networks that are trained without this package.

    Each case is a case of DATASET with new tumors: all channels, labels, a recipe, a picture. What
    is not asked here is taken from the settings of the dataset, as in nnU-Net's trainer ("synbt"
    in dataset.json, SYNBT_* variables). A run that was stopped goes on where it was; several
    shards may write into one folder. The last one writes dataset.json, attributes.csv and
    summary.html.
    """
    from synbt_aug.errors import SynBTError
    from synbt_aug.generate.index import acceptance, records_of, rejections_of, write_index
    from synbt_aug.generate.keeping import KeepBy
    from synbt_aug.generate.run import generate as make_cases
    from synbt_aug.generate.setup import prepare_run
    from synbt_aug.support.interruption import exit_code, interruptible
    from synbt_aug.support.shard import shard_of

    part = shard_of(shard)
    place = generator.pick_device(device)
    asked = generator.settings_typed(
        tumors=tumors,
        multifocal=multifocal,
        distractors=distractors,
        diameter_mm=diameter_mm,
        enhancement=enhancement,
        rim=rim,
        heterogeneity=heterogeneity,
        pre_contrast=pre_contrast,
        category=category,
        only_tumor_free=only_tumor_free,
        only_free_side=only_free_side,
        texture=texture,
        steps=steps,
        guidance=guidance,
        weights=weights,
        bank=bank,
        tissue=tissue,
    )
    keep = None
    if keep_by is not None:
        from synbt_aug.evaluate.predictors import segmenter_of

        dice = generator.number_or_range("--keep-dice", keep_dice)
        if not isinstance(dice, tuple):
            raise SynBTError(f"--keep-dice is a range such as 0.1:0.9, not {keep_dice!r}.")
        keep = KeepBy(segmenter_of(keep_by, device=place), dice=dice)
    run = prepare_run(
        dataset,
        output,
        asked,
        fold=fold,
        seed=seed,
        keep_by=keep,
        device=place,
        say=note,
    )
    if part.source:
        note(f"Shard {part} of {number} cases, by {part.source}.")
    try:
        with interruptible(), counting("Cases") as tell:
            make_cases(run, number, part, tell)
    except KeyboardInterrupt as stop:
        note(f"Stopped. The cases done are in {output}; the same command goes on from here.")
        raise typer.Exit(exit_code(stop)) from None
    records = records_of(output)
    if (shown := acceptance(records, rejections_of(output, records))) is not None:
        note(f"Kept by the segmenter: {shown} painted cases.")
    open_cases = sum(not run.settled(k) for k in range(number))
    if open_cases:
        note(f"Shard {part} is done; {open_cases} of {number} cases are left for the others.")
        return
    page = write_index(run, {"dataset": str(dataset), **run.settings, "seed": seed})
    note(f"{len(records)} cases in {output}. Page: {page}")
    missing = [run.left_out(k) for k in range(number) if run.left_out(k).is_file()]
    if missing:
        complain(f"{len(missing)} of {number} cases could not be made; {missing[0]} says why.")
        raise typer.Exit(NOTHING_PAINTED)
