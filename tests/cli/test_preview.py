from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from synbt_aug.cli import generator
from synbt_aug.synthesizer import TumorSynthesizer

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
