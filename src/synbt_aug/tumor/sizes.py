"""How large tumors are: a cohort's diameters as a smooth distribution that a breast cuts off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from scipy.stats import norm

#: The smallest tumor, in mm: a latent cell and a half.
SMALLEST_MM = 6.0

#: The largest tumor, in mm: larger ones do not fit a 128 mm window.
LARGEST_MM = 90.0

#: Diameters where no cohort is known: about lognormal with this median and this SD of the
#: logarithm (MAMA-MIA: 17, 30 and 58 mm at 5, 50 and 95 %).
MEDIAN_MM = 30.0
LOG_SD = 0.38

#: So many tumors tell their cohort's distribution; fewer share the weight with the default.
ENOUGH = 10

#: Points on which the distribution is tabulated, even in the logarithm.
_LOG_MM = np.linspace(math.log(SMALLEST_MM), math.log(LARGEST_MM), 1024)

#: Narrowest kernel, as an SD of the logarithm: tumors of one size are not all of that size.
_NARROWEST = 0.05


class Sizes:
    """A distribution of diameters from 6 mm on.

    Args:
        diameters_mm: Of a cohort's tumors. Their logarithms are smoothed by normal kernels of
            Silverman's width, mirrored at 6 mm; of fewer than 10 the default makes up what is
            missing, all of it where there is none.

    Source:
        Silverman, "Density estimation for statistics and data analysis", 1986, eq. 3.31.
    """

    def __init__(self, diameters_mm: Sequence[float] = ()) -> None:
        self.tumors = len(diameters_mm)
        default = NormalDist(math.log(MEDIAN_MM), LOG_SD)
        share = np.array([default.cdf(x) for x in _LOG_MM])
        if self.tumors:
            own = min(self.tumors / ENOUGH, 1.0)
            share = own * _smoothed(np.log(diameters_mm)) + (1 - own) * _from_zero(share)
        # A slope everywhere, so that each rank has one size.
        self._share = _from_zero(share) + 1e-9 * np.arange(len(_LOG_MM))

    def at(self, rank: float, max_mm: float = LARGEST_MM) -> float:
        """The quantile of the diameters, cut off at 6 mm below and `max_mm` above.

        Args:
            rank: In [0, 1).
            max_mm: At most this; where it is below 6 mm, 6 mm is what comes.
        """
        if max_mm <= SMALLEST_MM:
            return SMALLEST_MM
        found = math.exp(np.interp(rank * self._below(max_mm), self._share, _LOG_MM))
        return min(max(found, SMALLEST_MM), max_mm)

    def rank_of(self, diameter_mm: float, max_mm: float = LARGEST_MM) -> float:
        """The inverse of `at` where `max_mm` is above 6 mm: the PIT of a size."""
        return self._below(diameter_mm) / self._below(max_mm)

    def _below(self, diameter_mm: float) -> float:
        return float(np.interp(math.log(diameter_mm), _LOG_MM, self._share))


@lru_cache(maxsize=64)
def sizes_of(diameters_mm: tuple[float, ...]) -> Sizes:
    """The distribution of some diameters; the last few are remembered."""
    return Sizes(diameters_mm)


def _smoothed(logs: np.ndarray) -> np.ndarray:
    """Share of a cohort below each of `_LOG_MM`, from 0 at the first to 1 at the last."""
    first, third = np.percentile(logs, (25, 75))
    spread = min(float(logs.std()), (third - first) / 1.34) or float(logs.std())
    width = max(0.9 * spread * len(logs) ** -0.2, _NARROWEST)
    at = np.concatenate([logs, 2 * _LOG_MM[0] - logs])
    return _from_zero(norm.cdf((_LOG_MM[:, None] - at) / width).sum(1))


def _from_zero(share: np.ndarray) -> np.ndarray:
    return np.asarray((share - share[0]) / max(share[-1] - share[0], 1e-12))
