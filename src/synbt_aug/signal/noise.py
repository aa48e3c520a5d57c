"""Standard normal noise from a seed, the same on every device.

Each pair of numbers is a hash of the seed and of where it stands: integers, so that all devices
agree in every bit, and only the seed is copied to a device. What is made of the integers agrees to
float32's rounding. Half a million numbers take 3.3 ms on a CPU where torch.randn takes 2.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from synbt_aug.support.device import sent

#: Constants of SplitMix64: the step between counters, and the factors of its finalizer.
_STEP, _FACTORS, _SHIFTS = (
    0x9E3779B97F4A7C15,
    (0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
    (30, 27, 31),
)

_WORD = 2**64


def standard_normal(
    seeds: Sequence[int], shape: Sequence[int], device: torch.device, stream: int = 0
) -> Tensor:
    """Noise of mean 0 and SD 1, one seed a row; a row does not depend on the others.

    Args:
        seeds: Whole numbers.
        shape: Of a row.
        device: Where it is made.
        stream: Tells this noise from other random numbers of the same seed.

    Returns:
        Shape `(B, *shape)`, float32; no number lies farther from 0 than 5.5.

    Source:
        Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    return normal_from(sent(noise_starts(seeds, stream), device), shape)


def noise_starts(seeds: Sequence[int], stream: int = 0) -> Tensor:
    """What noise is made from on a device: one number a row, int64, shape `(B, 1)`, on the CPU.

    Args:
        seeds: As for `standard_normal`.
        stream: Likewise.
    """
    # Of a seed's hash: seeds that follow each other have nothing in common.
    return torch.tensor([[_signed(_mixed((seed ^ stream) % _WORD))] for seed in seeds])


def normal_from(starts: Tensor, shape: Sequence[int]) -> Tensor:
    """Noise as `standard_normal` gives it, where its starts are.

    Args:
        starts: By `noise_starts`, shape `(B, 1)`.
        shape: Of a row.
    """
    count = math.prod(shape)
    z = torch.arange((count + 1) // 2, device=starts.device) * _signed(_STEP) + starts
    for shift, factor in zip(_SHIFTS, _FACTORS):
        z.bitwise_xor_(_shifted(z, shift)).mul_(_signed(factor))
    z.bitwise_xor_(_shifted(z, _SHIFTS[-1]))
    halves = z.view(torch.int32)[:, :count]
    # 24 bits, evenly between -1 and 1 without the ends; the inverse of the normal distribution.
    even = halves.bitwise_right_shift(8).add(0.5).mul_(2**-23)
    return even.erfinv_().mul_(math.sqrt(2)).view(len(starts), *shape)


def _shifted(z: Tensor, by: int) -> Tensor:
    """Shifted to the right, zeros coming in: torch's own shift repeats the sign."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)


def _mixed(word: int) -> int:
    """The same hash of one number, in [0, 2^64)."""
    for shift, factor in zip(_SHIFTS, _FACTORS):
        word = (word ^ (word >> shift)) * factor % _WORD
    return word ^ (word >> _SHIFTS[-1])


def _signed(word: int) -> int:
    """The same 64 bits as torch's int64 has them."""
    return word - _WORD if word >= _WORD // 2 else word
