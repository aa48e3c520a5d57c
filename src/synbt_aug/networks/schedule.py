"""How much signal is left at each step, and what a network may be asked to predict.

Pure functions of tensors. `z` is the clean latent, `z_t` the noisy one, `alpha_bar` the
fraction of signal power left, float32, a scalar or one number a sample.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.networks.plain_settings import from_plain
from synbt_aug.support.device import sent
from synbt_aug.support.number import check_number, check_whole

Prediction = Literal["v", "noise"]
"""What the network returns."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear betas.

    Args:
        steps: T; 1000 in the paper.
        first_beta: Noise power added at the first step (ours: the paper is silent).
        last_beta: At the last step (ours, both as in Ho et al.).

    Raises:
        SynBTError: If the betas are not increasing within (0, 1), or there is no step.

    Source:
        Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020, section 4.
    """

    steps: int = 1000
    first_beta: float = 1e-4
    last_beta: float = 2e-2

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1, 1_000_000)
        check_number("first_beta", self.first_beta, 0, 1)
        check_number("last_beta", self.last_beta, 0, 1)
        if not 0 < self.first_beta <= self.last_beta < 1:
            raise SynBTError(
                f"NoiseSchedule needs 0 < first_beta <= last_beta < 1, got "
                f"{self}. Use NoiseSchedule() for the usual one."
            )

    @cached_property
    def beta(self) -> Tensor:
        """beta_t of eq. 1, shape `(T,)`, float32, on the CPU."""
        return self._beta64.float()

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Signal fraction after step t, shape `(T,)`, float32, on the CPU, decreasing."""
        # 1000 factors: in float32 the product would lose three digits.
        return (1 - self._beta64).cumprod(0).float()

    @property
    def _beta64(self) -> Tensor:
        return torch.linspace(self.first_beta, self.last_beta, self.steps, dtype=torch.float64)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NoiseSchedule:
        """The inverse of `to_dict`."""
        return from_plain(cls, values)


def add_noise(z: Tensor, noise: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """Noise a clean latent up to step t: t times eq. 1 of the paper, in closed form.

    Args:
        z: Clean latent, shape `(B, C, d, h, w)`.
        noise: Standard normal, same shape.
        alpha_bar_t: Signal fraction, a scalar or shape `(B,)`.
    """
    a = _like(alpha_bar_t, z)
    return a.sqrt() * z + (1 - a).sqrt() * noise


def v_target(z: Tensor, noise: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """The velocity sqrt(a) noise - sqrt(1 - a) z; shapes as for `add_noise`.

    Source:
        Salimans and Ho, "Progressive distillation", ICLR 2022, section 4.
    """
    a = _like(alpha_bar_t, z)
    return a.sqrt() * noise - (1 - a).sqrt() * z


def target(kind: Prediction, z: Tensor, noise: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """What the network is trained to return; shapes as for `add_noise`."""
    return noise if kind == "noise" else v_target(z, noise, alpha_bar_t)


def split(
    kind: Prediction, prediction: Tensor, z_t: Tensor, alpha_bar_t: Tensor
) -> tuple[Tensor, Tensor]:
    """Read a prediction as the clean latent and the noise in `z_t`.

    Args:
        kind: What `prediction` is.
        prediction: Shape `(B, C, d, h, w)`.
        z_t: Noisy latent, same shape.
        alpha_bar_t: Signal fraction at t, a scalar or shape `(B,)`.

    Returns:
        Clean latent and noise, with `add_noise(clean, noise, alpha_bar_t) == z_t`.
    """
    a = _like(alpha_bar_t, z_t)
    if kind == "noise":
        return (z_t - (1 - a).sqrt() * prediction) / a.sqrt(), prediction
    clean = a.sqrt() * z_t - (1 - a).sqrt() * prediction
    return clean, (1 - a).sqrt() * z_t + a.sqrt() * prediction


def min_snr_weight(kind: Prediction, alpha_bar_t: Tensor, most: float) -> Tensor:
    """Weight of a noise level in the loss: its signal-to-noise ratio counts up to a limit.

    Args:
        kind: What the network predicts.
        alpha_bar_t: Signal fraction at t, in (0, 1), any shape.
        most: The limit, gamma.

    Returns:
        Same shape, in (0, 1]. In terms of the clean latent's error it is min(SNR, gamma) either
        way.

    Source:
        Hang et al., "Efficient diffusion training via min-SNR weighting strategy", ICCV 2023,
        eq. 6 and section 3.4.
    """
    snr = alpha_bar_t / (1 - alpha_bar_t)
    return snr.clamp_max(most) / (snr if kind == "noise" else snr + 1)


def _like(alpha_bar: Tensor, z: Tensor) -> Tensor:
    """Shape `()` or `(B,)` as something that multiplies `z`."""
    if not alpha_bar.ndim:
        # A number goes with tensors of any device, and needs no copy there.
        return alpha_bar
    return sent(alpha_bar, z.device).view(-1, *[1] * (z.ndim - 1))
