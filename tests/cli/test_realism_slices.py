from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from some_slices import grainy
from synbt_aug.evaluate.slices import GROUPS, TumorSlice, comparison

pytest.importorskip("skimage")
pytest.importorskip("sklearn")


def write_slices(folder: Path, slices: list[TumorSlice]) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["filename,pid,bbox_x,bbox_y,bbox_w,bbox_h,mm_per_px"]
    for one in slices:
        name = one.name.replace(" ", "_")
        top, bottom, left, right = one.box
        rows.append(f"{name}.png,{name},{left},{top},{right - left},{bottom - top},1")
        pixels = np.zeros((80, 80, 3), np.uint8)
        pixels[..., :2] = np.clip(one.image / 2, 0, 255).transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_two_folders_of_slices_give_a_table_with_the_halves_beside_it(
    synbt: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_DIVISIONS", 1)
    monkeypatch.setattr(comparison, "_TREES", 10)
    real = write_slices(tmp_path / "real", [grainy(k) for k in range(60)])
    larger = write_slices(tmp_path / "larger", [grainy(100 + k, radius=14.0) for k in range(30)])
    outcome = synbt("realism", real, larger, "-o", tmp_path / "o", "--slices")
    assert outcome.code == 0, outcome.err
    values = json.loads((tmp_path / "o" / "realism_slices.json").read_text())
    judged, halves = values["sets"]
    assert (judged["name"], halves["name"]) == ("larger", "halves of real")
    assert set(values["real_medians"]) == set(GROUPS["all"])
    # Discs half as large again are told at once; halves of one set are not.
    assert judged["auc"]["all"] > 0.9
    assert halves["auc"]["all"] < 0.75
    assert f"AUC of {judged['auc']['all']:.2f}" in outcome.out
    words = (tmp_path / "o" / "realism_slices.md").read_text()
    page = (tmp_path / "o" / "realism_slices.html").read_text()
    for feature in GROUPS["all"]:
        assert f"| {feature} |" in words and feature in page


def test_few_slices_give_medians_and_say_that_no_auc_can_be_had(
    synbt: Callable, tmp_path: Path
) -> None:
    few = write_slices(tmp_path / "few", [grainy(k) for k in range(4)])
    outcome = synbt("realism", few, few, "-o", tmp_path / "o", "--slices")
    assert outcome.code == 0, outcome.err
    assert "AUCs need 30 slices on each side" in outcome.out
    values = json.loads((tmp_path / "o" / "realism_slices.json").read_text())
    assert values["sets"][0]["auc"]["all"] is None
    assert values["sets"][0]["ks"]["texture"] == 0


def test_a_folder_that_holds_neither_slices_nor_a_dataset_is_told(
    synbt: Callable, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    where = tmp_path / "nothing"
    outcome = synbt("realism", where, where, "-o", tmp_path / "o", "--slices")
    assert outcome.code == 2
    assert "neither an nnU-Net raw dataset" in outcome.err
