"""The area under the ROC curve, with an interval from a bootstrap over cases.

Windows of one case are not independent, and the two sets may share cases (a phantom with its own
tumor, and the same patient with a painted one): whole cases are drawn, with all of their windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synbt_aug.errors import SynBTError


@dataclass(frozen=True)
class Area:
    """An AUC with its 95 % interval.

    Args:
        value: 1: told apart; .5: not.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def holds_half(self) -> bool:
        """Whether the interval contains .5."""
        return self.low <= 0.5 <= self.high


def area_under_curve(
    real: ArrayLike,
    synthetic: ArrayLike,
    real_cases: Sequence[str] | None = None,
    synthetic_cases: Sequence[str] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Area:
    """How well scores tell two sets apart.

    Args:
        real: Scores, shape `(N,)`; high scores speak for "synthetic".
        synthetic: Scores, shape `(M,)`.
        real_cases: The case of each; None: each is a case of its own.
        synthetic_cases: Likewise; a name in both is one case.
        resamples: Of the bootstrap.
        seed: Of a generator of its own.

    Returns:
        The share of pairs in the right order, ties counting half, and its percentile interval.

    Raises:
        SynBTError: If a set is empty or a score not finite.

    Source:
        Hanley and McNeil, Radiology 143, 1982 (pairs in the right order); Field and Welsh,
        "Bootstrapping clustered data", J R Stat Soc B 69, 2007 (whole cases).
    """
    a = np.asarray(real, dtype=np.float64)
    b = np.asarray(synthetic, dtype=np.float64)
    if not (len(a) and len(b)) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise SynBTError(
            f"An AUC needs finite scores of both sets, got {len(a)} and {len(b)} scores."
        )
    right = (b[None, :] > a[:, None]) + 0.5 * (b[None, :] == a[:, None])
    names_a = real_cases or [f"real {k}" for k in range(len(a))]
    names_b = synthetic_cases or [f"synthetic {k}" for k in range(len(b))]
    known = {name: k for k, name in enumerate(sorted({*names_a, *names_b}))}
    of_a = np.array([known[name] for name in names_a])
    of_b = np.array([known[name] for name in names_b])
    generator = np.random.default_rng(seed)
    share = np.full(len(known), 1 / len(known))
    drawn = generator.multinomial(len(known), share, size=resamples).astype(np.float64)
    weight_a, weight_b = drawn[:, of_a], drawn[:, of_b]
    pairs = weight_a.sum(1) * weight_b.sum(1)
    sums = ((weight_a @ right) * weight_b).sum(1)
    areas = sums[pairs > 0] / pairs[pairs > 0]
    value = float(right.mean())
    low, high = np.percentile(areas, (2.5, 97.5)) if len(areas) else (0.0, 1.0)
    return Area(value, float(low), float(high))
