"""A few of a dataset's cases, the same ones for the same seed."""

from __future__ import annotations

import torch

from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.errors import SynBTError


def sample_of(
    files: DatasetFiles, number: int, *, fold: int | None = None, seed: int = 0
) -> tuple[CaseFiles, ...]:
    """Cases drawn without replacement.

    Args:
        files: All cases.
        number: How many, at most.
        fold: Only validation cases of this fold of nnU-Net's.
        seed: Of the draw.

    Returns:
        The cases, sorted by name. More of them hold the fewer of the same seed.

    Raises:
        SynBTError: If the dataset has no such fold.
    """
    if fold is not None:
        if files.layout != "nnunet":
            raise SynBTError("Folds are nnU-Net's; a MAMA-MIA folder has a split instead.")
        files = files.only(read_fold(files.folder, fold)[1])
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(files.cases), generator=generator).tolist()[:number]
    return tuple(files.cases[k] for k in sorted(drawn))
