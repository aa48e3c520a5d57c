"""Training of the networks, from presets; needs `pip install synbt-aug[train]`."""

from __future__ import annotations

from synbt_aug.support.interruption import Interrupted
from synbt_aug.train.autoencoder import train_autoencoder
from synbt_aug.train.autoencoder_presets import AutoencoderPreset, autoencoder_preset
from synbt_aug.train.crops import TrainingCase
from synbt_aug.train.denoiser import train_denoiser
from synbt_aug.train.denoiser_presets import DenoiserPreset, denoiser_preset
from synbt_aug.train.files import load_autoencoder, load_denoiser

__all__ = [
    "AutoencoderPreset",
    "DenoiserPreset",
    "Interrupted",
    "TrainingCase",
    "autoencoder_preset",
    "denoiser_preset",
    "load_autoencoder",
    "load_denoiser",
    "train_autoencoder",
    "train_denoiser",
]
