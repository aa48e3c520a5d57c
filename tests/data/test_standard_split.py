"""nnU-Net's standard split, made before nnU-Net makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synbt_aug.data.nnunet_raw import read_fold, write_dataset_json
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json

NAMES = [f"case_{k}" for k in (3, 20, 1, 100, 7, 11, 2)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw dataset of empty files: their names alone are read."""
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    folder = tmp_path / "Dataset007_Breast"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for name in NAMES:
        for channel in (0, 1):
            (folder / f"imagesTr/{name}_{channel:04d}.nii.gz").touch()
        (folder / f"labelsTr/{name}.nii.gz").touch()
    write_dataset_json(folder, cases=len(NAMES), channels=["pre", "post"])
    return folder


def test_it_is_the_split_that_nnunet_makes(folder: Path) -> None:
    splitting = pytest.importorskip("nnunetv2.utilities.crossval_split")
    expected = splitting.generate_crossval_split(sorted(NAMES), seed=12345, n_splits=5)
    for fold in range(5):
        train, val = read_fold(folder, fold)
        assert train == set(expected[fold]["train"]) and val == set(expected[fold]["val"])
    assert not list(folder.rglob("splits_final.json"))


def test_every_case_is_validated_on_once(folder: Path) -> None:
    folds = [read_fold(folder, fold) for fold in range(5)]
    assert sorted(name for _, val in folds for name in val) == sorted(NAMES)
    assert all(train | val == set(NAMES) and not train & val for train, val in folds)


def test_a_split_that_is_there_goes_before(folder: Path) -> None:
    write_json(folder / "splits_final.json", [{"train": ["case_1"], "val": ["case_2"]}])
    assert read_fold(folder, 0) == ({"case_1"}, {"case_2"})


def test_a_dataset_that_lists_the_same_cases_is_split_alike(folder: Path) -> None:
    plain = read_fold(folder, 2)
    described = read_json(folder / "dataset.json")
    write_json(folder / "dataset.json", {**described, "dataset": dict.fromkeys(NAMES)})
    assert read_fold(folder, 2) == plain


def without_label(folder: Path) -> None:
    (folder / "labelsTr/case_7.nii.gz").unlink()


def without_channel(folder: Path) -> None:
    (folder / "imagesTr/case_7_0001.nii.gz").unlink()


def with_a_stray_file(folder: Path) -> None:
    (folder / "imagesTr/notes.nii.gz").touch()


def with_another_list(folder: Path) -> None:
    described = read_json(folder / "dataset.json")
    write_json(folder / "dataset.json", {**described, "dataset": dict.fromkeys(NAMES[1:])})


def with_four_cases(folder: Path) -> None:
    for name in NAMES[4:]:
        for path in (f"imagesTr/{name}_0000", f"imagesTr/{name}_0001", f"labelsTr/{name}"):
            (folder / f"{path}.nii.gz").unlink()


def preprocessed_of_fewer(folder: Path) -> None:
    labels = folder.parent / "preprocessed" / folder.name / "gt_segmentations"
    labels.mkdir(parents=True)
    for name in NAMES[1:]:
        (labels / f"{name}.nii.gz").touch()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_label, r"a label of every case \(case_7 have none\)"),
        (without_channel, "every case whole .*case_7_0001.nii.gz"),
        (with_a_stray_file, "it sees other cases"),
        (with_another_list, r"it sees other cases \(case_3\)"),
        (with_four_cases, "it wants 5 cases, and there are 4"),
        (preprocessed_of_fewer, r"was made of other cases \(case_3\); run nnUNetv2_plan"),
    ],
)
def test_where_nnunet_may_split_otherwise_there_is_no_standard_split(
    folder: Path, change, said: str
) -> None:
    change(folder)
    with pytest.raises(SynBTError, match=rf"looked for .*cannot be told beforehand: .*{said}"):
        read_fold(folder, 0)


def test_nnunet_s_own_cases_do_not_stand_in_the_way(folder: Path) -> None:
    labels = folder.parent / "preprocessed" / folder.name / "gt_segmentations"
    labels.mkdir(parents=True)
    for name in NAMES:
        (labels / f"{name}.nii.gz").touch()
    assert read_fold(folder, 0)[1]


def test_a_fold_that_the_standard_split_has_not_is_refused(folder: Path) -> None:
    with pytest.raises(SynBTError, match="standard split has folds 0 to 4, not 5"):
        read_fold(folder, 5)
