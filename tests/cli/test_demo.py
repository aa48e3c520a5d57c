from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.cli import demo
from synbt_aug.cli.demo import Scene


@pytest.mark.usefixtures("plain")
def test_the_demo_paints_and_reports(
    synbt: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"shape": (64, 64, 56), "spacing": (1.5, 1.5, 1.5)}
    scenes = (
        Scene("One tumor", grid, {"diameter_mm": 12.0}),
        Scene("A removal", grid | {"diameter_mm": 12.0}, remove=True),
        Scene("No room", grid, {"diameter_mm": 88.0}),
    )
    monkeypatch.setattr(demo, "SCENES", scenes)
    said = synbt("demo", "-o", tmp_path / "demo", "--weights", weights)
    assert said.code == 0, said.err
    assert "2 of 3 cases painted, 0 voxels changed outside" in said.out
    assert "No room: nothing was painted" in said.out
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "One tumor" in page and "A removal" in page and "No room" in page
    assert (tmp_path / "demo" / "case-1" / "recipe.json").is_file()


def test_scenes_ask_for_what_phantoms_and_tumors_have() -> None:
    from synbt_aug.phantom import PhantomSettings
    from synbt_aug.tumor.appearance import Appearance

    for scene in demo.SCENES:
        PhantomSettings(**scene.phantom)
        Appearance(**scene.appearance)


def test_missing_weights_are_told_before_phantoms_are_made(synbt: Callable, tmp_path: Path) -> None:
    said = synbt("demo", "-o", tmp_path, "--weights", tmp_path / "none")
    assert said.code == 2 and "needs 'shipped' or the path of a weights folder" in said.err
