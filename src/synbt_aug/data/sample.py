"""A few of a dataset's cases, the same ones for the same seed."""

from __future__ import annotations

import torch

from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.errors import SynBTError


def sample_of(files: DatasetFiles, number: int, *, seed: int = 0) -> tuple[CaseFiles, ...]:
    """Cases drawn without replacement.

    Args:
        files: All cases.
        number: How many, at most.
        seed: Of the draw.

    Returns:
        The cases, sorted by name. More of them hold the fewer of the same seed.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(files.cases), generator=generator).tolist()[:number]
    return tuple(files.cases[k] for k in sorted(drawn))


def part_of_fold(files: DatasetFiles, fold: int | None, part: str) -> DatasetFiles:
    """The training or validation cases of a fold of nnU-Net's.

    Args:
        files: All cases.
        fold: The fold; None takes all cases.
        part: "train" or "val".

    Raises:
        SynBTError: If the dataset has no folds, or no such one.
    """
    if fold is None:
        return files
    if files.layout != "nnunet":
        raise SynBTError("Folds are nnU-Net's; a MAMA-MIA folder has a split instead.")
    train, val = read_fold(files.folder, fold)
    return files.only(train if part == "train" else val)
