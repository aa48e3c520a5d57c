"""Training of the networks, from presets; needs `pip install synbt-aug[train]`."""

from __future__ import annotations

from synbt_aug.train.autoencoder import train_autoencoder
from synbt_aug.train.crops import TrainingCase
from synbt_aug.train.files import load_autoencoder
from synbt_aug.train.presets import AutoencoderPreset, autoencoder_preset

__all__ = [
    "AutoencoderPreset",
    "TrainingCase",
    "autoencoder_preset",
    "load_autoencoder",
    "train_autoencoder",
]
