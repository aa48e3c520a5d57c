"""Does the paint fill its mask as a real tumor does, and does paint alone look like a tumor?

Both are asked of a segmenter: one that has seen real tumors only for the first question, one that
was trained with synthetic ones for the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.segmenter import segment
from synbt_aug.evaluate.realism.windows import HEALTHY, Windows
from synbt_aug.tumor.template import SMALLEST_VOXELS


@dataclass(frozen=True)
class Adherence:
    """Dice of one segmenter on two sets.

    Args:
        real: Mean over real windows.
        synthetic: Mean over synthetic ones.
    """

    real: float
    synthetic: float

    @property
    def ratio(self) -> float:
        """1: synthetic tumors lie in their masks as real ones do."""
        return self.synthetic / self.real if self.real > 0 else float("nan")


def dice(predicted: Tensor, label: Tensor) -> Tensor:
    """Dice of each window; two empty masks give 1. Boolean, shape `(N, n, n, n)` -> `(N,)`."""
    both = (predicted & label).flatten(1).sum(1).double()
    sizes = (predicted.flatten(1).sum(1) + label.flatten(1).sum(1)).double()
    return torch.where(sizes > 0, 2 * both / sizes.clamp_min(1), torch.ones_like(sizes))


def measure_adherence(
    network: nn.Module, real: Windows, synthetic: Windows, *, device: torch.device | str = "cpu"
) -> Adherence:
    """Mean Dice of a segmenter that was trained on other real tumors, and on nothing else.

    Args:
        network: As for `segmenter.segment`.
        real: Windows that it has not seen.
        synthetic: Likewise.
        device: Where it runs.

    Raises:
        SynBTError: If a set is empty.
    """
    if not len(real) or not len(synthetic):
        raise SynBTError(
            f"Mask adherence needs real and synthetic windows, got {len(real)} and "
            f"{len(synthetic)}."
        )
    means = [
        float(dice(segment(network, w.signal, device=device), w.tumor).mean())
        for w in (real, synthetic)
    ]
    return Adherence(*means)


def false_positives(
    network: nn.Module, healthy: Windows, *, device: torch.device | str = "cpu"
) -> list[bool]:
    """Windows in whose marked place the segmenter sees a tumor.

    Args:
        network: As for `segmenter.segment`.
        healthy: Windows with a place marked `HEALTHY`: repainted as nothing, or untouched.
        device: Where it runs.

    Returns:
        For each, whether it marks there at least the volume of a 6 mm ball, or half the place
        where that is less.
    """
    found = segment(network, healthy.signal, device=device)
    verdicts = []
    for prediction, label in zip(found, healthy.label, strict=True):
        place = label == HEALTHY
        enough = min(SMALLEST_VOXELS, max(1, int(place.sum()) // 2))
        verdicts.append(int((prediction & place).sum()) >= enough)
    return verdicts
