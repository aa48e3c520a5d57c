"""Cases that a segmenter is chosen by and tested on: by name, and read one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import torch

from synbt_aug.data.cohort import TrainingCase, load_case, select
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import shorten
from synbt_aug.errors import SynBTError


def case_names(folder: str | Path, *, split: str | None = None) -> list[str]:
    """Names of a dataset's cases, sorted.

    Args:
        folder: A phantom cohort, a MAMA-MIA folder or an nnU-Net raw dataset.
        split: "train" or "test" by the dataset's own split; None as for `load_cohort`.
    """
    return sorted(case.name for case in read_dataset(folder, split=split).cases)


def drawn_apart(names: Sequence[str], count: int) -> tuple[list[str], list[str]]:
    """Draw validation cases; always the same ones of the same names.

    The paper draws 100 of the 306 cases outside the training split, and does not say which.

    Args:
        names: In any order.
        count: How many are drawn.

    Returns:
        The drawn ones and the rest, each sorted.

    Raises:
        SynBTError: If there are not so many.
    """
    if not 0 < count <= len(names):
        raise SynBTError(
            f"--val-cases draws from {len(names)} cases: give a number from 1 to {len(names)}, "
            f"got {count}."
        )
    ordered = sorted(names)
    order = torch.randperm(len(ordered), generator=torch.Generator().manual_seed(0)).tolist()
    drawn = {ordered[k] for k in order[:count]}
    return sorted(drawn), [name for name in ordered if name not in drawn]


class CasesOnDisk(Sequence[TrainingCase]):
    """Cases that are read whenever one is asked for, and not kept: more than memory holds.

    In order of their names, with the first post-contrast scan (paper). A file that cannot be used
    is an error, not left out: a test of fewer cases would be another test. So is a missing mask:
    without one every prediction would be a false alarm.

    Args:
        folder: As for `case_names`.
        names: Of cases that are there; None: all.
        split: As for `case_names`.

    Raises:
        SynBTError: If a name is not there, or has no tumor mask.
    """

    def __init__(
        self, folder: str | Path, names: Sequence[str] | None = None, *, split: str | None = None
    ) -> None:
        files = select(read_dataset(folder, split=split), names=names)
        self.files = sorted(files.cases, key=lambda case: case.name)
        _refuse(case.name for case in self.files if case.label is None)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> TrainingCase: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TrainingCase, ...]: ...
    def __getitem__(self, index: int | slice) -> TrainingCase | tuple[TrainingCase, ...]:
        if isinstance(index, slice):
            return tuple(load_case(files, first_post=True) for files in self.files[index])
        return load_case(self.files[index], first_post=True)


def names_of(cases: Sequence[TrainingCase]) -> list[str]:
    """Names of cases, in order; of those on disk without reading them."""
    listed = cases.files if isinstance(cases, CasesOnDisk) else cases
    return [case.name for case in listed]


def refuse_unlabelled(cases: Sequence[TrainingCase]) -> None:
    """See that every case has a mask: a segmenter would take the others for tumor-free.

    Raises:
        SynBTError: If some have none, saying which.
    """
    if not isinstance(cases, CasesOnDisk):
        _refuse(case.name for case in cases if not case.labelled)


def _refuse(bare: Iterable[str]) -> None:
    if names := list(bare):
        raise SynBTError(
            f"A segmenter learns from masks and is scored by them, but {len(names)} cases have no "
            f"tumor mask ({shorten(names)}). Leave them out, or add their masks."
        )
