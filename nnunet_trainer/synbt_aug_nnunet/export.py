"""A trained model for machines where synbt-aug is not installed.

A checkpoint names its trainer, and nnU-Net looks that class up before it predicts. Our trainers
change how a network is trained, not the network, so the export names the class of nnU-Net that they
derive from. Weights and everything else stay as they are.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synbt_aug.errors import ExtraMissingError, SynBTError, first_line
from synbt_aug.support.files import check_output_folder
from synbt_aug_nnunet.results import RECORD

_NEEDED = ("dataset.json", "plans.json")
_WELCOME = ("dataset_fingerprint.json",)


@dataclass(frozen=True)
class Export:
    """What was written, and under which trainer's name."""

    folder: Path
    folds: tuple[str, ...]
    trainer: str
    exported_as: str


def export_model(
    results_folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    folds: Sequence[str] = (),
    checkpoint: str = "checkpoint_final.pth",
) -> Export:
    """Write a model folder that plain nnU-Net predicts with.

    Args:
        results_folder: `nnUNet_results/DatasetXXX_Name/TRAINER__PLANS__CONFIGURATION`.
        output: Where to; `nnUNetTrainer__PLANS__CONFIGURATION` is made in it.
        folds: "0" to "4" or "all"; empty takes every fold that has the checkpoint.
        checkpoint: File name in the folder of a fold.

    Raises:
        SynBTError: If something is missing, nothing needs exporting, the network is not one that
            plain nnU-Net builds, or there is an export already.
    """
    source = Path(results_folder)
    plans, configuration = _check_results_folder(source)
    names = _folds(source, folds, checkpoint)
    loaded = {name: _load(source / name / checkpoint) for name in names}
    trainers = {str(content["trainer_name"]) for content in loaded.values()}
    if len(trainers) > 1:
        raise SynBTError(
            f"The folds in {source} were trained by different trainers "
            f"({', '.join(sorted(trainers))}). Export them one by one with --fold."
        )
    (trainer,) = trainers
    plain = plain_trainer_for(trainer)
    target = Path(output) / f"{plain}__{plans}__{configuration}"
    if target.exists():
        raise SynBTError(
            f"{target} exists already and is not overwritten. Name another folder with -o."
        )
    with _folder_written_whole(target) as unfinished:
        for name, content in loaded.items():
            (unfinished / name).mkdir()
            torch.save({**content, "trainer_name": plain}, unfinished / name / checkpoint)
            if (source / name / RECORD).is_file():
                shutil.copyfile(source / name / RECORD, unfinished / name / RECORD)
        for file in (*_NEEDED, *(file for file in _WELCOME if (source / file).is_file())):
            shutil.copyfile(source / file, unfinished / file)
    return Export(target, tuple(name.removeprefix("fold_") for name in names), trainer, plain)


def plain_trainer_for(name: str) -> str:
    """The name of the class that a trainer of ours adds to, as nnU-Net finds it.

    Args:
        name: A class of ours, or a user's own that takes our mixin.

    Raises:
        SynBTError: If nothing of ours is in that class, or its network is not its base's.
    """
    trainer = _trainer_class(name)
    from synbt_aug_nnunet.mixin import SynBTMixin

    if not issubclass(trainer, SynBTMixin):
        raise SynBTError(
            f"This model was trained by {name}, in which nothing of synbt-aug is needed to "
            f"predict: it needs no export."
        )
    plain = next(
        base
        for base in trainer.__mro__
        if base.__module__.startswith("nnunetv2.") and not issubclass(base, SynBTMixin)
    )
    if trainer.build_network_architecture is not plain.build_network_architecture:
        raise SynBTError(
            f"{name} builds a network of its own, which {plain.__name__} does not: this model "
            f"predicts only where {name} is installed."
        )
    return plain.__name__


@contextlib.contextmanager
def _folder_written_whole(target: Path) -> Iterator[Path]:
    """A folder that gets its name when the block ends well."""
    check_output_folder(target.parent)
    unfinished = target.with_name(f".{target.name}-unfinished-{os.getpid()}")
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _trainer_class(name: str) -> Any:
    # nnU-Net prints which of its folders are not set: no matter here.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            import nnunetv2
        except ImportError as error:
            raise ExtraMissingError("synbt nnunet-export", "nnunet", "nnunetv2") from error
        from synbt_aug_nnunet import trainers

        if hasattr(trainers, name):
            return getattr(trainers, name)
        try:
            from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
        except ImportError:  # before 2.8
            from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

            package = "nnunetv2.training.nnUNetTrainer"
            folder = os.path.join(nnunetv2.__path__[0], "training", "nnUNetTrainer")
            found = recursive_find_python_class(folder, name, package)
        else:
            try:
                found = recursive_find_trainer_class_by_name(name)
            except RuntimeError:  # its way to say that there is none
                found = None
    if found is None:
        raise SynBTError(
            f"The checkpoint names the trainer {name}, which neither synbt-aug nor nnU-Net finds "
            f"here. Export where it was trained."
        )
    return found


def _check_results_folder(folder: Path) -> tuple[str, str]:
    """Names of plans and configuration."""
    if not folder.is_dir():
        raise SynBTError(f"There is no folder {folder}.")
    parts = folder.resolve().name.split("__")
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if len(parts) != 3 or missing:
        models = sorted(path.name for path in folder.glob("*__*__*") if path.is_dir())
        there = f" It holds {', '.join(models)}: name one of these." if models else ""
        raise SynBTError(
            f"A results folder is named TRAINER__PLANS__CONFIGURATION and holds "
            f"{' and '.join(_NEEDED)}; {folder} is not one.{there}"
        )
    return parts[1], parts[2]


def _folds(source: Path, wanted: Sequence[str], checkpoint: str) -> list[str]:
    """Folder names of the folds to export, each with the checkpoint in it."""
    there = sorted(path.parent.name for path in source.glob(f"fold_*/{checkpoint}"))
    if wanted:
        names = [f"fold_{str(fold).removeprefix('fold_')}" for fold in dict.fromkeys(wanted)]
    else:
        names = there
    missing = [name for name in names if name not in there]
    if missing or not names:
        others = sorted(str(path.relative_to(source)) for path in source.glob("fold_*/*.pth"))
        raise SynBTError(
            f"There is no {checkpoint} in {', '.join(missing) or 'any fold of ' + str(source)}. "
            + (f"Choose from {', '.join(others)} " if others else "Nothing was trained there yet ")
            + "(--fold, --checkpoint)."
        )
    return names


def _load(path: Path) -> dict[str, Any]:
    """A checkpoint, without running code from it."""
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            # Mapped: five folds of a large network need not fit into memory together.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise SynBTError(
            f"{path} cannot be read as an nnU-Net checkpoint without running code from it "
            f"({first_line(error)})."
        ) from error
    if not isinstance(content, dict) or not {"trainer_name", "network_weights"} <= content.keys():
        raise SynBTError(f"{path} is not a checkpoint of nnU-Net v2.")
    return content


def _numpy_scalars() -> list[Any]:
    """nnU-Net keeps its losses and Dice as NumPy scalars, under this name since NumPy 2 or 1."""
    kinds = (np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_)
    scalar = np.float64(0).__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")]
    return [*named, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
