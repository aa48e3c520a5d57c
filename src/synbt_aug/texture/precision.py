"""Whether the networks that paint give in bfloat16 what they give in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.networks.precision import autocast, choose, prepared
from synbt_aug.signal.surroundings import plain_torch

#: Side of the window that is compared, in voxels.
_SIDE = 32


def choose_precision(autoencoder: VQVAE, denoiser: Denoiser) -> str:
    """What "auto" means for these networks where they are: "bf16" or "fp32".

    Args:
        autoencoder: On its device.
        denoiser: On the same.
    """
    device = next(denoiser.parameters()).device
    with plain_torch((device,)):
        return choose(
            lambda precision: small_window(autoencoder, denoiser, precision),
            device,
            "the networks that paint",
        )


@torch.no_grad()
def small_window(
    autoencoder: VQVAE, denoiser: Denoiser, precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    """One small window through encoder, denoiser and decoder.

    Returns:
        Latent, prediction of one step and decoded window. The latter two start from the latent in
        float32: what encoder and codebook make of a small difference is not theirs.
    """
    device = next(denoiser.parameters()).device
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(
        (1, autoencoder.settings.image_channels, *(_SIDE // 4,) * 3), generator=generator
    )
    window = F.interpolate(coarse, scale_factor=4.0, mode="trilinear").clamp(-1, 1).to(device)
    z = autoencoder.encode(window)
    noise = torch.randn(z.shape, generator=generator).to(device)
    mask = torch.zeros_like(z[:, :1])
    mask[..., 2:-2, 2:-2, 2:-2] = 1
    appearance = torch.zeros(1, denoiser.settings.appearance_inputs, device=device)
    t = torch.full((1,), 500, device=device)
    codec, net = prepared(autoencoder, precision), prepared(denoiser, precision)
    with autocast(precision, device):
        predicted = net(noise, t, denoiser.normalise(z), mask, appearance, appearance)
        return codec.encode(window), predicted, codec.decode(z)
