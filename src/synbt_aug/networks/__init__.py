"""Autoencoder, codebook and denoiser, and the noise schedule and samplers around them.

The names below are imported on first use: MONAI, of which the networks are made, takes seconds and
300 MB to import, and reading a tensor file or finding tissues needs none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    **dict.fromkeys(("VQVAE", "LatentBox", "VQVAEOutput", "VQVAESettings"), "autoencoder"),
    **dict.fromkeys(("Codebook",), "codebook"),
    **dict.fromkeys(("Denoiser", "DenoiserSettings"), "denoiser"),
    **dict.fromkeys(
        ("ddim_step", "ddim_timesteps", "ddpm_step", "sample_ddim", "sample_ddpm"), "sampler"
    ),
    **dict.fromkeys(("NoiseSchedule", "Prediction", "add_noise", "split"), "schedule"),
}

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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"synbt_aug.networks.{_HOME[name]}"), name)
    raise AttributeError(f"module 'synbt_aug.networks' has no attribute {name!r}")
