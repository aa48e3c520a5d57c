from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stand_in_segmenters
from small_datasets import write_dataset
from synbt_aug.data.nifti import read_label
from synbt_aug.generate import run as making

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", gain=120.0, count=2, radius_mm=3.0)


@pytest.fixture
def generate(synbt: Callable, dataset: Path, weights: Path, tmp_path: Path) -> Callable:
    def run(folder: str, *more: object) -> Any:
        given = [dataset, "-o", tmp_path / folder, "--weights", weights, "--diameter-mm", 8]
        return synbt("generate", *given, *more)

    return run


def content_of(folder: Path) -> dict[str, bytes]:
    parts = ("imagesTr", "labelsTr", "recipes", "pictures")
    return {f"{p}/{f.name}": f.read_bytes() for p in parts for f in (folder / p).iterdir()}


def test_shards_one_of_them_killed_make_what_one_run_makes(
    generate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate("whole", "-n", 4).code == 0
    whole = content_of(tmp_path / "whole")
    assert len(whole) == 4 * (2 + 1 + 1 + 1)

    labels = []
    replace = making.os.replace

    def killed(source: Path, target: Path) -> None:
        if target.parent.name == "labelsTr":
            labels.append(target)
            if len(labels) == 2:  # the second case's images are there, the rest is not
                raise MemoryError
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(making.os, "replace", killed)
        assert generate("parts", "-n", 4, "--shard", "1/2").code == 2
    assert not (tmp_path / "parts" / "dataset.json").exists()
    (left,) = (tmp_path / "parts").glob(".work-*")
    (left / ".unfinished-killed" / "images").mkdir(parents=True)
    said = generate("parts", "-n", 4, "--shard", "2/2")
    assert said.code == 0 and "1 of 4 cases are left for the others" in said.out
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts/recipes").iterdir()}
    assert len(done) == 3
    assert generate("parts", "-n", 4, "--shard", "1/2").code == 0
    assert content_of(tmp_path / "parts") == whole
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not [path for path in (tmp_path / "parts").iterdir() if path.name.startswith(".")]
    for name in ("dataset.json", "attributes.csv", "splits_final.json"):
        texts = [(tmp_path / folder / name).read_text() for folder in ("whole", "parts")]
        assert texts[0] == texts[1]


def test_a_folder_grows_and_refuses_other_settings(generate: Callable, tmp_path: Path) -> None:
    assert generate("out", "-n", 1).code == 0
    first = content_of(tmp_path / "out")
    assert generate("out", "-n", 2).code == 0
    now = content_of(tmp_path / "out")
    assert len(now) == 10 and first.items() <= now.items()
    said = generate("out", "-n", 2, "--enhancement", 1.5)
    assert said.code == 2 and "enhancement: null, now 1.5" in said.err
    (tmp_path / "out" / "generate.json").unlink()
    said = generate("out", "-n", 2)
    assert said.code == 2 and "holds dataset.json" in said.err


def test_each_case_holds_its_source_s_tumor_and_the_new_one(
    generate: Callable, dataset: Path, tmp_path: Path
) -> None:
    assert generate("out", "-n", 2, "--tumors", 1).code == 0
    with (tmp_path / "out" / "attributes.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["source"] for row in rows} == {"case0", "case1"}
    for row in rows:
        old = read_label(dataset / "labelsTr" / f"{row['source']}.nii.gz").stored
        new = read_label(tmp_path / "out" / "labelsTr" / f"{row['case']}.nii.gz").stored
        assert (new[old > 0] == 1).all()
        volume_mm3 = float(((new > 0) & (old == 0)).sum()) * 1.5**3
        assert (6 * volume_mm3 / np.pi) ** (1 / 3) == pytest.approx(float(row["diameter_mm"]))
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.count("<img") == 2


def test_the_dataset_s_own_settings_hold_unless_others_are_typed(
    generate: Callable, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = json.loads((dataset / "dataset.json").read_text())
    described["synbt"] = {"enhancement": 1.25, "heterogeneity": 0.3}
    (dataset / "dataset.json").write_text(json.dumps(described))
    monkeypatch.setenv("SYNBT_RIM", "1.1")
    assert generate("out", "-n", 1, "--heterogeneity", 0.2).code == 0
    settings = json.loads((tmp_path / "out" / "generate.json").read_text())
    asked = {name: settings[name] for name in ("enhancement", "heterogeneity", "rim")}
    assert asked == {"enhancement": 1.25, "heterogeneity": 0.2, "rim": 1.1}


def test_a_slurm_array_makes_one_part_each(
    generate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ID": "4", "MIN": "3", "COUNT": "2", "STEP": "1"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    said = generate("out", "-n", 2)
    assert said.code == 0 and "Shard 2/2 of 2 cases, by SLURM_ARRAY_TASK_ID" in said.out
    (recipe,) = (tmp_path / "out" / "recipes").iterdir()
    assert recipe.name.endswith("_00001.json")


def test_a_case_that_cannot_be_made_is_told_and_the_others_are_there(
    generate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ATTEMPTS", 2)
    said = generate("out", "-n", 1, "--diameter-mm", 60)
    assert said.code == 3 and "1 of 1 cases could not be made" in said.err
    (left,) = (tmp_path / "out" / "left_out").iterdir()
    reasons = json.loads(left.read_text())["tried"]
    assert len(reasons) == 2 and all("no room" in reason for reason in reasons)
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["numTraining"] == 0


def test_a_segmenter_keeps_what_it_finds_and_says_how_much(
    generate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ATTEMPTS", 2)
    program = f"{sys.executable} {stand_in_segmenters.__file__}"
    keep = ["--keep-by", f"{program} brighter {{input}} {{output}}"]
    said = generate("some", "-n", 1, *keep, "--keep-dice", "0.05:1")
    assert said.code == 0, said.err
    assert "Kept by the segmenter: 1 of 1 (100%)" in said.out
    (recipe,) = (tmp_path / "some" / "recipes").iterdir()
    assert json.loads(recipe.read_text())["generate"]["keep_by_dice"] > 0.05
    said = generate("none", "-n", 1, "--keep-by", f"{program} empty {{input}} {{output}}")
    assert said.code == 3 and "Kept by the segmenter: 0 of 2 (0%)" in said.out


def test_nnunet_takes_what_was_generated(
    generate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nnunetv2")
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    from nnunet_dataset import Dataset, plans_of

    assert generate("Dataset907_Synthetic", "-n", 6).code == 0
    folder = tmp_path / "Dataset907_Synthetic"
    verify_dataset_integrity(str(folder), num_processes=1)
    plans = PlansManager(plans_of(Dataset(spacing=(1.5, 1.5, 1.5))))
    described = json.loads((folder / "dataset.json").read_text())
    cases = get_filenames_of_train_images_and_targets(str(folder), described)
    assert len(cases) == described["numTraining"] == 6
    for files in cases.values():
        data, segmentation, _ = DefaultPreprocessor(verbose=False).run_case(
            files["images"], files["label"], plans, plans.get_configuration("3d_fullres"), described
        )
        assert data.shape[0] == 2 and set(np.unique(segmentation)) == {0, 1}
