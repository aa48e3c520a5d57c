from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.dataset_json import check_dataset_json
from synbt_aug.data.nnunet_raw import read_fold, read_nnunet_raw
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json

WRONG = {
    "channel_names": (["pre", "post"], r'such as \{"0": "pre", "1": "post"\}'),
    "labels": ({"background": 0, "tumor": {"value": 1}}, "numbers for the labels.*for tumor"),
    "synbt": ("tumor_label", r'such as \{"tumor_label": 1\}'),
    "file_ending": (7, 'such as ".nii.gz"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_of_another_kind_is_refused_with_an_example(
    nnunet_folder: Callable[..., Path], name: str
) -> None:
    folder = nnunet_folder()
    value, said = WRONG[name]
    write_json(folder / "dataset.json", read_json(folder / "dataset.json") | {name: value})
    with pytest.raises(SynBTError, match=f"Dataset901_Breast needs .*{said}"):
        read_nnunet_raw(folder)


def test_a_dataset_json_that_is_a_list_is_told(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder()
    write_json(folder / "dataset.json", ["pre", "post"])
    with pytest.raises(SynBTError, match="was to be nnU-Net's dataset.json.*holds a list"):
        read_nnunet_raw(folder)


def test_what_nnunet_and_converters_write_passes() -> None:
    check_dataset_json({"modality": {"0": "pre"}, "labels": {"background": 0, "ignore": 3}})
    check_dataset_json({"labels": {"background": "0", "whole": [1, 2], "core": 2.0}})
    check_dataset_json({})


@pytest.mark.parametrize("folds", [{"train": [], "val": []}, [["a"]], [{"train": ["a"]}], [3]])
def test_a_list_of_folds_of_another_shape_is_told(
    nnunet_folder: Callable[..., Path], folds: object
) -> None:
    folder = nnunet_folder()
    write_json(folder / "splits_final.json", folds)
    with pytest.raises(SynBTError, match=r"splits_final\.json was to be nnU-Net's list of folds"):
        read_fold(folder, 0)
