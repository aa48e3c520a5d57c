"""Small untrained weights that the preset `tiny` can train on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analytic import tiny_weights
from synbt_aug.contract import contract_of
from synbt_aug.loop.training_loop import fresh_weights
from synbt_aug.networks import Denoiser
from synbt_aug.train.denoiser_presets import denoiser_preset
from synbt_aug.weights import save_weights


def write_tiny_weights(folder: Path) -> Path:
    """A weights folder with both networks of the preset `tiny`."""
    weights = tiny_weights()
    with fresh_weights(0):
        denoiser = Denoiser(denoiser_preset("tiny").network)
    contract = contract_of(weights.autoencoder, denoiser)
    return save_weights(dataclasses.replace(weights, denoiser=denoiser, contract=contract), folder)
