"""Diffusion in the latent space: the noise schedule, the samplers, the network."""

from __future__ import annotations

from synbt_aug.diffusion.denoiser import Denoiser, DenoiserSettings
from synbt_aug.diffusion.sampler import (
    ddim_step,
    ddim_timesteps,
    ddpm_step,
    sample_ddim,
    sample_ddpm,
)
from synbt_aug.diffusion.schedule import NoiseSchedule, Prediction, add_noise, split

__all__ = [
    "Denoiser",
    "DenoiserSettings",
    "NoiseSchedule",
    "Prediction",
    "add_noise",
    "ddim_step",
    "ddim_timesteps",
    "ddpm_step",
    "sample_ddim",
    "sample_ddpm",
    "split",
]
