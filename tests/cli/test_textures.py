"""`--texture` and `--distractors` on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from synbt_aug.cli import generator
from synbt_aug.texture import names

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def paint(synbt: Callable, scans: Path, weights: Path) -> Callable:
    """`synbt synthesize` on the analytic scans."""

    def run(output: Path, *options: object) -> object:
        pre, post = scans / "pre.nii.gz", scans / "post.nii.gz"
        return synbt("synthesize", pre, post, "-o", output, "--weights", weights, *options)

    return run


def _stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


def test_the_analytic_texture_paints_and_its_recipe_replays(
    paint: Callable, tmp_path: Path
) -> None:
    wish = ("--diameter-mm", 10, "--seed", 3, "--enhancement", 1.5, "--texture", "syntumor")
    said = paint(tmp_path / "a", *wish)
    assert said.code == 0, said.err
    recipe = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert recipe["texture"]["name"] == "syntumor"
    said = paint(tmp_path / "b", "--recipe", tmp_path / "a" / "recipe.json")
    assert said.code == 0, said.err
    for name in ("pre", "post", "tumor"):
        first, second = (_stored(tmp_path / f / f"{name}.nii.gz") for f in "ab")
        assert np.array_equal(first, second)


def test_pasting_from_shapes_is_told_in_one_line(paint: Callable, tmp_path: Path) -> None:
    said = paint(tmp_path, "--texture", "copy_paste")
    assert said.code == 2
    assert "the bank 'shipped' holds shapes only. Build one with `synbt bank build" in said.err
    assert not list(tmp_path.iterdir())


def test_a_sheet_takes_a_texture(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    said = synbt(
        "preview", scans / "pre.nii.gz", scans / "post.nii.gz", "-o", tmp_path / "sheet.png",
        "-n", 1, "--diameter-mm", 10, "--weights", weights, "--texture", "crayon",
    )  # fmt: skip
    assert said.code == 2 and "--texture is one of diffusion, syntumor, copy_paste" in said.err


def test_distractors_are_listed_and_not_labelled(paint: Callable, tmp_path: Path) -> None:
    wish = ("--diameter-mm", 8, "--seed", 3)
    plain, more = paint(tmp_path / "a", *wish), paint(tmp_path / "b", *wish, "--distractors", 2)
    assert plain.code == more.code == 0, more.err
    kinds = [t["kind"] for t in json.loads((tmp_path / "b" / "recipe.json").read_text())["tumors"]]
    assert kinds[0] == "tumor" and "distractor" in kinds
    # A row of the table; the folder's name holds the word, too.
    assert re.search(r"^ +distractors  (mass|node|vessel)", more.out, re.MULTILINE)
    assert not re.search(r"^ +distractors  ", plain.out, re.MULTILINE)
    labels, posts = (
        [_stored(tmp_path / f / f"{name}.nii.gz") for f in "ab"] for name in ("tumor", "post")
    )
    assert np.array_equal(*labels) and not np.array_equal(*posts)


def test_a_recipe_leaves_no_choice_of_distractors(paint: Callable, tmp_path: Path) -> None:
    said = paint(tmp_path, "--recipe", tmp_path / "none.json", "--distractors", 1)
    assert said.code == 2 and "--recipe leaves no choice of --distractors" in said.err


def test_the_command_line_offers_what_the_library_has() -> None:
    # It keeps its own copy: `--help` is not to wait for torch.
    assert generator.TEXTURES == names.TEXTURES
    assert generator.DEFAULT_STEPS == names.DEFAULT_STEPS
