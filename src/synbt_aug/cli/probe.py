"""`synbt probe`: what a segmenter finds of tumors that are implanted into its cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, counting, note, numbers, show_table
from synbt_aug.errors import SynBTError
from synbt_aug.support.number import MAX_SEED

# A requirement is not met; 2 is an error, 130 and 143 a signal.
NOT_MET = 1


def probe(
    model: Annotated[
        str,
        typer.Argument(
            help="A model folder of nnU-Net, or a command over folders: "
            "'python predict.py {input} {output}'."
        ),
    ],
    dataset: Annotated[
        Path, typer.Argument(help="nnU-Net raw dataset, phantom cohort or MAMA-MIA folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for probe.html, .json, implants.csv.")
    ],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Cases, at most.")] = 10,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Only validation cases of this fold of nnU-Net's.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train or test, by the dataset's own split.")
    ] = None,
    sizes_mm: Annotated[str, typer.Option(help="Diameters.")] = "8,12,20,30",
    contrasts: Annotated[
        str, typer.Option(help="Enhancements over the surroundings, in reference ranges.")
    ] = "0.4,0.8,1.6",
    places: Annotated[
        int, typer.Option(min=1, help="Tumors of each size and contrast in a case.")
    ] = 1,
    distractors: Annotated[int, typer.Option(min=0, help="Benign things in a case.")] = 2,
    null_paints: Annotated[
        int, typer.Option(min=0, help="Healthy places in a case repainted as healthy.")
    ] = 1,
    min_iou: Annotated[
        float, typer.Option(help="Overlap from which on an implant counts as found.")
    ] = 0.1,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 unless it holds: 'sensitivity/20mm>=0.9'. Any number of times."
        ),
    ] = None,
    label: Annotated[
        int | None,
        typer.Option(min=1, help="Value of tumors in predictions. Default: by dataset.json."),
    ] = None,
    model_folds: Annotated[
        str | None, typer.Option(help="Of an nnU-Net model: 0, or 0,1,all. Default: all there.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Of an nnU-Net model.")] = "checkpoint_final.pth",
    mirroring: Annotated[
        bool, typer.Option(help="Whether an nnU-Net model averages over mirrored images.")
    ] = True,
    keep_images: Annotated[
        bool, typer.Option("--keep-images", help="Keep images, labels and predictions.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of intervals.")] = 0.95,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="All that is random follows from it.")
    ] = 0,
    texture: generator.Texture = "diffusion",
    tissue: generator.Tissue = "shipped",
    steps: generator.Steps = generator.DEFAULT_STEPS,
    guidance: generator.Guidance = 1.0,
    device: generator.Device = "auto",
    weights: generator.Weights = "shipped",
    bank: generator.Bank = None,
) -> None:
    """Implant tumors of many sizes and contrasts, and tell which of them a segmenter finds.

    One implant an image; benign things and repainted healthy places beside them. Writes
    sensitivity by size and contrast, Dice and false positives with intervals, pictures, and the
    recipes of all implants. A run that was stopped goes on where it was. With --require it is a
    test: exit code 1 where a requirement is not met.
    """
    from synbt_aug import __version__
    from synbt_aug.data.channels import channel_names
    from synbt_aug.data.raw_dataset import read_raw_dataset
    from synbt_aug.data.sample import part_of_fold, sample_of
    from synbt_aug.evaluate.predictors import NnunetModel, check_channels, segmenter_of
    from synbt_aug.evaluate.probe.cautions import cautions
    from synbt_aug.evaluate.probe.figures import figures_of, read_requirement
    from synbt_aug.evaluate.probe.grid import ProbeSettings
    from synbt_aug.evaluate.probe.page import sensitivity_rows, write_probe
    from synbt_aug.evaluate.probe.run import ProbeRun, run_probe
    from synbt_aug.settings.dataset import places_of, settings_for, unpainted_line
    from synbt_aug.settings.injection import InjectionSettings
    from synbt_aug.support.interruption import exit_code, interruptible

    settings = ProbeSettings(
        sizes_mm=numbers("--sizes-mm", sizes_mm),
        enhancements=numbers("--contrasts", contrasts),
        places=places,
        distractors=distractors,
        null_paints=null_paints,
        min_iou=min_iou,
        confidence=confidence,
        seed=seed,
    )
    requirements = [read_requirement(text, settings) for text in require or ()]
    place = generator.pick_device(device)
    segmenter = segmenter_of(
        model,
        folds=None if model_folds is None else model_folds.split(","),
        checkpoint=checkpoint,
        mirroring=mirroring,
        device=place,
    )
    found = read_raw_dataset(dataset, split=split)
    names = channel_names(found.described)
    check_channels(segmenter, names)
    injection = settings_for(found.described, InjectionSettings)
    if (line := unpainted_line(found.described, injection)) is not None:
        note(line)
    if label is None:
        own = segmenter.tumor_label if isinstance(segmenter, NnunetModel) else None
        label = injection.tumor_label if own is None else own
    cases = sample_of(part_of_fold(found.files, fold, "val"), number, seed=seed)
    run = ProbeRun(
        dataset=found,
        places=places_of(injection),
        segmenter=segmenter,
        tumor_label=label,
        synthesizer=generator.make_synthesizer(
            weights,
            device=device,
            bank=bank,
            tissue=tissue,
            texture=texture,
            steps=steps,
            guidance=guidance,
        ),
        settings=settings,
        folder=output,
        keep_images=keep_images,
    )
    try:
        with interruptible(), counting("Images") as tell:
            rows = run_probe(run, cases, tell)
    except KeyboardInterrupt as stop:
        note(f"Stopped. The cases done are in {output}; the same command goes on from here.")
        raise typer.Exit(exit_code(stop)) from None
    figures = figures_of(rows, settings)
    facts: dict[str, Any] = {
        "segmenter": model,
        "dataset": str(dataset),
        "cases": len(cases),
        "images": len(rows),
        "texture": texture,
        "weights": run.synthesizer.weights.digest[:12],
        "seed": seed,
        "synbt-aug": __version__,
    }
    warnings = cautions(segmenter, len(cases), fold is not None or split == "test")
    page = write_probe(output, rows, figures, requirements, settings, facts, warnings)
    show_table(*sensitivity_rows(figures, settings))
    for name in ("found-before", "distractors-marked", "null-paints-marked", "false-positives"):
        note(f"{name:>20}  {figures[name].shown()}")
    for line in warnings:
        note(line)
    note(f"Page: {page}")
    if not any(row.found is not None for row in rows):
        raise SynBTError(f"Nothing could be implanted; {page} says why.")
    if failed := [one for one in requirements if not one.met_by(figures)]:
        for one in failed:
            complain(f"Required {one.text}, found {figures[one.name].shown()}.")
        raise typer.Exit(NOT_MET)
