from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.cli import demo, demo_training
from synbt_aug.cli.demo import Scene
from synbt_aug.cli.steps import StepFailed


@pytest.mark.usefixtures("plain")
def test_the_demo_paints_and_reports(
    synbt: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"shape": (64, 64, 56), "spacing": (1.5, 1.5, 1.5)}
    scenes = (
        Scene("One tumor", "What to see.", grid, {"diameter_mm": 12.0}),
        Scene("A removal", "", grid | {"diameter_mm": 12.0}, remove=True),
        Scene("No room", "", grid, {"diameter_mm": 88.0}),
    )
    monkeypatch.setattr(demo, "SCENES", scenes)
    said = synbt("demo", "-o", tmp_path / "demo", "--weights", weights, "--quick")
    assert said.code == 0, said.err
    assert "2 of 3 cases painted, 0 voxels changed outside" in said.out
    assert "No room: nothing was painted" in said.out
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "One tumor" in page and "A removal" in page and "No room" in page
    assert (tmp_path / "demo" / "case-1" / "recipe.json").is_file()
    assert "What to see." in page and ">case-1/<" in page
    assert re.search(r"<td>\d+ x \d+ x \d+ mm</td>", page)
    assert "Left out by --quick." in page and not (tmp_path / "demo" / "nnunet").exists()


@pytest.fixture
def one_scene(monkeypatch: pytest.MonkeyPatch, plain: None) -> None:
    grid = {"shape": (64, 64, 56), "spacing": (1.5, 1.5, 1.5)}
    monkeypatch.setattr(demo, "SCENES", (Scene("One tumor", "", grid, {"diameter_mm": 12.0}),))


@pytest.mark.usefixtures("one_scene")
def test_without_nnunet_the_demo_says_what_to_type(
    synbt: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_training, "missing_packages", lambda: ["nnunetv2"])
    said = synbt("demo", "-o", tmp_path, "--weights", weights)
    assert said.code == 0, said.err
    assert "(nnunetv2 not installed): pip install 'synbt-aug[nnunet,eval]'" in said.out
    assert "nnunetv2 is not installed" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("one_scene")
def test_a_training_that_fails_leaves_a_report_and_the_end_of_its_log(
    synbt: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **settings: object) -> None:
        # What was painted is on the page before the training starts.
        assert "One tumor" in (tmp_path / "report.html").read_text()
        raise StepFailed("The training", 1, tmp_path / "train.log", ["Traceback", "Killed: 9"])

    monkeypatch.setattr(demo_training, "missing_packages", list)
    monkeypatch.setattr(demo_training, "train_on_phantoms", fails)
    said = synbt("demo", "-o", tmp_path, "--weights", weights)
    assert said.code == 1
    assert "Killed: 9" in said.out and "The training failed with exit code 1" in said.err
    page = (tmp_path / "report.html").read_text()
    assert "One tumor" in page and "Traceback\nKilled: 9" in page


def test_scenes_ask_for_what_phantoms_and_tumors_have() -> None:
    from synbt_aug.phantom import PhantomSettings
    from synbt_aug.tumor.appearance import Appearance

    for scene in demo.SCENES:
        assert scene.words.endswith(".")
        PhantomSettings(**scene.phantom)
        Appearance(**scene.appearance)


def test_missing_weights_are_told_before_phantoms_are_made(synbt: Callable, tmp_path: Path) -> None:
    said = synbt("demo", "-o", tmp_path, "--weights", tmp_path / "none")
    assert said.code == 2 and "needs 'shipped' or the path of a weights folder" in said.err
