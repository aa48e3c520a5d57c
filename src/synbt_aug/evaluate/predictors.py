"""Runs somebody's segmenter over a folder of images: an nnU-Net model, or any command.

Images are named as nnU-Net names them (`CASE_0000.nii.gz`, one file a channel); predictions are
`CASE.nii.gz` in a folder of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from synbt_aug.data.channels import channel_names
from synbt_aug.data.label_names import tumor_label_of
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.support.files import read_json, sha256_of

#: What a command names the folders by.
PLACEHOLDERS = ("{input}", "{output}")

_TOLD_LINES = 8


class Segmenter(Protocol):
    """Anything that segments a folder of images."""

    def predict(self, images: Path, output: Path, log: Path) -> None:
        """Segment every image.

        Args:
            images: Holds `CASE_0000.nii.gz` and so on.
            output: An empty folder for `CASE.nii.gz`.
            log: Gets what the segmenter prints.
        """

    def identity(self) -> dict[str, Any]:
        """What tells this segmenter from others, JSON-ready."""


@dataclass(frozen=True)
class Command:
    """A command line with `{input}` and `{output}`, run without a shell.

    Args:
        line: As typed, such as `python predict.py {input} {output}`.

    Raises:
        SynBTError: If a placeholder is missing, or quotes do not match.
    """

    line: str

    def __post_init__(self) -> None:
        if missing := [name for name in PLACEHOLDERS if name not in self.line]:
            raise SynBTError(
                f"A segmenter's command needs {' and '.join(missing)}, the folder of the images "
                f"and that of the predictions, such as 'python predict.py {{input}} {{output}}'; "
                f"got {self.line!r}."
            )
        try:
            shlex.split(self.line)
        except ValueError as error:
            raise SynBTError(
                f"The segmenter's command {self.line!r} cannot be split into words: {error}."
            ) from error

    def predict(self, images: Path, output: Path, log: Path) -> None:
        """Run it once for the folder.

        Raises:
            SynBTError: If it cannot be started, or ends with another exit code than 0.
        """
        folders = dict(zip(PLACEHOLDERS, (str(images.resolve()), str(output.resolve()))))
        words = shlex.split(self.line)
        for name, folder in folders.items():
            words = [word.replace(name, folder) for word in words]
        with log.open("a", encoding="utf-8") as lines:
            try:
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=lines, stderr=subprocess.STDOUT
                )
            except OSError as error:
                raise SynBTError(
                    f"The segmenter cannot be started: {error.strerror or error} ({words[0]})."
                ) from error
        if done.returncode:
            raise SynBTError(
                f"The segmenter ended with exit code {done.returncode}. All that it printed is in "
                f"{log}, last: {_last_lines(log)}"
            )

    def identity(self) -> dict[str, Any]:
        """The command; files that it reads are not looked at."""
        return {"command": self.line}


@dataclass(frozen=True)
class NnunetModel:
    """A model folder of nnU-Net v2, run by nnU-Net's own predictor in this process.

    Args:
        folder: Such as `TRAINER__nnUNetPlans__3d_fullres`, with plans.json and `fold_0`.
        folds: Whose networks vote; None takes all that are there.
        checkpoint: File of each fold.
        mirroring: Whether to average over mirrored images, as nnU-Net does by default.
        device: As torch calls it.

    Raises:
        SynBTError: If this is no such folder, or a checkpoint is missing.
        ExtraMissingError: If nnU-Net is not installed.
    """

    folder: Path
    folds: tuple[str, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"
    mirroring: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        if missing := [n for n in ("plans.json", "dataset.json") if not self._has(n)]:
            raise SynBTError(
                f"{self.folder} is no model folder of nnU-Net: it holds no {missing[0]}. Name the "
                f"folder TRAINER__PLANS__CONFIGURATION that nnUNetv2_train made, or a command with "
                f"{{input}} and {{output}}."
            )
        there = sorted(path.parent.name for path in self.folder.glob(f"fold_*/{self.checkpoint}"))
        wanted = there if self.folds is None else [f"fold_{fold}" for fold in self.folds]
        if not wanted or set(wanted) - set(there):
            raise SynBTError(
                f"{self.folder} holds no {self.checkpoint} of "
                f"{', '.join(sorted(set(wanted) - set(there))) or 'any fold'}; it has "
                f"{', '.join(there) or 'none'}. Name others with --model-folds or --checkpoint."
            )
        object.__setattr__(self, "folds", tuple(name.removeprefix("fold_") for name in wanted))

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    @cached_property
    def described(self) -> dict[str, Any]:
        """The dataset.json that it was trained with."""
        return read_json(self.folder / "dataset.json", "nnU-Net's dataset.json")

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that it takes."""
        return channel_names(self.described)

    @property
    def tumor_label(self) -> int | None:
        """Value of tumors in its predictions."""
        return tumor_label_of(self.described, where=self.folder.name)

    @cached_property
    def _predictor(self) -> Any:
        try:
            from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        except ImportError as error:
            raise ExtraMissingError("Running an nnU-Net model", "nnunet", "nnunetv2") from error
        place = torch.device(self.device)
        predictor = nnUNetPredictor(
            use_mirroring=self.mirroring,
            perform_everything_on_device=place.type == "cuda",
            device=place,
            allow_tqdm=False,
        )
        predictor.initialize_from_trained_model_folder(
            str(self.folder), self.folds, self.checkpoint
        )
        return predictor

    def predict(self, images: Path, output: Path, log: Path) -> None:
        """Segment all images, one after the other; the network is loaded once."""
        with log.open("a", encoding="utf-8") as lines, contextlib.redirect_stdout(lines):
            self._predictor.predict_from_files_sequential(str(images), str(output))

    def identity(self) -> dict[str, Any]:
        """Folder, folds and a digest of their checkpoints."""
        digest = hashlib.sha256()
        for fold in self.folds or ():
            digest.update(sha256_of(self.folder / f"fold_{fold}" / self.checkpoint).encode())
        return {
            "nnunet": self.folder.name,
            "folds": list(self.folds or ()),
            "checkpoint": self.checkpoint,
            "mirroring": self.mirroring,
            "sha256": digest.hexdigest(),
        }


