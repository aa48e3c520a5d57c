"""nnU-Net's standard split, for datasets that nnU-Net has not split yet.

nnU-Net makes it when a training starts: five folds, drawn from the sorted names by a fixed seed.
It is the same here where the names are the same, and where they may not be there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug.data.layout import DatasetFiles, shorten
from synbt_aug.errors import ExtraMissingError, SynBTError

#: nnU-Net's `generate_crossval_split`.
FOLDS, SEED = 5, 12345


def standard_fold(
    files: DatasetFiles, described: Mapping[str, Any], preprocessed: Path | None, fold: int
) -> tuple[frozenset[str], frozenset[str]]:
    """Training and validation names of a fold.

    Args:
        files: The training cases of a raw dataset.
        described: The content of its dataset.json.
        preprocessed: The dataset's folder in `$nnUNet_preprocessed`, which need not be there.
        fold: 0 to 4.

    Raises:
        SynBTError: If nnU-Net would not make the same, saying why.
        ExtraMissingError: If scikit-learn is not installed.
    """
    if not 0 <= fold < FOLDS:
        raise SynBTError(f"nnU-Net's standard split has folds 0 to {FOLDS - 1}, not {fold}.")
    if why := _differs(files, described, preprocessed):
        raise SynBTError(f"nnU-Net's standard split cannot be told beforehand: {why}.")
    try:
        from sklearn.model_selection import KFold
    except ImportError as error:
        raise ExtraMissingError("nnU-Net's standard split", "train", "scikit-learn") from error
    names = np.array(sorted(case.name for case in files.cases))
    folds = KFold(FOLDS, shuffle=True, random_state=SEED).split(names)
    train, val = list(folds)[fold]
    return frozenset(names[train].tolist()), frozenset(names[val].tolist())


def _differs(files: DatasetFiles, described: Mapping[str, Any], preprocessed: Path | None) -> str:
    """Why nnU-Net's cases may be others than ours; empty where they are the same."""
    ours = {case.name for case in files.cases}
    if files.skipped:
        return f"it wants every case whole ({shorten(list(files.skipped), 2)})"
    if bare := sorted(case.name for case in files.cases if case.label is None):
        return f"it wants a label of every case ({shorten(bare)} have none)"
    if len(ours) < FOLDS:
        return f"it wants {FOLDS} cases, and there are {len(ours)}"
    ending = str(described.get("file_ending", ".nii.gz"))
    listed = described.get("dataset")
    theirs = set(listed) if isinstance(listed, dict) else _identifiers(files.folder, ending)
    if theirs != ours:
        return f"it sees other cases ({shorten(sorted(theirs ^ ours))})"
    labels = None if preprocessed is None else preprocessed / "gt_segmentations"
    if labels is not None and labels.is_dir():
        before = {p.name.removesuffix(ending) for p in labels.iterdir() if p.name.endswith(ending)}
        if before != ours:
            return (
                f"{preprocessed} was made of other cases ({shorten(sorted(before ^ ours))}); run "
                f"nnUNetv2_plan_and_preprocess again"
            )
    return ""


def _identifiers(folder: Path, ending: str) -> set[str]:
    """Cases as nnU-Net lists them: whatever has the ending, without it and five more letters."""
    files = [p.name for p in (folder / "imagesTr").iterdir() if p.name.endswith(ending)]
    return {name[: -len(ending) - 5] for name in files}
