"""Autoencoder, codebook and denoiser, and the noise schedule and samplers around them."""

from __future__ import annotations

from synbt_aug.networks.autoencoder import VQVAE, LatentBox, VQVAEOutput, VQVAESettings
from synbt_aug.networks.codebook import Codebook
from synbt_aug.networks.denoiser import Denoiser, DenoiserSettings
from synbt_aug.networks.sampler import (
    ddim_step,
    ddim_timesteps,
    ddpm_step,
    sample_ddim,
    sample_ddpm,
)
from synbt_aug.networks.schedule import NoiseSchedule, Prediction, add_noise, split

__all__ = [
    "VQVAE",
    "Codebook",
    "Denoiser",
    "DenoiserSettings",
    "LatentBox",
    "NoiseSchedule",
    "Prediction",
    "VQVAEOutput",
    "VQVAESettings",
    "add_noise",
    "ddim_step",
    "ddim_timesteps",
    "ddpm_step",
    "sample_ddim",
    "sample_ddpm",
    "split",
]