def segmenter_of(
    model: str,
    *,
    folds: Sequence[str] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    mirroring: bool = True,
    device: str = "cpu",
) -> Command | NnunetModel:
    """What a user named: a folder, or a command with placeholders.

    Args:
        model: As typed.
        folds: As for `NnunetModel`, like the rest.
        checkpoint: Likewise.
        mirroring: Likewise.
        device: Likewise.

    Raises:
        SynBTError: If it is neither.
    """
    if os.path.isdir(model):
        chosen = None if folds is None else tuple(folds)
        return NnunetModel(Path(model), chosen, checkpoint, mirroring, device)
    if not any(name in model for name in PLACEHOLDERS):
        raise SynBTError(
            f"A segmenter is a model folder of nnU-Net, or a command with {{input}} and "
            f"{{output}}; {model!r} is neither."
        )
    return Command(model)


def check_channels(segmenter: Segmenter, names: Sequence[str]) -> None:
    """See that a model takes as many channels as the dataset has.

    Raises:
        SynBTError: If it does not.
    """
    if isinstance(segmenter, NnunetModel) and len(segmenter.channels) != len(names):
        raise SynBTError(
            f"The model needs {len(segmenter.channels)} channels "
            f"({', '.join(segmenter.channels)}), but the dataset has {len(names)} "
            f"({', '.join(names)})."
        )


def predicted_file(output: Path, name: str) -> Path:
    """The file of a case's prediction.

    Raises:
        SynBTError: If the segmenter wrote none.
    """
    for ending in (".nii.gz", ".nii"):
        if (path := output / f"{name}{ending}").is_file():
            return path
    written = sorted(path.name for path in output.iterdir())
    raise SynBTError(
        f"The segmenter wrote no prediction of {name}: it must write {name}.nii.gz into "
        f"{{output}}, which holds {', '.join(written[:3]) or 'nothing'}."
    )


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-_TOLD_LINES:]) or "nothing"
