"""Windows of noise with a bright ball in the middle, made from a seed."""

from __future__ import annotations

import torch

from analytic import ball, seeded
from synbt_aug.evaluate.realism.windows import LESION, Windows


def some_windows(
    count: int,
    *,
    seed: int = 0,
    side: int = 64,
    gain: float = 1.5,
    noise: float = 0.2,
    names: str = "case",
    radius: float = 8.0,
) -> Windows:
    """Windows whose ball is brighter by `gain` in post, each of a case of its own."""
    signal = noise * torch.randn((count, 2, side, side, side), generator=seeded(seed))
    label = ball(side, radius).to(torch.uint8) * LESION
    signal[:, 1] += gain * label
    cases = tuple(f"{names} {k}" for k in range(count))
    return Windows(signal.half(), label.expand(count, -1, -1, -1).clone(), cases)
