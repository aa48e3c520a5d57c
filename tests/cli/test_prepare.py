from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mama_mia_folder import make_folder
from synbt_aug.data import read_dataset
from synbt_aug.support.files import read_json_list


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("download"))


def test_mama_mia_is_prepared_and_counts_and_reasons_are_told(
    synbt: Callable, download: Path, tmp_path: Path
) -> None:
    command = (
        "prepare", "mama-mia", download, "-o", tmp_path,
        "--validation", 3, "--folds", 2, "--seed", 1, "--workers", 1,
    )  # fmt: skip
    said = synbt(*command)
    assert said.code == 0, said.err
    assert "1200 for training, 100 for validation, 206 for test" in said.out
    assert "left out: ISPY1_1002: no mask in segmentations/expert" in said.out
    assert "11 cases made, 0 kept, 8 left out" in said.out
    assert "splits_final.json" in said.out
    assert len(read_dataset(tmp_path).cases) == 8
    assert len(read_json_list(tmp_path / "splits_final.json")) == 3
    assert "0 cases made, 11 kept, 8 left out" in synbt(*command).out


def test_errors_are_one_line_that_says_what_to_type(
    synbt: Callable, download: Path, tmp_path: Path
) -> None:
    said = synbt("prepare", "mama-mia", download, "-o", tmp_path / "new")
    assert said.code == 2 and "Type --validation 2." in said.err
    said = synbt("prepare", "mama-mia", download, "-o", tmp_path / "new", "--masks", "mine")
    assert said.code == 2 and "automatic, expert" in said.err
    said = synbt("prepare", "mama-mia", tmp_path, "-o", tmp_path / "new")
    assert said.code == 2 and "needs a folder 'images'" in said.err
    assert not (tmp_path / "new").exists()


def test_ctrl_c_ends_with_what_to_do_next(
    synbt: Callable, download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("synbt_aug.data.prepare.prepare_case", interrupted)
    said = synbt("prepare", "mama-mia", download, "-o", tmp_path, "--validation", 3, "--workers", 1)
    assert said.code == 130
    assert "the same command goes on from here" in said.out
    assert not (tmp_path / "dataset.json").exists()
