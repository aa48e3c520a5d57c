from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from small_datasets import write_dataset

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("datasets")
    return write_dataset(folder / "real", 100), write_dataset(folder / "painted", 250, first=10)


def test_two_datasets_give_one_table(
    synbt: Callable, datasets: tuple[Path, Path], tmp_path: Path
) -> None:
    options = ["--train", 2, "--test", 2, "--steps", 1, "--weights", "none", "--device", "cpu"]
    outcome = synbt("realism", *datasets, "-o", tmp_path, *options)
    assert outcome.code == 0, outcome.err
    assert "Real or synthetic?" in outcome.out
    page, words = (tmp_path / f"realism.{e}" for e in ("html", "md"))
    assert "synthetic against raw real tumors" in words.read_text()
    assert "data:image/png" in page.read_text()
    values = json.loads((tmp_path / "realism.json").read_text())
    assert values["facts"]["weights"] == "none"
    names = [f["name"] for group in values["groups"] for f in group["figures"]]
    assert "synthetic: median KS" in names
    assert not any("same decode" in name for name in names)
    # Without networks there is no control, and two tumors are as far from two others of their kind.
    for said in (outcome.out, words.read_text(), page.read_text()):
        assert said.count("cannot be judged: ") >= 3
        assert "No target can be judged." in said
        assert "not reached" not in said and "targets reached" not in said
    (area,) = (
        f
        for group in values["groups"]
        for f in group["figures"]
        if f["name"] == "synthetic against raw real tumors"
    )
    assert area["reached"] is None and area["judged"] == "cannot be judged"


def test_a_folder_that_is_no_dataset_is_told_before_anything_is_read(
    synbt: Callable, datasets: tuple[Path, Path], tmp_path: Path
) -> None:
    outcome = synbt("realism", datasets[0], tmp_path, "-o", tmp_path / "o", "--weights", "none")
    assert outcome.code == 2
    assert "neither an nnU-Net raw dataset" in outcome.err


def test_a_dataset_of_few_cases_is_refused(synbt: Callable, tmp_path: Path) -> None:
    few = write_dataset(tmp_path / "few", 100, count=3)
    outcome = synbt("realism", few, few, "-o", tmp_path / "o", "--weights", "none")
    assert outcome.code == 2
    assert "masks of at least 4 cases" in " ".join(outcome.err.split())
