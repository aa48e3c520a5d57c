from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synbt_aug.data import read_dataset, read_scan


def test_a_cohort_is_written_as_asked(synbt: Callable, tmp_path: Path) -> None:
    said = synbt(
        "phantom", "-o", tmp_path, "-n", 1, "--seed", 5, "--shape", "40x32x48",
        "--spacing", "2x2x2", "--times", "90,240", "--format", "mama-mia", "--workers", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "1 phantoms in" in said.out
    (case,) = read_dataset(tmp_path).cases
    assert case.name == "PHANTOM_0000005" and len(case.posts) == 2
    assert read_scan(case.pre).shape == (48, 32, 40)


def test_bad_settings_are_told_before_a_folder_is_made(synbt: Callable, tmp_path: Path) -> None:
    for option, value, message in (
        ("--shape", "40x32", "--shape is three numbers such as 192x192x128"),
        ("--shape", "4x4x4", "at least 48 mm and 16 voxels"),
        ("--times", "soon", "--times is numbers such as 90,180,300"),
        ("--density", "z", "density must be 'a', 'b', 'c', 'd'"),
    ):
        said = synbt("phantom", "-o", tmp_path / "new", "-n", 1, option, value)
        assert said.code == 2 and message in said.err
    assert not (tmp_path / "new").exists()
