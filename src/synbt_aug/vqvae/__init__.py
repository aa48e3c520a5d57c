"""The patch-to-volume VQ-VAE: a codebook and the two norm-free halves around it."""

from __future__ import annotations

from synbt_aug.vqvae.codebook import Codebook
from synbt_aug.vqvae.network import VQVAE, LatentBox, VQVAEOutput, VQVAESettings

__all__ = ["VQVAE", "Codebook", "LatentBox", "VQVAEOutput", "VQVAESettings"]
