from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.nnunet_raw import read_fold, read_nnunet_raw
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json


def _edit(folder: Path, **keys: object) -> None:
    path = folder / "dataset.json"
    write_json(path, read_json(path) | keys)


def test_cases_are_listed_with_channels_and_label(nnunet_folder: Callable[..., Path]) -> None:
    dataset = read_nnunet_raw(nnunet_folder(channels=3))
    a = dataset.cases[0]
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert a.pre.name == "a_0000.nii.gz"
    assert [path.name for path in a.posts] == ["a_0001.nii.gz", "a_0002.nii.gz"]
    assert a.label is not None and a.tumor_label == 1


def test_the_synbt_section_names_channels_and_tumor(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder(channels=3, labels={"background": 0, "cyst": 1, "vessel": 2})
    _edit(folder, synbt={"pre_channel": 2, "post_channel": 0, "tumor_label": 2})
    case = read_nnunet_raw(folder).cases[0]
    assert case.pre.name == "a_0002.nii.gz"
    assert [path.name for path in case.posts] == ["a_0000.nii.gz"]
    assert case.tumor_label == 2


def test_the_tumor_label_is_found_by_its_name(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder(labels={"background": 0, "vessel": 1, "primary tumour": 2})
    assert read_nnunet_raw(folder).cases[0].tumor_label == 2


def test_labels_without_a_clear_tumor_are_refused(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder(labels={"background": 0, "vessel": 1, "gland": 2, "ignore": 3})
    with pytest.raises(SynBTError, match=r"gland \(2\): which one is the tumor.*tumor_label"):
        read_nnunet_raw(folder)


def test_one_channel_is_refused(nnunet_folder: Callable[..., Path]) -> None:
    with pytest.raises(SynBTError, match="two channels, pre- and post-contrast.*names 1"):
        read_nnunet_raw(nnunet_folder(channels=1))


def test_a_case_with_a_missing_channel_is_left_out_and_said(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder()
    (folder / "imagesTr/a_0001.nii.gz").unlink()
    dataset = read_nnunet_raw(folder)
    assert [case.name for case in dataset.cases] == ["b"]
    assert dataset.skipped == ("a: no a_0001.nii.gz; the dataset has 2 channels",)


def test_a_channel_that_is_not_there_is_refused(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder()
    _edit(folder, synbt={"pre_channel": 0, "post_channel": 5})
    with pytest.raises(SynBTError, match=r"of Dataset901_Breast \(0: c0, 1: c1\), got 5"):
        read_nnunet_raw(folder)


def test_the_files_of_a_case_are_its_channels_in_the_order_of_their_numbers(
    nnunet_folder: Callable[..., Path],
) -> None:
    # nnU-Net counts the files, whatever their numbers and the keys of channel_names.
    folder = nnunet_folder(channels=3)
    for path in sorted((folder / "imagesTr").iterdir(), reverse=True):
        number = int(path.name[2:6])
        path.rename(path.with_name(f"{path.name[:2]}{number + 1:04d}.nii.gz"))
    _edit(folder, channel_names={"1": "T2", "2": "pre", "3": "post"})
    case = read_nnunet_raw(folder).cases[0]
    assert case.pre.name == "a_0002.nii.gz"
    assert [path.name for path in case.posts] == ["a_0003.nii.gz"]


def test_a_case_with_more_files_than_the_dataset_has_channels_is_left_out(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder(channels=3)
    _edit(folder, channel_names={"0": "pre", "1": "post"})
    (folder / "imagesTr/b_0002.nii.gz").unlink()
    dataset = read_nnunet_raw(folder)
    assert [case.name for case in dataset.cases] == ["b"]
    assert dataset.skipped == ("a: 3 files; the dataset has 2 channels",)


def test_numbers_in_the_synbt_section_may_be_text_and_nothing_else(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder(channels=3)
    _edit(folder, synbt={"pre_channel": "2", "post_channel": 0})
    assert read_nnunet_raw(folder).cases[0].pre.name == "a_0002.nii.gz"
    _edit(folder, synbt={"pre_channel": "last"})
    with pytest.raises(SynBTError, match="pre_channel in dataset.json needs a whole number"):
        read_nnunet_raw(folder)


def test_folds_come_from_nnunets_own_file(
    nnunet_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = nnunet_folder()
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    with pytest.raises(SynBTError, match=r"splits_final\.json.*nnUNetv2_plan_and_preprocess"):
        read_fold(folder, 0)
    preprocessed = tmp_path / "preprocessed" / folder.name
    preprocessed.mkdir(parents=True)
    write_json(preprocessed / "splits_final.json", [{"train": ["a"], "val": ["b"]}])
    assert read_fold(folder, 0) == ({"a"}, {"b"})
    with pytest.raises(SynBTError, match="folds 0 to 0, not 3"):
        read_fold(folder, 3)
