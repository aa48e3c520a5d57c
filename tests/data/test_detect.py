from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.detect import dataset_folder, detect_layout, read_dataset
from synbt_aug.errors import SynBTError


def test_both_layouts_are_told_apart(
    nnunet_folder: Callable[..., Path], mama_mia_folder: Path
) -> None:
    assert detect_layout(nnunet_folder()) == "nnunet"
    assert detect_layout(mama_mia_folder) == "mama-mia"


def test_an_unknown_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(SynBTError, match=r"neither an nnU-Net.*nor a.*It holds holiday\.jpg"):
        read_dataset(tmp_path)
    with pytest.raises(SynBTError, match="must be a folder"):
        read_dataset(tmp_path / "nowhere")


def test_the_folder_above_a_dataset_is_told_from_it(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder()
    with pytest.raises(SynBTError, match=f"Did you mean {folder}"):
        read_dataset(folder.parent)


def test_a_split_that_there_is_not_is_refused(nnunet_folder: Callable[..., Path]) -> None:
    with pytest.raises(SynBTError, match="split is 'train' or 'test', not 'val'"):
        read_dataset(nnunet_folder(), split="val")


def test_a_dataset_is_found_by_nnunet_s_number_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    for name in ("Dataset007_Breast", "Dataset1007_Other"):
        (tmp_path / name).mkdir()
    for name in ("7", "007", "Dataset007_Breast"):
        assert dataset_folder(name) == tmp_path / "Dataset007_Breast"
    assert dataset_folder("1007") == tmp_path / "Dataset1007_Other"
    # A folder has the first say, and any other path is left to whoever reads it.
    assert dataset_folder(tmp_path) == tmp_path
    assert dataset_folder("no/where") == Path("no/where")


def test_a_number_of_no_dataset_or_of_two_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(SynBTError, match=r"one must be Dataset012_\*, but there are 0: nothing"):
        dataset_folder("12")
    for name in ("Dataset012_A", "Dataset012_B"):
        (tmp_path / name).mkdir()
    with pytest.raises(SynBTError, match="there are 2: Dataset012_A, Dataset012_B"):
        dataset_folder("12")
    monkeypatch.delenv("nnUNet_raw")
    with pytest.raises(SynBTError, match=r"looked for in \$nnUNet_raw, which is not set"):
        dataset_folder("12")
