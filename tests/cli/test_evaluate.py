from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from small_scans import SHAPE_XYZ, save

pytest.importorskip("medpy")

# x, y, z of 1, 2 and 4 mm.
AFFINE = np.diag([-1.0, -2.0, 4.0, 1.0])


def _voxels(*at: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE_XYZ, np.uint8)
    for x, y, z in at:
        mask[x, y, z] = 1
    return mask


def _write(folder: Path, **cases: np.ndarray) -> Path:
    for name, mask in cases.items():
        save(folder / f"{name}.nii.gz", mask, AFFINE)
    return folder


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    tumor = _voxels((5, 5, 5))
    return _write(tmp_path / "labelsTs", along=tumor, across=tumor, lost=tumor, none=_voxels())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """2 mm away along y; sqrt(2^2 + 4^2 + 4^2) = 6 mm away; missed; rightly silent."""
    along, across = _voxels((5, 6, 5)), _voxels((7, 7, 6))
    return _write(tmp_path / "plain", along=along, across=across, lost=_voxels(), none=_voxels())


def _said(outcome: object) -> str:
    return " ".join(outcome.err.split())  # type: ignore[attr-defined]


def test_hand_worked_cases_come_out_in_mm(
    synbt: Callable, plain: Path, reference: Path, tmp_path: Path
) -> None:
    outcome = synbt("evaluate", plain, reference, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    distances = {n: [rows[n][m] for m in ("hd95_mm", "asd_mm", "assd_mm")] for n in rows}
    assert distances["along"] == ["2.0"] * 3 and distances["across"] == ["6.0"] * 3
    assert distances["lost"] == [""] * 3 and distances["none"] == ["0.0"] * 3
    assert [rows[n]["dice"] for n in ("along", "lost", "none")] == ["0.0", "0.0", "1.0"]
    # Three of four cases have a distance: (2 + 6 + 0) / 3.
    words = (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8")
    assert "2.67 [" in words and "| 3 of 4 | 1 | 0 | 1 |" in words
    assert "plain: 1 missed, 0 false alarm, 1 correctly empty of 4" in outcome.out
    assert "Differences" not in outcome.out


def test_any_number_of_methods_is_held_against_a_baseline(
    synbt: Callable, plain: Path, reference: Path, tmp_path: Path
) -> None:
    options = ["--baseline", "best", "-o", tmp_path / "out"]
    outcome = synbt("evaluate", plain, f"best={reference}", f"x[y]={plain}", reference, *options)
    assert outcome.code == 0, outcome.err
    assert "Differences from best" in outcome.out and "x[y]" in outcome.out
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(values["methods"]) == ["plain", "best", "x[y]"]
    dice = values["comparisons"][0]
    assert (dice["method"], dice["baseline"], dice["better"], dice["worse"]) == (
        "plain",
        "best",
        0,
        3,
    )
    assert dice["difference"]["mean"] == -0.75 and dice["p"] == 0.25
    assert values["facts"]["predictions, plain"] == str(plain)


def test_the_reference_and_the_names_may_be_options(
    synbt: Callable, plain: Path, reference: Path
) -> None:
    options = ["--reference", reference, "--names", "a,b", "--confidence", 0.9]
    outcome = synbt("evaluate", plain, reference, *options)
    assert outcome.code == 0, outcome.err
    assert "a: 1 missed" in outcome.out and "Differences from a" in outcome.out
    assert "Tables in" not in outcome.out


def test_one_folder_is_not_enough(synbt: Callable, plain: Path) -> None:
    outcome = synbt("evaluate", plain)
    assert outcome.code == 2
    assert "plain is the only folder: synbt evaluate PREDICTIONS REFERENCES." in _said(outcome)


def test_cases_that_are_in_one_folder_alone_are_named(
    synbt: Callable, plain: Path, reference: Path
) -> None:
    (plain / "none.nii.gz").unlink()
    outcome = synbt("evaluate", plain, reference)
    assert outcome.code == 2 and "plain lacks 1 of 4 cases: none." in _said(outcome)


def test_masks_on_other_grids_are_told(synbt: Callable, plain: Path, reference: Path) -> None:
    save(plain / "along.nii.gz", _voxels(), np.diag([-1.0, -2.0, 3.0, 1.0]))
    outcome = synbt("evaluate", plain, reference)
    assert outcome.code == 2
    assert "The prediction of along must lie on the grid of along.nii.gz" in _said(outcome)


def test_a_label_that_is_nowhere_is_told(synbt: Callable, plain: Path, reference: Path) -> None:
    outcome = synbt("evaluate", plain, reference, "--label", 2)
    assert outcome.code == 2 and "No mask holds label 2" in _said(outcome)


def test_a_baseline_that_is_no_method_is_told_before_work(
    synbt: Callable, plain: Path, reference: Path
) -> None:
    outcome = synbt("evaluate", plain, reference, "--baseline", "other")
    assert outcome.code == 2
    assert _said(outcome) == "Error: The baseline is one of plain, not 'other'."


def test_without_medpy_the_extra_is_named(
    synbt: Callable, plain: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "medpy.metric", None)
    outcome = synbt("evaluate", plain, reference)
    assert outcome.code == 2
    assert "medpy is not installed" in outcome.err and "synbt-aug[eval]" in outcome.err


def test_masks_with_negative_values_are_refused_on_either_side(
    synbt: Callable, plain: Path, reference: Path, tmp_path: Path
) -> None:
    signed = _write(tmp_path / "signed", a=-_voxels((5, 5, 5)).astype(np.int8))
    whole = _write(tmp_path / "whole", a=_voxels((5, 5, 5)))
    for first, second, what in ((signed, whole, "prediction"), (whole, signed, "reference")):
        outcome = synbt("evaluate", first, second)
        assert outcome.code == 2
        assert f"The {what} of a needs values from 0 on" in _said(outcome)
        assert "holds 1 voxels below, down to -1" in _said(outcome)
