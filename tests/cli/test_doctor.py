from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def dataset(scans: Path, tmp_path: Path) -> Path:
    """The phantom's scans as a MAMA-MIA folder of one case."""
    folder = tmp_path / "data"
    (folder / "images/P1").mkdir(parents=True)
    (folder / "segmentations/expert").mkdir(parents=True)
    shutil.copy(scans / "pre.nii.gz", folder / "images/P1/p1_0000.nii.gz")
    shutil.copy(scans / "post.nii.gz", folder / "images/P1/p1_0001.nii.gz")
    shutil.copy(scans / "tumor.nii.gz", folder / "segmentations/expert/P1.nii.gz")
    return folder


def test_a_healthy_machine_and_dataset(synbt: Callable, weights: Path, dataset: Path) -> None:
    said = synbt("doctor", dataset, "--weights", weights, "--quick")
    assert said.code == 0, said.out
    for words in (
        "torch",
        "weights",
        "3 templates",
        "mama-mia layout, 1 cases, 1 with masks",
        "P1",
    ):
        assert words in said.out


@pytest.mark.usefixtures("plain")
def test_a_tumor_is_painted_to_try(synbt: Callable, weights: Path) -> None:
    said = synbt("doctor", "--weights", weights)
    assert said.code == 0 and "a 12 mm tumor on" in said.out


def test_broken_weights_and_cases_are_said_and_counted(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(weights, damaged)
    with (damaged / "bank.npz").open("ab") as file:
        file.write(b"x")
    pre, post = (dataset / f"images/P1/p1_000{i}.nii.gz" for i in (0, 1))
    shutil.copy(pre, tmp_path / "swap")
    shutil.copy(post, pre)
    shutil.copy(tmp_path / "swap", post)
    said = synbt("doctor", dataset, "--weights", damaged, "--quick")
    assert said.code == 1
    assert "damaged: its SHA-256 is not the manifest's" in said.out
    assert "no brighter in post than in pre" in said.out
