from __future__ import annotations

from pathlib import Path

import pytest

from synbt_aug.data.mama_mia import read_mama_mia, read_splits, write_splits
from synbt_aug.errors import SynBTError


def test_names_match_whatever_their_case(mama_mia_folder: Path) -> None:
    duke, ispy = read_mama_mia(mama_mia_folder).cases
    assert (duke.name, ispy.name) == ("DUKE_001", "ISPY1_1001")
    assert duke.pre.name == "duke_001_0000.nii.gz"
    assert [path.name for path in duke.posts] == ["duke_001_0001.nii.gz", "duke_001_0002.nii.gz"]
    assert duke.label is not None and duke.label.name == "duke_001.nii.gz"


def test_expert_masks_come_first_and_others_by_name(mama_mia_folder: Path) -> None:
    case = read_mama_mia(mama_mia_folder).cases[0]
    assert case.label is not None and case.label.parent.name == "expert"
    case = read_mama_mia(mama_mia_folder, masks="automatic").cases[0]
    assert case.label is not None and case.label.parent.name == "automatic"
    with pytest.raises(SynBTError, match="no masks of the kind 'mine'.*automatic, expert"):
        read_mama_mia(mama_mia_folder, masks="mine")


def test_the_official_split_is_read_from_its_file(mama_mia_folder: Path) -> None:
    assert [c.name for c in read_mama_mia(mama_mia_folder, split="train").cases] == ["DUKE_001"]
    assert [c.name for c in read_mama_mia(mama_mia_folder, split="test").cases] == ["ISPY1_1001"]
    (mama_mia_folder / "train_test_splits.csv").unlink()
    with pytest.raises(SynBTError, match=r"needs train_test_splits\.csv"):
        read_mama_mia(mama_mia_folder, split="train")


def test_a_case_without_contrast_is_left_out_and_said(mama_mia_folder: Path) -> None:
    for phase in (1, 2):
        (mama_mia_folder / f"images/DUKE_001/duke_001_{phase:04d}.nii.gz").unlink()
    dataset = read_mama_mia(mama_mia_folder)
    assert [case.name for case in dataset.cases] == ["ISPY1_1001"]
    assert "DUKE_001: phases [0]" in dataset.skipped[0]


def test_parts_are_told_by_whole_words_of_the_columns(mama_mia_folder: Path) -> None:
    (mama_mia_folder / "train_test_splits.csv").write_text(
        "latest_ids,training_split,Test-set\nDUKE_001,DUKE_001,ispy1_1001\n", encoding="utf-8"
    )
    assert read_splits(mama_mia_folder) == {"duke_001": "train", "ispy1_1001": "test"}


def test_written_splits_read_back(tmp_path: Path) -> None:
    write_splits(tmp_path, ["A", "B", "C"], ["D"])
    assert read_splits(tmp_path) == {"a": "train", "b": "train", "c": "train", "d": "test"}


def test_the_real_folder_is_read(real_case: Path) -> None:
    (case,) = read_mama_mia(real_case).cases
    assert len(case.posts) == 4
    assert case.label is not None and case.label.parent.name == "boxthresh"
