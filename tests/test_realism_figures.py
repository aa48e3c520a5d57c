"""The realism benchmark goes on with what a folder lacks, and refuses to mix two paintings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analytic import small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json
from synbt_aug.tumor.bank import TumorBank

FOLDER = Path(__file__).parents[1] / "benchmarks"
DIGEST = "a" * 64


@pytest.fixture(scope="module")
def benchmark() -> Iterator[SimpleNamespace]:
    """The modules, which import each other by their plain names."""
    if not FOLDER.is_dir():
        pytest.skip("benchmarks are in the repository alone")
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(
            phantoms=importlib.import_module("realism_phantoms"),
            examine=importlib.import_module("realism_examine"),
            figures=importlib.import_module("realism_figures"),
        )
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture
def settings(benchmark: SimpleNamespace) -> Any:
    return benchmark.phantoms.Options(textures=("diffusion",), ssim=False)


def measured(**more: Any) -> dict[str, Any]:
    """Figures of a phantom that was looked at lightly."""
    light = {"deep": False, "diverse": False, "judged": False, "ssim": False}
    return {**light, "refused": {"diffusion": 0}, **more}


def test_a_phantom_is_examined_again_only_for_what_is_missing(
    benchmark: SimpleNamespace, settings: Any
) -> None:
    lacks, work = benchmark.examine.lacks, benchmark.phantoms.Work(1, "", False, False)
    deep, with_ssim = replace(work, deep=True), replace(settings, ssim=True)
    assert lacks(work, settings, None)
    assert not lacks(work, settings, measured())
    assert lacks(work, replace(settings, textures=("diffusion", "syntumor")), measured())
    assert lacks(deep, settings, measured())
    assert lacks(replace(work, judged=True), settings, measured())
    assert not lacks(deep, settings, measured(deep=True))
    assert lacks(deep, with_ssim, measured(deep=True))
    assert not lacks(deep, with_ssim, measured(deep=True, ssim=True))
    # SSIM belongs to the codec's figures: nothing is missing where these were not asked for.
    assert not lacks(work, with_ssim, measured())


def test_more_textures_and_a_bank_may_come_later_but_no_other_painting(
    benchmark: SimpleNamespace, settings: Any, tmp_path: Path
) -> None:
    remember = benchmark.figures.remember
    remember(tmp_path, settings, DIGEST)
    remember(tmp_path, replace(settings, textures=("diffusion", "syntumor"), ssim=True), DIGEST)
    bank = tmp_path / "bank.npz"
    small_bank().save(bank)
    remember(tmp_path, replace(settings, bank=str(bank)), DIGEST)
    assert read_json(tmp_path / "options.json")["bank"] == small_bank().digest
    # Without copy_paste the bank has no say, and is not forgotten.
    remember(tmp_path, settings, DIGEST)
    assert read_json(tmp_path / "options.json")["bank"] == small_bank().digest
    for other, digest, names in (
        (replace(settings, steps=10), DIGEST, "steps"),
        (replace(settings, guidance=2.0), DIGEST, "guidance"),
        (settings, "b" * 64, "weights digest"),
    ):
        with pytest.raises(SynBTError, match=rf"other settings \({names}\)"):
            remember(tmp_path, other, digest)
    TumorBank(small_bank().templates[:1]).save(bank)
    with pytest.raises(SynBTError, match=r"other settings \(bank\)"):
        remember(tmp_path, replace(settings, bank=str(bank)), DIGEST)
