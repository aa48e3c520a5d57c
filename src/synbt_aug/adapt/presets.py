"""How trained networks are trained on: lower rates, smaller pools, the decoder alone.

Encoder and codebook stay as they are: the latents keep their meaning, and a denoiser that learned
them stays valid. All numbers are ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from synbt_aug.errors import SynBTError
from synbt_aug.networks import DenoiserSettings, VQVAESettings
from synbt_aug.train.autoencoder_presets import AUTOENCODER_PRESETS, AutoencoderPreset
from synbt_aug.train.denoiser_presets import DENOISER_PRESETS, DenoiserPreset, WindowPool

#: Of the time; the denoiser has more to learn, and its steps take longer.
_DECODER_SHARE = 0.4

#: Side of the volumes that the decoder sees, in mm: four steps in the time of one at 96 mm.
_DECODER_SIDE_MM = 64

# Most windows encoded before the first step, of all sizes together some 40: a second each.
_MOST_AT_START = 32


class Times(NamedTuple):
    """Seconds of training steps."""

    decoder: float
    denoiser: float


def parted(max_time_s: float) -> Times:
    """Time for the decoder and for the denoiser."""
    return Times(_DECODER_SHARE * max_time_s, (1 - _DECODER_SHARE) * max_time_s)


def decoder_preset(network: VQVAESettings) -> AutoencoderPreset:
    """Stage 2 alone: the decoder on volumes.

    Args:
        network: Of the autoencoder that is trained on.

    Raises:
        SynBTError: If no preset has such a network.
    """
    found = [p for p in AUTOENCODER_PRESETS.values() if p.network == network and p.volumes]
    if not found:
        raise _foreign("autoencoder")
    # The last one: `paper` and `shipped` share a network, and are listed in this order.
    preset = found[-1]
    assert preset.volumes is not None
    d, h, w = (min(side, _DECODER_SIDE_MM) for side in preset.volumes.volume)
    patch = min(preset.volumes.patch, min(d, h, w) // 2)
    # Some hundred steps: a warm-up of a hundred of them, and then a falling rate.
    volumes = replace(
        preset.volumes,
        volume=(d, h, w),
        patch=patch,
        learning_rate=3 * preset.volumes.learning_rate,
        time_share=1.0,
    )
    return replace(preset, steps=0, discriminator_start=None, volumes=volumes)


def denoiser_preset(network: DenoiserSettings) -> DenoiserPreset:
    """The denoiser on windows of fewer cases, for a shorter time.

    Args:
        network: Of the denoiser that is trained on.

    Raises:
        SynBTError: If no preset has such a network.
    """
    found = [preset for preset in DENOISER_PRESETS.values() if preset.network == network]
    if not found:
        raise _foreign("denoiser")
    preset = found[-1]
    return replace(
        preset,
        pools=tuple(_smaller(pool) for pool in preset.pools),
        learning_rate=preset.learning_rate / 4,
        warmup_steps=max(1, preset.warmup_steps // 5),
        # A thousandth a step would hardly leave the start in a few hundred steps.
        average=min(preset.average, 0.98),
    )


def _smaller(pool: WindowPool) -> WindowPool:
    return replace(pool, batch=-(-pool.batch * 2 // 3), start=min(pool.start, _MOST_AT_START))


def _foreign(what: str) -> SynBTError:
    return SynBTError(
        f"The {what} of these weights has the shape of no preset, so that nothing says how to "
        f"train it on. Start from the shipped weights, or use synbt train."
    )
