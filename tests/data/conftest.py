"""Small scans and datasets, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from small_scans import block, save, signal


@pytest.fixture
def nnunet_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a raw dataset of two cases, a and b, with the channels asked for."""

    def write(channels: int = 2, labels: dict[str, int] | None = None) -> Path:
        from synbt_aug.data.nnunet_raw import write_dataset_json
        from synbt_aug.support.files import read_json, write_json

        folder = tmp_path / "Dataset901_Breast"
        for i, name in enumerate("ab"):
            for c in range(channels):
                save(folder / f"imagesTr/{name}_{c:04d}.nii.gz", signal(10 * i + c))
            save(folder / f"labelsTr/{name}.nii.gz", block())
        write_dataset_json(folder, cases=2, channels=[f"c{c}" for c in range(channels)])
        if labels:
            path = folder / "dataset.json"
            write_json(path, read_json(path) | {"labels": labels})
        return folder

    return write


@pytest.fixture
def mama_mia_folder(tmp_path: Path) -> Path:
    """Two cases, with the case of letters mixed as in the download."""
    folder = tmp_path / "mama"
    for i, name in enumerate(("DUKE_001", "ISPY1_1001")):
        for phase in range(3):
            save(
                folder / f"images/{name}/{name.lower()}_{phase:04d}.nii.gz", signal(10 * i + phase)
            )
        save(folder / f"segmentations/expert/{name.lower()}.nii.gz", block())
        save(folder / f"segmentations/automatic/{name}.nii.gz", 1 - block())
    (folder / "train_test_splits.csv").write_text(
        "train_split,test_split\nDUKE_001,ispy1_1001\n", encoding="utf-8"
    )
    return folder
