from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synbt_aug.data import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug.tumor.bank import load_bank


def test_a_bank_is_built_from_masks_and_shown(synbt: Callable, tmp_path: Path) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), diameter_mm=16.0)
    data = write_phantom_cohort(tmp_path / "data", range(2), settings=settings, workers=1)
    bank = tmp_path / "bank.npz"
    said = synbt("bank", "build", data, "-o", bank)
    assert said.code == 0, said.err
    built = load_bank(bank)
    assert {template.source for template in built.templates} == {
        "phantom_0000000",
        "phantom_0000001",
    }
    assert all(template.appearance.enhancement > 0 for template in built.templates)
    shown = synbt("bank", "show", bank)
    assert f"{len(built)} tumors" in shown.out and "heterogeneity" in shown.out


def test_a_bank_without_tumors_and_another_ending_are_refused(
    synbt: Callable, tmp_path: Path
) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), with_tumor=False)
    data = write_phantom_cohort(tmp_path / "data", [0], settings=settings, workers=1)
    said = synbt("bank", "build", data, "-o", tmp_path / "bank.npz")
    assert said.code == 2 and "at least 6 mm; these cases hold none" in said.err
    said = synbt("bank", "build", data, "-o", tmp_path / "bank.pt")
    assert said.code == 2 and "A tumor bank is a .npz file" in said.err
