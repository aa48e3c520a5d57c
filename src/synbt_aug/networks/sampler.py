"""Reverse diffusion, one step at a time.

Pure functions of tensors: no network, no device, no hidden random state.
`z_t` is the noisy latent, `alpha_bar` the fraction of signal left.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from synbt_aug.networks.schedule import NoiseSchedule, Prediction, split

Predict = Callable[[Tensor, Tensor], Tensor]
"""From `z_t` `(B, C, d, h, w)` and t `(B,)`, int64, to a prediction like `z_t`."""


def ddpm_step(
    z_t: Tensor, noise: Tensor, beta_t: Tensor, alpha_bar_t: Tensor, fresh: Tensor
) -> Tensor:
    """Go from step t to t - 1, adding fresh noise.

    Args:
        z_t: Noisy latent, shape `(B, C, d, h, w)`.
        noise: The network's estimate of the noise in `z_t`, same shape.
        beta_t: Noise power of step t, a scalar.
        alpha_bar_t: Signal fraction at t, a scalar in (0, 1).
        fresh: Standard normal, same shape; zeros at the last step.

    Source:
        Yang et al., "SynBT", eq. 2.
    """
    mean = (z_t - beta_t / (1 - alpha_bar_t).sqrt() * noise) / (1 - beta_t).sqrt()
    return mean + beta_t.sqrt() * fresh


def ddim_step(z_t: Tensor, noise: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> Tensor:
    """Go from step t to an earlier step s.

    Args:
        z_t: Noisy latent, shape `(B, C, d, h, w)`.
        noise: The network's estimate of the noise in `z_t`, same shape.
        alpha_bar_t: Signal fraction at t, in (0, 1].
        alpha_bar_s: Signal fraction at s, larger than at t; 1 means clean.

    Source:
        Song et al., "Denoising diffusion implicit models", ICLR 2021, eq. 12.
    """
    clean = (z_t - (1 - alpha_bar_t).sqrt() * noise) / alpha_bar_t.sqrt()
    return alpha_bar_s.sqrt() * clean + (1 - alpha_bar_s).sqrt() * noise


def ddim_timesteps(count: int, steps: int = 1000) -> Tensor:
    """The steps to visit, from the noisiest on; a last move leads to the clean latent.

    10 of 1000 are 999, 899, ..., 99. However few, the first is always `steps - 1`: spacings
    that start lower hand the network pure noise where it expects a half-finished image.

    Args:
        count: How many, 1 to `steps`.
        steps: T of the schedule.

    Returns:
        Shape `(count,)`, int64, decreasing.

    Raises:
        ValueError: If there are not so many steps.
    """
    if not 1 <= count <= steps:
        raise ValueError(f"DDIM takes 1 to {steps} steps, got {count}. Use steps=2.")
    return torch.arange(count, 0, -1) * steps // count - 1


def sample_ddim(
    predict: Predict,
    z_T: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    *,
    predicts: Prediction = "v",
) -> Tensor:
    """Turn noise into a latent in a few deterministic steps.

    Args:
        predict: The network, with its conditions filled in.
        z_T: Standard normal noise, shape `(B, C, d, h, w)`, float32.
        schedule: The one the network was trained with.
        steps: 1 to T; the paper takes 10.
        predicts: What `predict` returns.

    Returns:
        Clean latent, shape and dtype of `z_T`.
    """
    z = z_T
    times = ddim_timesteps(steps, schedule.steps).tolist()
    # They stay on the CPU, as scalars do: a device would launch a kernel for each root of one.
    alpha_bar = schedule.alpha_bar
    # After the last step everything is signal.
    signal = [*(alpha_bar[t] for t in times[1:]), alpha_bar.new_ones(())]
    for t, a_s in zip(times, signal, strict=True):
        prediction = predict(z, torch.full((len(z),), t, device=z.device)).to(z.dtype)
        _, noise = split(predicts, prediction, z, alpha_bar[t])
        z = ddim_step(z, noise, alpha_bar[t], a_s)
    return z


def sample_ddpm(
    predict: Predict,
    z_T: Tensor,
    schedule: NoiseSchedule,
    *,
    predicts: Prediction = "noise",
    generator: torch.Generator,
) -> Tensor:
    """Turn noise into a latent in all T steps, as the paper's eq. 2.

    Args:
        predict: The network, with its conditions filled in.
        z_T: Standard normal noise, shape `(B, C, d, h, w)`, float32.
        schedule: The one the network was trained with.
        predicts: What `predict` returns.
        generator: CPU generator of the fresh noise.
    """
    z = z_T
    for t in range(schedule.steps - 1, -1, -1):
        a_t, beta_t = schedule.alpha_bar[t].to(z.device), schedule.beta[t].to(z.device)
        prediction = predict(z, torch.full((len(z),), t, device=z.device)).to(z.dtype)
        _, noise = split(predicts, prediction, z, a_t)
        fresh = torch.randn(z.shape, generator=generator).to(z) if t else torch.zeros_like(z)
        z = ddpm_step(z, noise, beta_t, a_t, fresh)
    return z
