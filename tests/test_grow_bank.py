"""The script that grows the shipped bank: it goes on where it was, and keeps no voxels."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from analytic import small_bank
from synbt_aug.phantom import PhantomSettings
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.bank import load_bank

SCRIPT = Path(__file__).parents[1] / "pretrained" / "grow_bank.py"
SMALL = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), diameter_mm=16.0)


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grow_bank", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with small phantoms."""
    module = load_script()
    monkeypatch.setattr(module, "settings_of", lambda seed, varied: SMALL)
    return module


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["grow_bank.py", *map(str, arguments)])
    script.main()


def test_a_bank_grows_from_phantoms_and_goes_on_where_it_was(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bank = tmp_path / "bank.npz"
    run(script, monkeypatch, "--seeds", "0:2", "-o", bank)
    assert "phantom 0\nphantom 1\n" in capsys.readouterr().out
    first = load_bank(bank)
    assert {t.source for t in first.templates} == {"phantom_0000000", "phantom_0000001"}
    assert not any(t.signal is not None for t in first.templates)
    run(script, monkeypatch, "--seeds", "0:3", "-o", bank)
    said = capsys.readouterr().out
    assert said.startswith("phantom 2\n") and "phantom 0" not in said
    grown = load_bank(bank)
    assert len(grown) > len(first) and len(grown) == len(load_parts(tmp_path / "bank.parts"))


def load_parts(folder: Path) -> list[object]:
    parts = sorted(folder.glob("*.npz"))
    return [t for part in parts if part.stat().st_size for t in load_bank(part).templates]


def test_a_phantom_without_a_tumor_is_not_made_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "templates_of_phantom", lambda seed, settings: ())
    assert list(script.grow(tmp_path, [4], False, 1)) == [4]
    assert list(script.grow(tmp_path, [4], False, 1)) == []


def test_other_banks_come_first(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "templates_of_phantom", lambda seed, settings: ())
    other = small_bank().save(tmp_path / "other.npz")
    one = small_bank().templates[2]._replace(source="phantom_0000005")
    changed = one._replace(mask=one.mask[1:])
    monkeypatch.setattr(script, "templates_of_phantom", lambda seed, settings: (one, changed))
    run(script, monkeypatch, "--seeds", "5:6", "--join", other, "-o", tmp_path / "bank.npz")
    sources = [t.source for t in load_bank(tmp_path / "bank.npz").templates]
    # What both hold is kept once, under its first name.
    assert sources == [*(case_key(t.source) for t in small_bank().templates), "phantom_0000005"]


@pytest.mark.parametrize("text", ["5", "5:5", "-1:3", "0:1000001", "a:b"])
def test_seeds_that_are_none_or_for_testing_are_refused(script: ModuleType, text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        script._seeds(text)


def test_fields_of_view_follow_the_seed_s_last_digit() -> None:
    module = load_script()
    assert module.settings_of(407, varied=True).shape == (320, 192, 144)
    assert module.settings_of(407, varied=False) == PhantomSettings()
    assert module.settings_of(405, varied=True) == PhantomSettings()
