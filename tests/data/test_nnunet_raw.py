from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.nnunet_raw import (
    breast_labels_of,
    channels_of,
    read_fold,
    read_nnunet_raw,
    tumor_label_of,
)
from synbt_aug.errors import SynBTError
from synbt_aug.files import read_json, write_json


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
    assert dataset.skipped == ("a: no a_0001.nii.gz",)


def test_a_channel_that_is_not_there_is_refused(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder()
    _edit(folder, synbt={"pre_channel": 0, "post_channel": 5})
    with pytest.raises(SynBTError, match=r"of Dataset901_Breast \(0: c0, 1: c1\), got 5"):
        read_nnunet_raw(folder)


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        (["a", "b"], (None, None), (0, (1,))),
        (["T2w", "pre", "post 1", "post 2", "DWI"], (None, None), (1, (2, 3))),
        (["post", "pre"], (None, None), (1, (0,))),
        (["T1_0", "T1_1", "T1_2"], (None, None), (0, (1, 2))),
        (["pre", "post 1", "post 2"], (None, 2), (0, (2,))),
        (["a", "b", "c"], (2, None), (2, (0, 1))),
        (["a", "b", "c"], (None, 0), (1, (0,))),
    ],
)
def test_channels_are_told_by_their_names_unless_asked_for(
    names: list[str], asked: tuple[int | None, int | None], expected: tuple[int, tuple[int, ...]]
) -> None:
    described = {"channel_names": {str(k): name for k, name in enumerate(names)}}
    assert channels_of(described, *asked) == expected


def test_two_pre_contrast_channels_are_a_question() -> None:
    described = {"channel_names": {"0": "pre left", "1": "pre right", "2": "post"}}
    with pytest.raises(SynBTError, match=r"0: pre left, 1: pre right.*SYNBT_PRE_CHANNEL"):
        channels_of(described)


def test_only_post_contrast_channels_are_refused() -> None:
    described = {"channel_names": {"0": "post 1", "1": "post 2"}}
    with pytest.raises(SynBTError, match="no pre-contrast channel"):
        channels_of(described)


def test_a_region_of_one_value_can_be_the_tumor() -> None:
    described = {"labels": {"background": 0, "breast": [1, 2], "tumor": [2]}}
    assert tumor_label_of(described) == 2
    assert breast_labels_of(described, 2) == (1,)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "breast": 1},
        {"background": 0, "tumor": [1, 2], "necrosis": [2]},
        {"background": 0, "tumor": [1, 2]},
        {"background": 0, "left tumor": 1, "right tumor": 2},
    ],
)
def test_a_tumor_label_is_not_guessed(labels: dict[str, object]) -> None:
    with pytest.raises(SynBTError, match="which one is the tumor"):
        tumor_label_of({"labels": labels})


def test_the_only_label_is_the_tumor_whatever_it_is_called() -> None:
    assert tumor_label_of({"labels": {"background": 0, "target": 3}}) == 3


def test_a_tumor_label_that_is_not_there_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"mass \(1\), vessel \(2\)\), got 7"):
        tumor_label_of({"labels": {"background": 0, "mass": 1, "vessel": 2}}, 7)


def test_breast_tissue_is_told_by_its_name_and_breast_tumors_are_not_tissue() -> None:
    labels = {"background": 0, "breast tumor": 1, "FGT": 2, "vessel": 3, "breast": 4, "ignore": 5}
    assert breast_labels_of({"labels": labels}, 1) == (2, 4)


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
