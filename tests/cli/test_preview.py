from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from small_datasets import write_dataset
from synbt_aug.cli import generator
from synbt_aug.report import previewing
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.segmenter import TissueSegmenter

pytestmark = pytest.mark.usefixtures("plain")


def test_a_sheet_shows_one_tumor_a_seed(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    pre, post = scans / "pre.nii.gz", scans / "post.nii.gz"
    sheet = tmp_path / "sheet.png"
    said = synbt(
        "preview", pre, post, "-o", sheet, "-n", 2, "--diameter-mm", 10, "--weights", weights
    )
    assert said.code == 0, said.err
    assert "2 of 2 tumors" in said.out
    with Image.open(sheet) as picture:
        assert picture.width > picture.height


def test_a_sheet_of_no_tumor_is_an_error(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    pre, post = scans / "pre.nii.gz", scans / "post.nii.gz"
    said = synbt("preview", pre, post, "-o", tmp_path / "a.jpg", "--weights", weights)
    assert said.code == 2 and "is a .png file" in said.err
    said = synbt(
        "preview", pre, post, "-o", tmp_path / "a.png", "-n", 1, "--diameter-mm", 85,
        "--weights", weights,
    )  # fmt: skip
    assert said.code == 3 and not (tmp_path / "a.png").exists()


def test_the_last_seed_of_a_sheet_is_one_that_a_generator_takes(
    synbt: Callable, scans: Path, tmp_path: Path
) -> None:
    given = ["preview", scans / "pre.nii.gz", scans / "post.nii.gz", "-o", tmp_path / "a.png"]
    said = synbt(*given, "-n", 3, "--seed", 2**64 - 2)
    assert said.code == 2 and "The last seed is at most 18446744073709551615" in said.err


def test_a_sheet_follows_guidance_and_names_a_wrong_tissue_folder(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    make = generator.make_synthesizer

    def spy(*args: Any, **settings: Any) -> TumorSynthesizer:
        made = make(*args, **settings)
        seen.append(made.texture.recipe()["guidance"])
        return made

    monkeypatch.setattr(generator, "make_synthesizer", spy)
    given = ["preview", scans / "pre.nii.gz", scans / "post.nii.gz", "-o", tmp_path / "a.png"]
    given += ["-n", 1, "--diameter-mm", 10, "--weights", weights]
    assert synbt(*given, "--guidance", 2.5).code == 0 and seen == [2.5]
    said = synbt(*given, "--tissue", tmp_path / "none")
    assert said.code == 2 and "tissue needs 'shipped' or a folder" in said.err


def test_the_scan_s_tissues_are_found_once_for_all_tumors(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    segment = TissueSegmenter.__call__

    def spy(self: TissueSegmenter, *args: Any) -> Any:
        asked.append(args)
        return segment(self, *args)

    monkeypatch.setattr(TissueSegmenter, "__call__", spy)
    given = [scans / "pre.nii.gz", scans / "post.nii.gz", "-o", tmp_path / "a.png"]
    given += ["-n", 3, "--diameter-mm", 10, "--weights", weights]
    said = synbt("preview", *given)
    assert said.code == 0 and "3 of 3 tumors" in said.out
    assert len(asked) == 1
    # Where tumors may go is told: no tissues are asked for.
    roi = nib.load(scans / "tumor.nii.gz")
    everywhere = nib.Nifti1Image(np.ones(roi.shape, np.uint8), roi.affine)
    nib.save(everywhere, tmp_path / "roi.nii.gz")
    assert synbt("preview", *given, "--roi", tmp_path / "roi.nii.gz").code == 0
    assert len(asked) == 1


def test_a_tumor_of_the_sheet_is_the_one_that_synthesize_paints(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, tuple[Any, Any]] = {}
    paint, draw = previewing.paint_crop, previewing.planes_panel
    crops: list[Any] = []

    def keep(synthesizer: Any, crop: Any) -> Any:
        crops.append(crop)
        return paint(synthesizer, crop)

    def look(case: Any) -> Any:
        shown[case.title.partition(":")[0]] = crops[-1], case
        return draw(case)

    monkeypatch.setattr(previewing, "paint_crop", keep)
    monkeypatch.setattr(previewing, "planes_panel", look)
    both = [scans / "pre.nii.gz", scans / "post.nii.gz", "--weights", weights]
    both += ["--diameter-mm", "9:11"]
    assert synbt("preview", *both, "-o", tmp_path / "a.png", "-n", 2, "--seed", 4).code == 0
    assert synbt("synthesize", *both, "-o", tmp_path / "out", "--seed", 5).code == 0
    crop, case = shown["seed 5"]
    for channel, name in enumerate(("pre", "post")):
        alone = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj).T
        assert np.array_equal(case.after[channel], alone[crop.box])
    label = np.asarray(nib.load(tmp_path / "out" / "tumor.nii.gz").dataobj).T
    assert np.array_equal(case.tumor, label[crop.box]) and case.tumor.sum() == label.sum()


def test_a_fold_shows_what_its_training_would_inject(
    synbt: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_dataset(tmp_path / "data", gain=120.0, count=3, radius_mm=3.5)
    split = [{"train": ["case0", "case2"], "val": ["case1"]}]
    (dataset / "splits_final.json").write_text(json.dumps(split))
    described = json.loads((dataset / "dataset.json").read_text())
    described["synbt"] = {"diameter_mm": 8, "enhancement": 1.5}
    (dataset / "dataset.json").write_text(json.dumps(described))
    made: list[Any] = []
    decide = previewing.decide_crop

    def keep(synthesizer: Any, host: Any, request: Any, *, seed: int) -> Any:
        made.append((synthesizer, request))
        return decide(synthesizer, host, request, seed=seed)

    monkeypatch.setattr(previewing, "decide_crop", keep)
    said = synbt("preview", dataset, "--fold", 0, "-o", tmp_path / "a.png", "--weights", weights)
    assert said.code == 0 and "2 of 2 tumors" in said.out, said.err
    for synthesizer, request in made:
        assert (request.diameter_mm, request.appearance.enhancement) == (8.0, 1.5)
        # Shapes of the fold's own training cases, of none that validates.
        assert {t.source for t in synthesizer.bank.templates} == {"case0", "case2"}


def test_scans_and_folders_are_not_mixed_up(synbt: Callable, scans: Path, tmp_path: Path) -> None:
    pre = scans / "pre.nii.gz"
    said = synbt("preview", pre, "-o", tmp_path / "a.png")
    assert said.code == 2 and "synbt preview PRE POST -o FILE" in said.err
    said = synbt("preview", tmp_path, pre, "-o", tmp_path / "a.png")
    assert said.code == 2 and "A second scan goes with a scan" in said.err
    said = synbt("preview", pre, pre, "--fold", 0, "-o", tmp_path / "a.png")
    assert said.code == 2 and "--fold goes with a dataset's folder" in said.err
