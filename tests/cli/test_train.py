from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.cli import train
from synbt_aug.data import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug.weights import load_weights


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PhantomSettings(shape=(40, 40, 40), spacing=(2.0, 2.0, 2.0))
    folder = tmp_path_factory.mktemp("cohort")
    return write_phantom_cohort(folder, [0, 1_000_000], settings=settings, workers=1)


def test_an_unknown_preset_is_refused_before_the_cohort_is_read(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path / "t", "--preset", "big")
    assert said.code == 2
    assert "No preset is called 'big'" in said.err and "tiny" in said.err
    assert "Reading" not in said.err and not (tmp_path / "t").exists()


def test_a_missing_extra_is_told_first(
    synbt: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    said = synbt("train", "autoencoder", "--data", tmp_path / "none", "-o", tmp_path / "t")
    assert said.code == 2 and "pip install 'synbt-aug[train]'" in said.err


def test_a_folder_that_is_no_dataset_is_refused(synbt: Callable, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    said = synbt("train", "autoencoder", "--data", tmp_path, "-o", tmp_path / "t")
    assert said.code == 2 and "neither an nnU-Net raw dataset" in said.err


TINY = ("--preset", "tiny", "--max-time", "3s", "--accelerator", "cpu", "--precision", "32-true")


def test_the_tiny_networks_train_into_a_weights_folder(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    codec, denoiser = tmp_path / "codec", tmp_path / "denoiser"
    said = synbt("train", "autoencoder", "--data", cohort, "-o", codec, *TINY)
    assert said.code == 0, said.err
    assert "2 cases" in said.out and "for testing only (phantom_1000000" in said.out
    said = synbt(
        "train", "denoiser", "--data", cohort, "--autoencoder", codec, "-o", denoiser, *TINY
    )
    assert said.code == 0, said.err
    trained = load_weights(denoiser / "weights")
    assert {template.source for template in trained.bank.templates} <= {
        "phantom_0000000",
        "phantom_1000000",
    }
    assert trained.card["cases"] == ["phantom_0000000", "phantom_1000000"]
    # A weights folder is a start, too, and brings its autoencoder.
    weights, more = denoiser / "weights", tmp_path / "more"
    from_there = ("--init", weights, "--autoencoder", weights, "-o", more)
    said = synbt("train", "denoiser", "--data", cohort, *from_there, *TINY)
    assert said.code == 0, said.err
    assert load_weights(more / "weights").card["autoencoder"] == trained.card["autoencoder"]


def test_a_denoiser_without_an_autoencoder_is_refused_before_the_cohort_is_read(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    said = synbt(
        "train", "denoiser", "--data", cohort, "--autoencoder", tmp_path, "-o", tmp_path / "d"
    )
    assert said.code == 2 and "holds no autoencoder" in said.err
    assert not (tmp_path / "d").exists()


def test_a_folder_with_a_run_is_refused_before_the_cohort_is_read(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    (tmp_path / "crops.checkpoint.pt").touch()
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path)
    assert said.code == 2 and "Continue it with --resume" in said.err
    assert "cases" not in said.out


def test_a_start_that_is_not_there_is_refused_before_the_cohort_is_read(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path, "--init", tmp_path)
    assert said.code == 2 and "autoencoder.json is missing" in said.err
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path, "--perceptual", "none")
    assert said.code == 2 and "--perceptual names a file" in said.err
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path, "--keep-encoder")
    assert said.code == 2 and "name it with --init" in said.err
    assert "cases" not in said.out
