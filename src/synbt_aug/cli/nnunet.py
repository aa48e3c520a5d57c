"""`synbt nnunet-path` and `synbt nnunet-export`: what nnU-Net needs beside the trainer."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli.console import note
from synbt_aug.errors import ExtraMissingError

# The first release that reads nnUNet_extTrainer.
_READS_FOLDERS = (2, 8)


def nnunet_path() -> None:
    """Print the folder for nnUNet_extTrainer=$(synbt nnunet-path).

    Needed only where Python's start-up files are not read (python -S, PYTHONPATH installs) or the
    start-up hook is switched off.
    """
    try:
        version = importlib.metadata.version("nnunetv2")
    except importlib.metadata.PackageNotFoundError as error:
        raise ExtraMissingError("synbt nnunet-path", "nnunet", "nnunetv2") from error
    numbers = re.findall(r"\d+", version)[:2]
    if tuple(int(number) for number in numbers) < _READS_FOLDERS:
        typer.echo(
            f"nnunetv2 {version} does not read nnUNet_extTrainer (2.8 and newer do). There the "
            f"trainers are found by the start-up hook alone, which pip installs with synbt-aug; "
            f"see that SYNBT_NO_HOOK is not set.",
            err=True,
        )
    # Found, not imported: that would load torch to print a line.
    package = importlib.util.find_spec("synbt_aug_nnunet")
    assert package is not None and package.origin is not None
    typer.echo(Path(package.origin).parent / "ext_trainer")


def nnunet_export(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS_FOLDER", help="nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    fold: Annotated[
        list[str] | None,
        typer.Option("--fold", "-f", help="0 to 4 or all; repeat for more. Default: all there."),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", "-chk", help="The file in each fold.")
    ] = "checkpoint_final.pth",
) -> None:
    """Write a model that plain nnU-Net predicts with, where synbt-aug is not installed."""
    try:
        from synbt_aug_nnunet.export import export_model
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("nnunetv2", "batchgenerators"):
            raise
        raise ExtraMissingError("synbt nnunet-export", "nnunet", error.name) from error

    done = export_model(results, output, folds=fold or (), checkpoint=checkpoint)
    folds = " ".join(done.folds)
    note(f"{done.folder}: {done.trainer} as {done.exported_as}, fold {folds}.")
    note(
        f"Predict: nnUNetv2_predict_from_modelfolder -i IN -o OUT -m {done.folder} -f {folds} "
        f"-chk {checkpoint}"
    )
