"""Generators of Table 1: trained on the labelled cases alone, or the shipped one tuned on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from table1_config import Configuration, Training

from synbt_aug.data import Cohort
from synbt_aug.data.bank import bank_of
from synbt_aug.loop.training_loop import checkpoint_path
from synbt_aug.train import (
    autoencoder_preset,
    denoiser_preset,
    train_autoencoder,
    train_denoiser,
)
from synbt_aug.train.assemble import assemble_weights


def weights_of(which: str, configuration: Configuration, cases: Cohort, folder: Path) -> Path:
    """A weights folder, trained where it is not there yet; an interrupted training goes on.

    Args:
        which: "own" or "tuned".
        configuration: With the preset and the steps.
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
    precision = "32-true" if configuration.size == "tiny" else None
    # What starts from the shipped weights has their shape.
    preset = start or configuration.generator_preset
    first = autoencoder_preset(preset)
    assert first.volumes is not None
    volumes = replace(first.volumes, steps=training.volumes or first.volumes.steps)
    first = replace(first, steps=training.crops or first.steps, volumes=volumes)
    second = denoiser_preset(preset)
    second = replace(second, steps=training.denoiser or second.steps)
    train_autoencoder(cases, first, codec, init=start, resume=_started(codec), precision=precision)
    train_denoiser(
        cases, codec, second, denoiser, init=start, resume=_started(denoiser), precision=precision
    )
    card = {"cases": [case.name for case in cases], "generator": which}
    return assemble_weights(codec, denoiser, bank_of(cases), weights, card=card)


def _started(folder: Path) -> bool:
    return any(checkpoint_path(folder, name).exists() for name in ("crops", "volumes", "denoiser"))
