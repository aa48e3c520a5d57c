"""The arithmetic that the networks run in: float32, or 16 bits where the device is fast at them.

"auto" takes bfloat16 on a device with units for it, after one comparison with float32 on a small
window: some releases of cuDNN and oneDNN had convolutions that were wrong in bfloat16. What was
chosen stands in the recipe, so that a replay calculates the same way anywhere.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.support.device import multiplies_bfloat16

logger = logging.getLogger(__name__)

#: The name that leaves the choice to the device.
AUTO = "auto"

#: Types of autocast by the names that settings and recipes use.
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

#: Largest root mean square difference to float32, in standard deviations of what float32 gives,
#: that the check passes. bfloat16 rounds to 1/256; the shipped networks differ by .003 to .005.
TOLERANCE = 0.03

#: Side of the window that is compared, in voxels.
_SIDE = 32


def check_precision(name: str) -> str:
    """The name, if there is such a precision.

    Raises:
        SynBTError: If there is not.
    """
    if not isinstance(name, str) or name not in (AUTO, *PRECISIONS):
        names = ", ".join(map(repr, (AUTO, *PRECISIONS)))
        raise SynBTError(f"precision needs one of {names}, got {name!r}.")
    return name


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context in which networks calculate in a precision of `PRECISIONS`."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def choose_precision(autoencoder: VQVAE, denoiser: Denoiser) -> str:
    """What "auto" means for these networks where they are; says once what and why.

    Args:
        autoencoder: On its device.
        denoiser: On the same.

    Returns:
        "bf16" where the device has units for bfloat16 and gives what float32 gives, within
        `TOLERANCE`; else "fp32".
    """
    device = next(denoiser.parameters()).device
    if not multiplies_bfloat16(device):
        _say(f"The networks run in float32: {device} has no fast bfloat16.")
        return "fp32"
    error = difference(autoencoder, denoiser, "bf16")
    if not error <= TOLERANCE:
        _warn(
            f"bfloat16 on {device} differs from float32 by {error:.2g} standard deviations, more "
            f"than {TOLERANCE}: the networks run in float32. Another release of torch may do "
            f"better."
        )
        return "fp32"
    _say(f"The networks run in bfloat16 on {device}; it differs from float32 by {error:.1g} SD.")
    return "bf16"


@torch.no_grad()
def difference(autoencoder: VQVAE, denoiser: Denoiser, precision: str) -> float:
    """How far a precision leads from float32 on one small window.

    Args:
        autoencoder: On its device.
        denoiser: On the same.
        precision: To compare.

    Returns:
        The largest of encoder's, denoiser's and decoder's root mean square difference, in
        standard deviations of what float32 gives; NaN or infinite where something is not finite.
    """
    device = next(denoiser.parameters()).device
    with plain_torch((device,)):
        exact = _results(autoencoder, denoiser, "fp32", None)
        fast = _results(autoencoder, denoiser, precision, exact[0])
    errors = [float((a - b).square().mean().sqrt() / b.std()) for a, b in zip(fast, exact)]
    # max() passes a NaN over that does not come first.
    return float("nan") if any(e != e for e in errors) else max(errors)


def _results(
    autoencoder: VQVAE, denoiser: Denoiser, precision: str, latent: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Latent, prediction and decoded window; the last two from `latent`, where it is given."""
    device = next(denoiser.parameters()).device
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(
        (1, autoencoder.settings.image_channels, *(_SIDE // 4,) * 3), generator=generator
    )
    window = F.interpolate(coarse, scale_factor=4.0, mode="trilinear").clamp(-1, 1).to(device)
    with autocast(precision, device):
        encoded = autoencoder.encode(window)
        z = encoded if latent is None else latent
        normalised = denoiser.normalise(z)
        noise = torch.randn(z.shape, generator=generator).to(device)
        mask = torch.zeros_like(z[:, :1])
        mask[..., 2:-2, 2:-2, 2:-2] = 1
        appearance = torch.zeros(1, denoiser.settings.appearance_inputs, device=device)
        t = torch.full((1,), 500, device=device)
        predicted = denoiser(noise, t, normalised, mask, appearance, appearance)
        # From the continuous latent: a code that tips over is no fault of the decoder.
        return encoded, predicted, autoencoder.decode(z)


@cache
def _say(text: str) -> None:
    logger.info(text)


@cache
def _warn(text: str) -> None:
    logger.warning(text)
