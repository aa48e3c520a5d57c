from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import stand_in_segmenters
from small_datasets import write_dataset
from synbt_aug.evaluate.predictors import Command

pytestmark = pytest.mark.usefixtures("plain")

GRID = ("--contrasts", "1.6", "--distractors", 0, "--null-paints", 0)


def stand_in(kind: str) -> str:
    return f"{sys.executable} {stand_in_segmenters.__file__} {kind} {{input}} {{output}}"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", gain=120.0, count=2, radius_mm=3.0)


@pytest.fixture
def probe(
    synbt: Callable,
    dataset: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable:
    def here(command: Command, images: Path, output: Path, log: Path) -> None:
        stand_in_segmenters.main(command.line.split()[2], str(images), str(output))

    def run(kind: str, *more: object, sizes: str = "8") -> Any:
        where = [dataset, "-o", tmp_path / kind, "--weights", weights, "--sizes-mm", sizes]
        return synbt("probe", stand_in(kind), *where, *GRID, *more)

    # A Python of its own for each case takes seconds.
    monkeypatch.setattr(Command, "predict", here)
    return run


def figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "probe.json").read_text())["figures"]


def test_a_perfect_segmenter_finds_all_and_an_empty_one_nothing(
    probe: Callable, tmp_path: Path
) -> None:
    required = ["--require", "sensitivity>=1", "--require", "false-positives<=0"]
    said = probe("perfect", *required, "--distractors", 1)
    assert said.code == 0, said.err
    found = figures(tmp_path / "perfect")
    assert found["sensitivity"]["value"] == found["dice"]["value"] == 1.0
    assert found["sensitivity"]["count"] == found["distractors-marked"]["count"] == 2
    assert found["found-before"]["value"] == found["distractors-marked"]["value"] == 0.0
    assert found["real-dice"]["value"] == 1.0
    page = (tmp_path / "perfect" / "probe.html").read_text()
    assert "Found, the smallest first" in page and "Missed" not in page

    said = probe("empty", "--require", "sensitivity>0", "-n", 1)
    assert said.code == 1 and "Required sensitivity>0, found 0.00" in said.err
    written = json.loads((tmp_path / "empty" / "probe.json").read_text())
    assert written["figures"]["sensitivity"]["value"] == 0.0
    assert written["requirements"][0]["met"] is False and written["all_met"] is False


def test_a_segmenter_of_large_tumors_shows_it_with_intervals_apart(
    probe: Callable, tmp_path: Path
) -> None:
    said = probe("large", "--places", 4, "-n", 1, sizes="8,13")
    assert said.code == 0, said.err
    found = figures(tmp_path / "large")
    small, large = found["sensitivity/8mm"], found["sensitivity/13mm"]
    assert small["value"] == 0.0 and large["value"] == 1.0
    assert small["high"] < large["low"]


def test_a_probe_that_was_stopped_goes_on_and_another_one_is_refused(
    probe: Callable, tmp_path: Path
) -> None:
    assert probe("perfect", "-n", 1).code == 0
    first = sorted((tmp_path / "perfect" / "cases").iterdir())
    assert len(first) == 1
    stamp = first[0].stat().st_mtime_ns
    assert probe("perfect").code == 0
    assert len(list((tmp_path / "perfect" / "cases").iterdir())) == 2
    assert first[0].stat().st_mtime_ns == stamp
    said = probe("perfect", "--seed", 3)
    assert said.code == 2 and "seed: 0, now 3" in said.err


def test_its_recipes_paint_the_implants_again(
    probe: Callable, synbt: Callable, dataset: Path, weights: Path, tmp_path: Path
) -> None:
    assert probe("perfect", "-n", 1, "--keep-images").code == 0
    kept = tmp_path / "perfect"
    with (kept / "implants.csv").open() as lines:
        row = next(row for row in csv.DictReader(lines) if row["kind"] == "tumor")
    scans = [dataset / "imagesTr" / f"{row['case']}_000{c}.nii.gz" for c in (0, 1)]
    existing = dataset / "labelsTr" / f"{row['case']}.nii.gz"
    recipe = kept / "recipes" / f"{row['image']}.json"
    said = synbt(
        "synthesize", *scans, "-o", tmp_path / "again", "--recipe", recipe,
        "--existing", existing, "--weights", weights,
    )  # fmt: skip
    assert said.code == 0, said.err
    pairs = [("post", f"images/{row['image']}_0001"), ("pre", f"images/{row['image']}_0000")]
    for ours, theirs in pairs:
        again = nib.load(tmp_path / "again" / f"{ours}.nii.gz").get_fdata()
        assert np.array_equal(again, nib.load(kept / f"{theirs}.nii.gz").get_fdata())


def test_wrong_requests_are_refused_before_anything_is_painted(
    probe: Callable, tmp_path: Path
) -> None:
    said = probe("perfect", "--require", "sensitivity/9mm>=1")
    assert said.code == 2 and "'sensitivity/9mm' is none" in said.err
    said = probe("perfect", "--split", "test")
    assert said.code == 2 and "imagesTs" in said.err
    assert not (tmp_path / "perfect").exists()


def test_a_segmenter_that_writes_nothing_is_an_error(
    synbt: Callable, dataset: Path, weights: Path, tmp_path: Path
) -> None:
    command = f'{sys.executable} -c "" {{input}} {{output}}'
    where = [dataset, "-o", tmp_path / "out", "--weights", weights, "--sizes-mm", 8, "-n", 1]
    said = synbt("probe", command, *where, *GRID)
    assert said.code == 2 and "wrote no prediction of case0-000-untouched" in said.err
