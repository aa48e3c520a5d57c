"""`synbt train segmentation` as the shell runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug.support.files import read_json, write_json

TINY = ("--preset", "tiny", "--field-of-view", "patch", "--accelerator", "cpu", "--epochs", "1")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = PhantomSettings(shape=(28, 28, 28), spacing=(2.0, 2.0, 2.0))
    folder = tmp_path_factory.mktemp("cohort")
    write_phantom_cohort(folder, range(20_000, 20_004), settings=settings, workers=1)
    names = [f"phantom_{seed:07d}" for seed in range(20_000, 20_004)]
    write_json(folder / "splits_final.json", [{"train": names[:2], "val": names[2:3]}])
    return folder


def test_a_fold_is_trained_validated_and_the_rest_scored(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    test = tmp_path / "test"
    settings = PhantomSettings(shape=(28, 28, 28), spacing=(2.0, 2.0, 2.0))
    write_phantom_cohort(test, [1_300_000, 1_300_001], settings=settings, workers=1)
    where = ("--data", cohort, "--fold", 0, "--test", test, "-o", tmp_path / "out")
    painted = ("--synthetic", "syntumor", "--mode", "add", "--precision", "32-true")
    said = synbt("train", "segmentation", *where, *painted, *TINY)
    assert said.code == 0, said.err
    facts = read_json(tmp_path / "out" / "best.json")
    assert facts["cases"] == ["phantom_0020000", "phantom_0020001"]
    assert facts["validation"] == ["phantom_0020002"]
    assert "best.safetensors (2 steps in 0:0" in said.out
    assert facts["synthetic"]["mode"] == "add" and facts["synthetic"]["probability"] == 1.0
    assert facts["synthetic"]["injection"]["texture"] == "syntumor"
    scores = read_json(tmp_path / "out" / "scores.json")
    assert {case["name"] for case in scores["cases"]} == {"phantom_1300000", "phantom_1300001"}
    again = synbt("train", "segmentation", *where, *painted, *TINY)
    assert again.code == 2 and "Continue it with --resume" in again.err


def test_settings_come_from_the_environment_as_in_every_host(
    synbt: Callable, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "9")
    where = ("--data", cohort, "--fold", 0, "-o", tmp_path / "out")
    said = synbt("train", "segmentation", *where, "--synthetic", "syntumor", *TINY)
    assert said.code == 0, said.err
    facts = read_json(tmp_path / "out" / "best.json")
    assert facts["synthetic"]["injection"]["diameter_mm"] == 9.0
    assert facts["synthetic"]["mode"] == "replace" and facts["synthetic"]["probability"] == 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--network", "vnet"), "--network takes one of unet, nnunet, swinunetr, got 'vnet'"),
        (("--field-of-view", "slab"), "--field-of-view takes volume or patch, got 'slab'"),
        (("--synthetic", "gan"), "--synthetic takes one of none"),
        (("--mode", "mix"), "--mode takes replace or add"),
        (("--preset", "big"), "No preset is called 'big'"),
        ((), "give --val or --fold"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_cohort_is_read(
    synbt: Callable, cohort: Path, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    done = synbt("train", "segmentation", "--data", cohort, "-o", tmp_path / "out", *given)
    assert done.code == 2 and said in done.err
    assert "Reading" not in done.err and not (tmp_path / "out").exists()


def test_a_test_of_validation_cases_alone_is_refused(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    settings = PhantomSettings(shape=(28, 28, 28), spacing=(2.0, 2.0, 2.0))
    val = write_phantom_cohort(tmp_path / "val", [1_200_000], settings=settings, workers=1)
    where = ("--data", cohort, "--val", val, "--test", val, "-o", tmp_path / "out")
    said = synbt("train", "segmentation", *where, *TINY)
    assert said.code == 2 and "none is left to test on" in said.err
    assert not list((tmp_path / "out").iterdir())


def test_a_training_that_was_stopped_is_not_scored(
    synbt: Callable, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synbt_aug.train.segmentation_samples import SampleSource

    drawn = SampleSource.batch

    def stopping(self, step, indices):
        os.kill(os.getpid(), signal.SIGTERM)
        return drawn(self, step, indices)

    settings = PhantomSettings(shape=(28, 28, 28), spacing=(2.0, 2.0, 2.0))
    test = write_phantom_cohort(tmp_path / "test", [1_300_000], settings=settings, workers=1)
    where = ("--data", cohort, "--fold", 0, "--test", test, "-o", tmp_path / "out")
    monkeypatch.setattr(SampleSource, "batch", stopping)
    said = synbt("train", "segmentation", *where, *TINY)
    assert said.code == 143, said.err
    assert "Stopped before its end. The same command with --resume goes on from" in said.out
    assert "Weights: " not in said.out and not (tmp_path / "out/scores.json").exists()
    monkeypatch.setattr(SampleSource, "batch", drawn)
    said = synbt("train", "segmentation", *where, *TINY, "--resume")
    assert said.code == 0 and (tmp_path / "out/scores.json").is_file(), said.err


def test_validation_cases_are_drawn_from_another_dataset(
    synbt: Callable, cohort: Path, tmp_path: Path
) -> None:
    settings = PhantomSettings(shape=(28, 28, 28), spacing=(2.0, 2.0, 2.0))
    seeds = range(1_200_000, 1_200_003)
    val = write_phantom_cohort(tmp_path / "val", seeds, settings=settings, workers=1)
    where = ("--data", cohort, "--val", val, "--val-cases", 2, "--test", val)
    said = synbt("train", "segmentation", *where, "-o", tmp_path / "out", *TINY)
    assert said.code == 0, said.err
    validation = set(read_json(tmp_path / "out" / "best.json")["validation"])
    tested = {case["name"] for case in read_json(tmp_path / "out" / "scores.json")["cases"]}
    assert len(validation) == 2 and len(tested) == 1 and not validation & tested
