"""`synbt adapt`: weights fitted to a dataset of one's own, in one command."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import counting, note, seconds, show_table
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.support.number import MAX_SEED

#: Modules that are needed, each with what needs it and the extra that brings it.
_NEEDED = {
    "lightning_fabric": ("Training", "train", "lightning-fabric"),
    "sklearn": ("Telling slices apart", "eval", "scikit-learn"),
    "skimage": ("Features of slices", "eval", "scikit-image"),
}


def adapt(
    dataset: Annotated[
        str,
        typer.Argument(
            help="nnU-Net raw dataset (a folder, or its number or name in $nnUNet_raw), MAMA-MIA "
            "folder or phantom cohort."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-o",
            help="Of the new weights, for weights=NAME everywhere; or a path. Default: after the "
            "dataset and the fold.",
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, help="Read only training cases of this nnU-Net fold. Default: all."),
    ] = None,
    max_time: Annotated[
        str,
        typer.Option(help="Of training steps, both networks together: 25m, 1.5h."),
    ] = "25m",
    weights: generator.Weights = "shipped",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    licence: Annotated[
        str | None, typer.Option(help="Of the new weights, as your data's terms allow; in words.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of everything drawn.")] = 0,
) -> None:
    """Fit the weights to your own cases: tumor bank, decoder and denoiser.

    One case in five is held back. On those the fit and the realism of painted tumors are measured
    before and after, and only what got better is kept. The new weights are asked for by their name
    everywhere: `--weights NAME`, `SYNBT_WEIGHTS=NAME`, `weights="NAME"`.
    """
    _check_extras()
    from synbt_aug.adapt.folders import Folders
    from synbt_aug.adapt.page import figure_rows
    from synbt_aug.adapt.presets import decoder_preset, denoiser_preset
    from synbt_aug.adapt.run import AdaptSettings, files_of
    from synbt_aug.adapt.run import adapt as run_all
    from synbt_aug.data.detect import dataset_folder
    from synbt_aug.support.interruption import exit_code, interruptible
    from synbt_aug.weights import load_weights

    place = generator.pick_device(device)
    if ":" in place and device != "auto":
        raise SynBTError("--device takes auto, cpu or cuda; CUDA_VISIBLE_DEVICES picks the GPU.")
    data = dataset_folder(dataset)
    if name is None:
        name = f"{data.resolve().name}-{'all' if fold is None else f'fold{fold}'}"
    folders = Folders.of(name)
    settings = AdaptSettings(
        data,
        fold,
        weights,
        seconds(max_time),
        licence,
        place.partition(":")[0],
        seed,
    )
    files = files_of(settings)
    base = load_weights(weights)
    decoder_preset(base.autoencoder.settings)
    denoiser_preset(base.denoiser.settings)
    parameters = (*base.autoencoder.parameters(), *base.denoiser.parameters())
    folders.open(resume, sum(one.numel() for one in parameters))
    try:
        with interruptible():
            done = run_all(settings, folders, files, base, note, counting)
    except KeyboardInterrupt as stop:
        if folders.settings.is_file():
            note(f"Stopped. The same command with --resume goes on from {folders.run}.")
        else:
            note("Stopped before anything was done. The same command starts it again.")
        raise typer.Exit(exit_code(stop)) from None
    heads, *rows = figure_rows(done.figures)
    show_table(heads, rows)
    note(f"Weights: {done.weights}. Report: {done.page} (with pictures of your scans).")
    note(f"Use them: SYNBT_WEIGHTS={name} nnUNetv2_train ..., or --weights {name}.")


def _check_extras() -> None:
    """See that the extras are there before cases are read for nothing."""
    for module, needed in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise ExtraMissingError(*needed)
