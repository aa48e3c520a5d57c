"""The MAMA-MIA download: `images/ID/id_0000.nii.gz`, `segmentations/expert/ID.nii.gz`.

Phase 0 is pre-contrast, 1 the first post-contrast scan. The case of names varies in the download
(`images/DUKE_001/duke_001_0000.nii.gz`), so all matching ignores it. The official split is read
from `train_test_splits.csv`, never assumed.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

from synbt_aug.data.layout import CaseFiles, DatasetFiles, shorten
from synbt_aug.data.name_words import words_of
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import written_whole

SPLITS_FILE = "train_test_splits.csv"
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_PHASE = re.compile(r"(.+)_(\d{4})\.nii(\.gz)?", re.IGNORECASE)


def read_mama_mia(
    folder: str | os.PathLike[str], *, masks: str | None = None, split: str | None = None
) -> DatasetFiles:
    """List the cases of a MAMA-MIA folder.

    Args:
        folder: The folder that holds `images`.
        masks: The folder of masks inside `segmentations`. None takes "expert", else "automatic",
            else the only one there.
        split: "train" or "test" by the official split; None takes all cases.

    Raises:
        SynBTError: If this is no such folder, or the split is asked for and not there.
    """
    folder = Path(folder)
    images = _child(folder, "images")
    if images is None or not images.is_dir():
        raise SynBTError(f"A MAMA-MIA folder needs a folder 'images', but {folder} has none.")
    labels = _labels(folder, masks)
    splits = read_splits(folder)
    if split is not None and not splits:
        raise SynBTError(f"The official split needs {SPLITS_FILE}, but {folder} has none.")
    cases, skipped = [], []
    for case in sorted(path for path in images.iterdir() if path.is_dir()):
        phases = _phases(case)
        if 0 not in phases or len(phases) < 2:
            skipped.append(
                f"{case.name}: phases {sorted(phases) or 'none'}, needs 0 and a later one"
            )
            continue
        member = splits.get(case.name.lower())
        if split is not None and member != split:
            continue
        pre = phases.pop(0)
        cases.append(
            CaseFiles(
                name=case.name,
                pre=pre,
                posts=tuple(phases[number] for number in sorted(phases)),
                label=labels.get(case.name.lower()),
                split=member,
            )
        )
    if not cases:
        raise SynBTError(
            f"{images} holds no {f'{split} ' if split else ''}case with a phase 0000 and a later "
            f"one{f' ({shorten(skipped, 3)})' if skipped else ''}."
        )
    return DatasetFiles(folder, "mama-mia", tuple(cases), tuple(skipped))


def read_splits(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Lower-case id -> "train" or "test"; empty where the folder has no split file.

    The file has a column of ids for each part (`train_split`, `test_split`).

    Raises:
        SynBTError: If a case is in both.
    """
    path = _child(Path(folder), SPLITS_FILE)
    if path is None:
        return {}
    splits: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            for column, name in row.items():
                words = words_of(column or "")
                part = next((_PARTS[word] for word in words if word in _PARTS), None)
                if not (part and name and name.strip()):
                    continue
                if splits.setdefault(name.strip().lower(), part) != part:
                    raise SynBTError(
                        f"{path} must name each case in one column, but {name.strip()} is in both: "
                        f"it would be tested on what it trained."
                    )
    return splits


def write_splits(folder: str | os.PathLike[str], train: list[str], test: list[str]) -> Path:
    """Write the split as MAMA-MIA does, one column for each part."""
    path = Path(folder) / SPLITS_FILE
    rows = max(len(train), len(test))
    with written_whole(path) as unfinished, unfinished.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["train_split", "test_split"])
        for i in range(rows):
            writer.writerow([part[i] if i < len(part) else "" for part in (train, test)])
    return path


def _child(folder: Path, name: str) -> Path | None:
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name), None)


def _phases(case: Path) -> dict[int, Path]:
    phases = {}
    for path in sorted(case.iterdir()):
        match = _PHASE.fullmatch(path.name)
        if match and match.group(1).lower() == case.name.lower():
            phases[int(match.group(2))] = path
    return phases


def _labels(folder: Path, masks: str | None) -> dict[str, Path]:
    root = _child(folder, "segmentations")
    kinds = {path.name.lower(): path for path in root.iterdir() if path.is_dir()} if root else {}
    if masks is None:
        masks = next((kind for kind in ("expert", "automatic") if kind in kinds), None)
        if masks is None and len(kinds) == 1:
            masks = next(iter(kinds))
        if masks is None:
            return {}
    if masks.lower() not in kinds:
        raise SynBTError(
            f"{folder} has no masks of the kind '{masks}'; segmentations holds "
            f"{shorten(sorted(kinds))}."
        )
    found = {}
    for path in sorted(kinds[masks.lower()].iterdir()):
        name = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
        if name != path.name:
            found[name.lower()] = path
    return found
