"""Training of the denoiser, tiny and on synthetic cases."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAE, NoiseSchedule, VQVAESettings, sample_ddim
from synbt_aug.support.interruption import Interrupted
from synbt_aug.train import autoencoder_preset, denoiser_preset, load_denoiser, train_denoiser
from synbt_aug.train.denoiser import LatentPool, weighted_error, withhold
from synbt_aug.train.windows import ExampleSampler

TINY = denoiser_preset("tiny")
CPU = {"accelerator": "cpu", "precision": "32-true"}


@pytest.fixture(scope="module")
def vqvae() -> VQVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VQVAE(autoencoder_preset("tiny").network)


@pytest.fixture(scope="module")
def whole(cases: list, vqvae: VQVAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train_denoiser(cases, vqvae, TINY, folder, **CPU)
    return folder


def test_the_result_can_be_loaded_and_sampled(whole: Path) -> None:
    denoiser = load_denoiser(whole).eval()
    facts = json.loads((whole / "denoiser.json").read_text())
    schedule = NoiseSchedule.from_dict(facts["schedule"])
    z = torch.randn(1, 8, 8, 8, 8, generator=torch.Generator().manual_seed(0))

    def predict(z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return denoiser(z_t, t, z, torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 7), torch.zeros(1, 7))

    with torch.no_grad():
        clean = sample_ddim(predict, z, schedule, 2, predicts=denoiser.settings.predicts)
    assert clean.isfinite().all()
    assert facts["latent"]["std"] == pytest.approx(denoiser.latent_std.tolist())
    assert facts["quantized_latents"] is False


def test_the_latents_it_was_trained_on_are_normal(whole: Path, cases: list, vqvae: VQVAE) -> None:
    denoiser = load_denoiser(whole)
    image = torch.stack([case.q for case in cases]).float()
    with torch.no_grad():
        z = denoiser.normalise(vqvae.encode(image))
    assert z.mean((0, 2, 3, 4)).abs().max() < 0.5
    assert ((z.std((0, 2, 3, 4)) - 1).abs() < 0.4).all()


def test_an_interrupted_run_resumes_bitwise(
    cases: list, vqvae: VQVAE, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, count = LatentPool.batch, [0]

    def interrupted(*args: Any) -> Any:
        count[0] += 1
        if count[0] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="denoiser was stopped"):
        patch.setattr(LatentPool, "batch", interrupted)
        train_denoiser(cases, vqvae, TINY, tmp_path, **CPU)
    partial = load_file(tmp_path / "denoiser.safetensors")
    done = load_file(whole / "denoiser.safetensors")
    assert any(not torch.equal(partial[name], done[name]) for name in done)
    facts = json.loads((tmp_path / "denoiser.json").read_text())
    assert facts["training"]["finished"] is False and facts["training"]["steps"] == 3
    resumed = load_file(train_denoiser(cases, vqvae, TINY, tmp_path, resume=True, **CPU))
    assert all(torch.equal(resumed[name], done[name]) for name in done)


def test_a_signal_while_windows_are_encoded_ends_the_training_before_it_begins(
    cases: list, vqvae: VQVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = ExampleSampler.draw

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return draw(*args, **kwargs)

    monkeypatch.setattr(ExampleSampler, "draw", interrupted)
    with pytest.raises(Interrupted, match="denoiser, encoding windows, was stopped by SIGTERM"):
        train_denoiser(cases, vqvae, TINY, tmp_path, **CPU)
    assert not list(tmp_path.glob("denoiser.*t*s*"))
    assert not (tmp_path / "denoiser.checkpoint.pt").exists()


def test_encoding_windows_takes_none_of_the_time_for_steps(
    cases: list, vqvae: VQVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = ExampleSampler.draw

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.3)  # six windows before the first step: longer than the time for all
        return draw(*args, **kwargs)

    monkeypatch.setattr(ExampleSampler, "draw", slow)
    preset = dataclasses.replace(TINY, refresh=0.0, steps=3)
    train_denoiser(cases, vqvae, preset, tmp_path, max_time_s=1.5, **CPU)
    facts = json.loads((tmp_path / "denoiser.json").read_text())
    assert facts["training"]["steps"] >= TINY.warmup_steps


def test_a_time_box_too_short_for_a_step_leaves_no_weights(
    cases: list, vqvae: VQVAE, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(SynBTError, match=r"denoiser: 0 steps in 0:00, fewer than the 2 that make"):
        train_denoiser(cases, vqvae, TINY, tmp_path, max_time_s=0.0, init=whole, **CPU)
    assert not (tmp_path / "denoiser.safetensors").exists()


@pytest.mark.parametrize("what", ["cases", "encoder", "init"])
def test_a_run_is_resumed_with_what_it_learned_from_alone(
    cases: list, vqvae: VQVAE, whole: Path, tmp_path: Path, what: str
) -> None:
    short = dataclasses.replace(TINY, steps=2)
    train_denoiser(cases, vqvae, short, tmp_path, init=whole, **CPU)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        moved = VQVAE(vqvae.settings)
    given: dict[str, Any] = {"cases": cases, "encoder": vqvae, "init": whole}
    given |= {what: {"cases": cases[1:], "encoder": moved, "init": None}[what]}
    with pytest.raises(SynBTError, match=rf"made with other settings \({what} "):
        train_denoiser(
            given["cases"],
            given["encoder"],
            short,
            tmp_path,
            init=given["init"],
            resume=True,
            **CPU,
        )


def test_a_decoder_that_was_trained_on_is_no_other_encoder(
    cases: list, vqvae: VQVAE, tmp_path: Path
) -> None:
    short = dataclasses.replace(TINY, steps=2)
    train_denoiser(cases, vqvae, short, tmp_path, **CPU)
    better = copy.deepcopy(vqvae)
    with torch.no_grad():
        next(better.decoder.parameters()).add_(1)
        better.codebook.vectors.add_(1)
    train_denoiser(cases, better, short, tmp_path, resume=True, **CPU)


def test_the_autoencoder_stays_as_it_was(cases: list, vqvae: VQVAE, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in vqvae.state_dict().items()}
    train_denoiser(cases, vqvae, dataclasses.replace(TINY, steps=1), tmp_path, **CPU)
    assert all(torch.equal(value, before[name]) for name, value in vqvae.state_dict().items())


def test_a_start_keeps_its_latent_statistics(
    cases: list, vqvae: VQVAE, whole: Path, tmp_path: Path
) -> None:
    train_denoiser(
        cases[:1], vqvae, dataclasses.replace(TINY, steps=1), tmp_path, init=whole, **CPU
    )
    old, new = load_denoiser(whole), load_denoiser(tmp_path)
    assert torch.equal(old.latent_mean, new.latent_mean)
    assert torch.equal(old.latent_std, new.latent_std)


def test_whole_volumes_are_trained_on_patch_by_patch(
    cases: list, vqvae: VQVAE, tmp_path: Path
) -> None:
    pool = dataclasses.replace(TINY.pools[0], sides=(32, 48, 48), share=1.0, batch=1)
    preset = dataclasses.replace(TINY, pools=(pool,), encode_patch=16, steps=1)
    assert train_denoiser(cases, vqvae, preset, tmp_path, **CPU).exists()


def test_an_autoencoder_with_other_latents_is_refused(cases: list, tmp_path: Path) -> None:
    other = VQVAE(VQVAESettings(channels=(4, 8), latent_channels=4, codebook_size=8))
    with pytest.raises(SynBTError, match="takes 8 latent channels, the autoencoder has 4"):
        train_denoiser(cases, other, TINY, tmp_path, **CPU)


def test_the_error_is_weighted() -> None:
    prediction, wanted = torch.zeros(1, 2, 1, 1, 2), torch.tensor([1.0, 3.0]).expand(1, 2, 1, 1, 2)
    weight = torch.tensor([1.0, 0.5]).view(1, 1, 1, 1, 2)
    assert weighted_error(prediction, wanted, weight).item() == pytest.approx((1 + 4.5) / 1.5)


def test_appearance_is_withheld_by_attribute_and_as_a_whole() -> None:
    known = torch.ones(20_000, 7)
    preset = dataclasses.replace(TINY, drop_each=0.1, drop_all=0.15)
    told = withhold(known, preset, torch.Generator().manual_seed(0))
    assert told[:, 0].mean().item() == pytest.approx(0.9 * 0.85, abs=0.02)
    assert (told.sum(1) == 0).float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(told[:, 4], told[:, 5]) and torch.equal(told[:, 5], told[:, 6])
    assert not withhold(0 * known, preset, torch.Generator()).any()


def test_a_start_of_another_shape_is_refused(cases: list, vqvae: VQVAE, whole: Path) -> None:
    network = dataclasses.replace(TINY.network, predicts="noise")
    preset = dataclasses.replace(TINY, network=network)
    with pytest.raises(
        SynBTError, match=r"has other settings than the preset 'tiny'.*predicts='v'"
    ):
        train_denoiser(cases, vqvae, preset, whole / "other", init=whole, **CPU)


def test_damaged_weights_of_a_training_folder_are_refused(whole: Path, tmp_path: Path) -> None:
    for name in ("denoiser.json", "denoiser.safetensors"):
        (tmp_path / name).write_bytes((whole / name).read_bytes()[: 10**9 if "j" in name else 2000])
    with pytest.raises(SynBTError, match=r"denoiser\.safetensors is damaged, or no safetensors"):
        load_denoiser(tmp_path)


def test_every_window_counts_alike_in_the_error_whatever_its_hole() -> None:
    prediction = torch.zeros(2, 1, 2, 2, 2)
    wanted = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1).expand(2, 1, 2, 2, 2)
    weight = torch.ones(2, 1, 2, 2, 2)
    weight[0] *= 0.1
    assert weighted_error(prediction, wanted, weight).item() == pytest.approx((1 + 9) / 2)


def test_a_window_may_count_for_less() -> None:
    prediction, wanted = torch.zeros(2, 1, 1, 1, 2), torch.ones(2, 1, 1, 1, 2)
    weight, of_window = torch.ones(2, 1, 1, 1, 2), torch.tensor([1.0, 0.5])
    assert weighted_error(prediction, wanted, weight, of_window).item() == pytest.approx(0.75)


def test_noise_levels_weigh_as_the_preset_says(
    cases: list, vqvae: VQVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor | None] = []

    def spy(*args: Any) -> torch.Tensor:
        seen.append(args[3])
        return weighted_error(*args)

    monkeypatch.setattr("synbt_aug.train.denoiser.weighted_error", spy)
    for name, most in {"alike": None, "limited": 5.0}.items():
        preset = dataclasses.replace(TINY, min_snr=most, steps=3)
        train_denoiser(cases, vqvae, preset, tmp_path / name, **CPU)
    assert seen[:3] == [None] * 3
    weights = torch.cat([weight for weight in seen[3:] if weight is not None])
    assert len(weights) >= 3 and bool((weights > 0).all() and (weights <= 5 / 6).all())
