from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nnunet_raw import read_nnunet_raw
from synbt_aug.data.sample import part_of_fold, sample_of
from synbt_aug.errors import SynBTError

SEVEN = DatasetFiles(
    Path("x"), "nnunet", tuple(CaseFiles(n, Path(n), (Path(n),)) for n in "abcdefg")
)


def names(number: int, seed: int = 0) -> list[str]:
    return [case.name for case in sample_of(SEVEN, number, seed=seed)]


def test_a_larger_sample_holds_the_smaller_one_of_its_seed() -> None:
    assert set(names(2)) < set(names(5)) < set(names(7))
    assert names(9) == list("abcdefg")
    assert len({tuple(names(3, seed)) for seed in range(5)}) > 1


def test_a_fold_gives_its_training_or_its_validation_cases(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder()
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["a"], "val": ["b"]}]))
    files = read_nnunet_raw(folder)
    for part, expected in (("train", "a"), ("val", "b")):
        assert [case.name for case in part_of_fold(files, 0, part).cases] == [expected]
    assert part_of_fold(files, None, "val") is files
    with pytest.raises(SynBTError, match="Folds are nnU-Net's"):
        part_of_fold(DatasetFiles(folder, "mama-mia", files.cases), 0, "val")
