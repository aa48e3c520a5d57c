"""Generators of Table 1: trained on the labelled cases alone, or the shipped one tuned on them."""

from __future__ import annotations

from pathlib import Path

import torch
from table1_config import Configuration, Training

from synbt_aug.data import Cohort
from synbt_aug.data.bank import bank_of
from synbt_aug.train import (
    autoencoder_preset,
    denoiser_preset,
    train_autoencoder,
    train_denoiser,
)
from synbt_aug.train.assemble import assemble_weights
from synbt_aug.training_loop import checkpoint_path


def weights_of(which: str, configuration: Configuration, cases: Cohort, folder: Path) -> Path:
    """A weights folder, trained where it is not there yet; an interrupted training goes on.

    Args:
        which: "own" or "tuned".
        configuration: With the preset and the time.
        cases: The labelled ones; of them is the bank, too.
        folder: Of the generators.
    """
    weights = folder / which / "weights"
    if (weights / "manifest.json").is_file():
        return weights
    training: Training = configuration.own if which == "own" else configuration.tuned
    # Tiny networks have no shipped weights to start from.
    start = "shipped" if which == "tuned" and configuration.size != "tiny" else None
    codec, denoiser = folder / which / "autoencoder", folder / which / "denoiser"
    preset = configuration.generator_preset
    precision = "32-true" if configuration.size == "tiny" else None
    train_autoencoder(
        cases,
        autoencoder_preset(preset),
        codec,
        max_time_s=training.codec_s,
        init=start,
        resume=_started(codec),
        precision=precision,
    )
    stage = autoencoder_preset(preset).volumes
    assert stage is not None
    box = None if training.codec_s is None else stage.time_share * training.codec_s
    _check_finished(codec, "volumes", stage.steps, box)
    train_denoiser(
        cases,
        codec,
        denoiser_preset(preset),
        denoiser,
        max_time_s=training.denoiser_s,
        init=start,
        resume=_started(denoiser),
        precision=precision,
    )
    _check_finished(denoiser, "denoiser", denoiser_preset(preset).steps, training.denoiser_s)
    card = {"cases": [case.name for case in cases], "generator": which}
    return assemble_weights(codec, denoiser, bank_of(cases), weights, card=card)


def _started(folder: Path) -> bool:
    return any(checkpoint_path(folder, name).exists() for name in ("crops", "volumes", "denoiser"))


def _check_finished(folder: Path, name: str, steps: int, seconds: float | None) -> None:
    """Stop where a signal ended a training before its limits; the next start goes on with it."""
    path = checkpoint_path(folder, name)
    state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else {}
    over = state.get("step", 0) >= steps
    over |= seconds is not None and state.get("elapsed_s", 0.0) >= seconds
    if not over:
        raise SystemExit(f"{folder} is not finished. The same command goes on with it.")
