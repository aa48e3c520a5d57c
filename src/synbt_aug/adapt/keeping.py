"""Whether a part that was trained is kept: figures before and after, and the rule.

A figure got better or worse if it moved by more than its margin: what another draw of places and
noise moves it by. A part has won if more of its figures got better than worse, and lost if more
got worse. Networks are kept if they won. The bank is kept unless it lost: that of the start holds
shapes of other patients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: What the rule says of a part.
WON, EVEN, LOST = "won", "even", "lost"


@dataclass(frozen=True)
class Measure:
    """A figure that parts are judged by.

    Args:
        what: In words, with its unit.
        margin: Smaller differences count for nothing.
        higher: Whether more is better.
    """

    what: str
    margin: float
    higher: bool = False


#: Of one generator on the cases held back; by name in `Figures.values`.
MEASURES: dict[str, Measure] = {
    "tissue_db": Measure("ordinary tissue rebuilt by the codec, PSNR in dB", 0.1, higher=True),
    "tumor_db": Measure("tumors rebuilt by the codec, PSNR in dB", 0.1, higher=True),
    "off": Measure("enhancement of repainted tumors off, share", 0.02),
    "hidden": Measure("share of their label that does not show, beyond real ones'", 0.02),
    "grain": Measure("their grain off, factors of 2", 0.05),
    "painted": Measure("share of new tumors that could be painted", 0.1, higher=True),
    # Two halves of a dozen slices lie .2 apart by chance alone.
    "ks_lesion": Measure("slices: median KS distance, lesion and ring", 0.1),
    "ks_shape": Measure("slices: median KS distance, shape", 0.1),
    "ks_surroundings": Measure("slices: median KS distance, surroundings", 0.1),
    "auc": Measure("slices: AUC of the boosted tree, all features", 0.05),
}

#: What each part is judged by: what it changes, and no more.
JUDGED_BY: dict[str, tuple[str, ...]] = {
    "bank": ("painted", "ks_lesion", "ks_shape", "ks_surroundings", "auc"),
    "decoder": ("tissue_db", "tumor_db", "off", "grain"),
    "denoiser": ("off", "hidden", "grain", "painted", "ks_lesion", "ks_surroundings", "auc"),
}


def change(name: str, before: float, after: float) -> int:
    """1 if a figure got better, -1 if worse, 0 if neither; nan, not measured, is worse than any."""
    measure = MEASURES[name]
    if math.isnan(before) or math.isnan(after):
        return int(math.isnan(before)) - int(math.isnan(after))
    gain = after - before if measure.higher else before - after
    return 0 if abs(gain) <= measure.margin else (1 if gain > 0 else -1)


def verdict(part: str, before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Whether a part won, lost, or neither.

    Args:
        part: A name in `JUDGED_BY`.
        before: Figures with the earlier part, all else alike.
        after: With the new one.
    """
    total = sum(change(name, before[name], after[name]) for name in JUDGED_BY[part])
    return WON if total > 0 else LOST if total < 0 else EVEN


def is_kept(part: str, verdict: str) -> bool:
    """Whether a part with this verdict is kept."""
    return verdict != LOST if part == "bank" else verdict == WON
