from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synbt_aug.cli import main, train
from synbt_aug.data import cohort as cohort_module
from synbt_aug.data import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug.support.files import read_json, write_json
from synbt_aug.train.pool import LatentPool
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


TINY = ("--preset", "tiny", "--max-time", "60s", "--accelerator", "cpu", "--precision", "32-true")


def test_the_tiny_networks_train_into_a_weights_folder(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    codec, denoiser = tmp_path / "codec", tmp_path / "denoiser"
    said = synbt("train", "autoencoder", "--data", cohort, "-o", codec, *TINY)
    assert said.code == 0, said.err
    assert "autoencoder.safetensors (11 steps in 0:" in said.out
    assert "2 cases" in said.out and "for testing only (phantom_1000000" in said.out
    said = synbt(
        "train", "denoiser", "--data", cohort, "--autoencoder", codec, "-o", denoiser, *TINY
    )
    assert said.code == 0, said.err
    assert "weights (6 steps in 0:0" in said.out
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


@pytest.fixture(scope="module")
def codec(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny autoencoder, trained."""
    folder = tmp_path_factory.mktemp("codec")
    with pytest.raises(SystemExit) as ending:
        main(["train", "autoencoder", "--data", str(cohort), "-o", str(folder), *TINY])
    assert ending.value.code == 0
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_exits_as_a_shell_expects_and_assembles_nothing(
    synbt: Callable,
    cohort: Path,
    codec: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    drawn = LatentPool.batch

    def stopping(*given: Any) -> Any:
        os.kill(os.getpid(), number)
        return drawn(*given)

    command = ("train", "denoiser", "--data", cohort, "--autoencoder", codec, "-o", tmp_path, *TINY)
    with monkeypatch.context() as patch:
        patch.setattr(LatentPool, "batch", stopping)
        said = synbt(*command)
    assert said.code == code, said.err
    assert f"The same command with --resume goes on from {tmp_path}" in said.out
    assert "Weights: " not in said.out and not (tmp_path / "weights").exists()
    said = synbt(*command, "--resume")
    assert said.code == 0 and f"Weights: {tmp_path / 'weights'} (6 steps" in said.out, said.err


def test_a_training_that_is_stopped_before_it_begins_says_so(
    synbt: Callable, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cohort_module.load_case

    def stopping(*given: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        return read(*given, **options)

    monkeypatch.setattr(cohort_module, "load_case", stopping)
    said = synbt("train", "autoencoder", "--data", cohort, "-o", tmp_path, *TINY)
    assert said.code == 143, said.err
    assert "Stopped before the first step. The same command starts it again." in said.out
    assert not list(tmp_path.iterdir())


def test_a_time_too_short_for_steps_is_an_error_and_leaves_no_weights(
    synbt: Callable, cohort: Path, codec: Path, tmp_path: Path
) -> None:
    where = ("--data", cohort, "--autoencoder", codec, "-o", tmp_path)
    said = synbt("train", "denoiser", *where, *TINY, "--max-time", "0s")
    assert said.code == 2 and "0 steps in 0:00, fewer than the 2 that make weights" in said.err
    assert "Weights: " not in said.out and not (tmp_path / "weights").exists()
    said = synbt("train", "denoiser", *where, *TINY, "--max-time", "60s", "--resume")
    assert said.code == 0 and "(6 steps in" in said.out, said.err


@pytest.mark.parametrize("what", ["autoencoder", "denoiser", "tissue", "segmentation"])
def test_there_must_be_a_training_to_resume(
    synbt: Callable, cohort: Path, codec: Path, tmp_path: Path, what: str
) -> None:
    data = {"tissue": (), "segmentation": ("--data", cohort, "--val", cohort)}
    given = data.get(what, ("--data", cohort))
    given += ("--autoencoder", codec) if what == "denoiser" else ()
    said = synbt("train", what, *given, "-o", tmp_path / "new", "--resume")
    assert said.code == 2 and "holds no run to resume" in said.err and "-o" in said.err
    assert not (tmp_path / "new").exists() and "Reading" not in said.err


def test_a_denoiser_is_resumed_with_its_own_autoencoder_alone(
    synbt: Callable, cohort: Path, codec: Path, tmp_path: Path
) -> None:
    where = ("--data", cohort, "-o", tmp_path / "denoiser", *TINY)
    assert synbt("train", "denoiser", *where, "--autoencoder", codec).code == 0
    other = ("--data", cohort, "-o", tmp_path / "codec", *TINY, "--seed", 1)
    assert synbt("train", "autoencoder", *other).code == 0
    said = synbt("train", "denoiser", *where, "--autoencoder", tmp_path / "codec", "--resume")
    assert said.code == 2 and "made with other settings (encoder " in said.err


def test_an_autoencoder_whose_training_was_stopped_is_told(
    synbt: Callable, cohort: Path, codec: Path, tmp_path: Path
) -> None:
    shutil.copytree(codec, tmp_path / "codec")
    facts = read_json(tmp_path / "codec" / "autoencoder.json")
    facts["training"] |= {"finished": False}
    write_json(tmp_path / "codec" / "autoencoder.json", facts)
    where = ("--data", cohort, "-o", tmp_path / "denoiser", *TINY)
    said = synbt("train", "denoiser", *where, "--autoencoder", tmp_path / "codec")
    assert said.code == 0 and "was stopped (stage volumes, step 3)" in said.out, said.err


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
