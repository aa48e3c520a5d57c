"""Two p-values: Wilcoxon's signed-rank test of paired differences, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

# Differences of floats that are equal on paper differ in the 17th digit, and would not be tied.
_DIGITS = 9
# Up to here exactly, beyond by the normal limit: where SciPy changes, too.
_EXACT_UP_TO = 50


def signed_rank_p(differences: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test, two-sided: is the difference as often above 0 as below?

    Differences of 0 are left out; where none is left, p is 1. Up to 50 differences the test is
    exact with ties as well, which SciPy's is up to 13 only, and in newer releases: the normal
    limit calls five equal differences p = .03, though 2 of 32 signs are as extreme: p = .06.

    Args:
        differences: One a case.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945.
    """
    rounded = np.round(np.asarray(differences, dtype=np.float64), _DIGITS)
    found = rounded[rounded != 0]
    if not len(found):
        return 1.0
    if len(found) > _EXACT_UP_TO:
        return float(stats.wilcoxon(found).pvalue)
    # Mean ranks of ties are halves: doubled, they are whole numbers.
    ranks = (2 * stats.rankdata(np.abs(found))).astype(int)
    chance = np.zeros(ranks.sum() + 1)  # of each sum of the ranks above 0, if signs are random
    chance[0] = 1.0
    for rank in ranks:
        chance[rank:] += chance[:-rank]
        chance /= 2
    above = int(ranks[found > 0].sum())
    tail = min(chance[: above + 1].sum(), chance[above:].sum())
    return float(min(1.0, 2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that hold for all comparisons together, in the order given.

    Source:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6, 1979.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
