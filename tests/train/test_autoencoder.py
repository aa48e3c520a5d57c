"""Training of the autoencoder, tiny and on synthetic cases."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAESettings
from synbt_aug.support.interruption import Interrupted
from synbt_aug.train import autoencoder_preset, load_autoencoder, train_autoencoder
from synbt_aug.train.autoencoder import CropSampler
from synbt_aug.train.autoencoder_presets import CropPhase

TINY = autoencoder_preset("tiny")
CPU = {"accelerator": "cpu", "precision": "32-true"}


def train(cases: list, folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    preset = options.pop("preset", TINY)
    return load_file(train_autoencoder(cases, preset, folder, **{**CPU, **options}))


def stop_at_batch(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """SIGTERM arrives while a batch is drawn."""
    draw, count = CropSampler.batch, [0]

    def interrupted(*args: Any, **kwargs: Any) -> torch.Tensor:
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(*args, **kwargs)

    monkeypatch.setattr(CropSampler, "batch", interrupted)


@pytest.fixture(scope="module")
def whole(cases: list, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(cases, folder)
    return folder


def test_the_result_can_be_loaded_and_used(whole: Path) -> None:
    vqvae = load_autoencoder(whole).eval()
    assert bool(vqvae.codebook.initialised)
    assert vqvae(torch.zeros(1, 2, 16, 16, 16)).reconstruction.isfinite().all()
    facts = json.loads((whole / "autoencoder.json").read_text())
    assert facts["settings"] == TINY.network.to_dict()
    assert facts["training"]["stage"] == "volumes" and facts["preset"]["name"] == "tiny"


@pytest.mark.parametrize("batch", [2, 7, 18, 21])
def test_an_interrupted_run_resumes_bitwise(  # in warm-up, codebook start, GAN, stage 2
    cases: list, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="stopped by SIGTERM"):
        stop_at_batch(patch, batch)
        train(cases, tmp_path)
    facts = tmp_path / "autoencoder.json"
    # Six steps make weights; the codebook begins with the third, and takes twelve batches.
    assert facts.exists() == (batch > 15)
    assert batch < 16 or json.loads(facts.read_text())["training"]["finished"] is False
    done = load_file(whole / "autoencoder.safetensors")
    resumed = train(cases, tmp_path, resume=True)
    assert all(torch.equal(resumed[name], done[name]) for name in done)


@pytest.mark.parametrize("what", ["cases", "voxels", "init", "encoder", "seed"])
def test_a_run_is_resumed_with_what_it_learned_from_alone(
    cases: list, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at_batch(patch, 2)
        train(cases, tmp_path, init=whole)
    other = dataclasses.replace(cases[1], q=cases[1].q + 0.5)
    changed: dict[str, Any] = {
        "cases": {"cases": cases[:2]},
        "voxels": {"cases": [cases[0], other, *cases[2:]]},
        "init": {"init": None},
        "encoder": {"keep_encoder": True},
        "seed": {"seed": 1},
    }[what]
    named = {"voxels": "cases", "encoder": "keep_encoder False, now True"}.get(what, what)
    given = {"cases": cases, "init": whole, **changed}
    before = (tmp_path / "crops.checkpoint.pt").read_bytes()
    with pytest.raises(SynBTError, match=rf"made with other settings \({named}"):
        train(given.pop("cases"), tmp_path, resume=True, **given)
    assert (tmp_path / "crops.checkpoint.pt").read_bytes() == before


def test_a_finished_run_that_is_resumed_keeps_the_second_stage_s_weights(
    cases: list, tmp_path: Path
) -> None:
    done = train(cases, tmp_path)
    again = train(cases, tmp_path, resume=True)
    assert all(torch.equal(again[name], done[name]) for name in done)
    facts = json.loads((tmp_path / "autoencoder.json").read_text())
    assert facts["training"]["stage"] == "volumes" and facts["training"]["finished"] is True


def test_a_first_stage_that_goes_on_has_its_second_stage_anew(
    cases: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a longer time box: the earlier second stage would bring the earlier encoder back."""
    timed = dataclasses.replace(TINY, steps=10**6)
    share = timed.volumes.time_share  # type: ignore[union-attr]
    short = train(cases, tmp_path, preset=timed, max_time_s=3.0 / (1 - share))
    longer = train(cases, tmp_path, preset=timed, max_time_s=4.0 / (1 - share), resume=True)
    moved = {name.split(".")[0] for name in short if not torch.equal(short[name], longer[name])}
    assert moved == {"encoder", "codebook", "decoder"}


def test_stage_2_moves_the_decoder_alone(cases: list, whole: Path, tmp_path: Path) -> None:
    first = train(cases, tmp_path, preset=dataclasses.replace(TINY, volumes=None))
    both = load_file(whole / "autoencoder.safetensors")
    moved = {name for name in both if not torch.equal(first[name], both[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)


def test_training_reduces_the_error(cases: list, tmp_path: Path) -> None:
    preset = dataclasses.replace(
        TINY,
        network=VQVAESettings(channels=(16, 32), residual_layers=1, codebook_size=256),
        phases=(CropPhase(0.0, patch=16, batch=4),),
        steps=150,
        learning_rate=4e-3,
        decay_from=0.9,
        warmup_steps=20,
        codebook_start=60,
        discriminator_start=None,
        volumes=None,
    )
    train(cases, tmp_path, preset=preset)
    log = (tmp_path / "crops.log.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[-1]["l1"] < 0.9 * lines[0]["l1"]
    assert lines[-1]["codes"] > 50


def test_a_trained_autoencoder_can_be_the_start_of_another(
    cases: list, whole: Path, tmp_path: Path
) -> None:
    still = dataclasses.replace(TINY, steps=0, volumes=None)
    copy = train(cases, tmp_path, preset=still, init=whole)
    done = load_file(whole / "autoencoder.safetensors")
    assert all(torch.equal(copy[name], done[name]) for name in done)


def test_a_kept_encoder_stays_while_codebook_and_decoder_move(
    cases: list, whole: Path, tmp_path: Path
) -> None:
    kept = train(cases, tmp_path, init=whole, keep_encoder=True)
    start = load_file(whole / "autoencoder.safetensors")
    still = {name.split(".")[0] for name in kept if torch.equal(kept[name], start[name])}
    moved = {name.split(".")[0] for name in kept if not torch.equal(kept[name], start[name])}
    assert "encoder" not in moved and moved == {"codebook", "decoder"} and "encoder" in still


def test_an_encoder_to_keep_needs_a_start(cases: list, tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="name where to start with --init"):
        train(cases, tmp_path, keep_encoder=True)


def test_a_second_run_into_the_same_folder_is_refused(cases: list, whole: Path) -> None:
    with pytest.raises(SynBTError, match="already holds a run"):
        train(cases, whole)


def test_no_global_random_state_moves(cases: list, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    train(cases, tmp_path, preset=dataclasses.replace(TINY, volumes=None))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_folder_without_an_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="Give the output folder of `synbt train autoencoder`"):
        load_autoencoder(tmp_path)
