from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analytic import small_bank
from synbt_aug.data import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import TumorBank, load_bank


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
    assert all((template.appearance.enhancement or 0) > 0 for template in built.templates)
    shown = synbt("bank", "show", bank)
    assert f"{len(built)} tumors" in shown.out and "heterogeneity" in shown.out


def test_a_bank_holds_voxels_unless_masks_alone_are_asked_for(
    synbt: Callable, tmp_path: Path
) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), diameter_mm=16.0)
    data = write_phantom_cohort(tmp_path / "data", [0], settings=settings, workers=1)
    full, bare = tmp_path / "full.npz", tmp_path / "bare.npz"
    said = synbt("bank", "build", data, "-o", full)
    assert said.code == 0 and "share it only as these" in " ".join(said.out.split()), said.err
    said = synbt("bank", "build", data, "-o", bare, "--masks-only")
    assert said.code == 0 and "masks only" in " ".join(said.out.split()), said.err
    assert load_bank(full).has_signal and not load_bank(bare).has_signal
    with zipfile.ZipFile(bare) as archive:
        assert not any("signal" in name for name in archive.namelist())
    count = len(load_bank(full))
    assert f"voxels of the images: {count} of {count} tumors" in synbt("bank", "show", full).out
    assert "masks only, no voxels of any image" in synbt("bank", "show", bare).out


def test_groups_are_shown(synbt: Callable, tmp_path: Path) -> None:
    one, two, three, *_ = small_bank().templates
    pair = tuple(t._replace(group="case") for t in (one, two))
    path = TumorBank((*pair, three)).save(tmp_path / "bank.npz")
    assert "1 cases with several lesions, 2 lesions in them" in synbt("bank", "show", path).out
    TumorBank((three,)).save(path)
    assert "no case with several lesions" in synbt("bank", "show", path).out


def test_what_a_bank_does_not_know_is_shown_as_unknown(synbt: Callable, tmp_path: Path) -> None:
    one, two, *_ = small_bank().templates
    bare = [t._replace(appearance=Appearance()) for t in (one, two)]
    said = synbt("bank", "show", TumorBank(tuple(bare)).save(tmp_path / "bank.npz"))
    assert said.code == 0 and said.out.count("unknown") == 5
    assert "2 of unknown category" in said.out


def test_a_single_array_is_no_bank(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "bank.npy", np.zeros(3))
    pair = [scans / "pre.nii.gz", scans / "post.nii.gz", "--weights", weights]
    for command in (
        ["bank", "show", tmp_path / "bank.npy"],
        ["preview", *pair, "-o", tmp_path / "a.png", "--bank", tmp_path / "bank.npy"],
        [
            "synthesize",
            *pair,
            "-o",
            tmp_path,
            "--weights",
            weights,
            "--bank",
            tmp_path / "bank.npy",
        ],
    ):
        said = synbt(*command)
        assert said.code == 2 and "was to be a tumor bank" in said.err, said.err


def test_a_bank_without_tumors_and_another_ending_are_refused(
    synbt: Callable, tmp_path: Path
) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), with_tumor=False)
    data = write_phantom_cohort(tmp_path / "data", [0], settings=settings, workers=1)
    said = synbt("bank", "build", data, "-o", tmp_path / "bank.npz")
    assert said.code == 2 and "at least 6 mm; these cases hold none" in said.err
    said = synbt("bank", "build", data, "-o", tmp_path / "bank.pt")
    assert said.code == 2 and "A tumor bank is a .npz file" in said.err
