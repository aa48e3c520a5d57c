"""What the figures of a fit mean: medians over cases, limits, and a sentence for each.

The limits lie between held-out phantoms with the one real case and data that the weights were not
made for; docs/lab-book.md has the table, `benchmarks/fit_figures.py` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass

from synbt_aug.tumor.visibility import CONTRAST_TO_NOISE

Pair = tuple[float, float]

#: Least share of the tissue's variance that the codec keeps.
LEAST_EXPLAINED = 0.4

#: How far the codec may stay behind 2x pooling, in dB: in ordinary tissue, and in tumors in post.
#: Pre-contrast tumors are flat, pooling averages their noise and is ahead by 1-3 dB on good data.
MOST_BEHIND_DB = 2.0

#: Share of tumors no brighter in post than in pre from which the order of the scans is in doubt.
#: In the shipped bank 11 of 1024 phantom tumors are no brighter in post than what is around them.
MOST_SWAPPED = 0.25

#: Least share of tumors that enhance within these percentiles of the weights' own bank. One in
#: thirty phantom tumors hardly enhances; where most are so, something else is wrong.
LEAST_IN_RANGE = 0.5
RANGE_PERCENTILES = (5.0, 99.0)

#: How far a painted tumor's enhancement may lie from the real one's, over the real one's, or over
#: `FAINT` where that is less.
MOST_OFF = 0.35
FAINT = 0.5

#: How much less of the label may show in painted than in real tumors.
MOST_HIDDEN = 0.1

#: Grain of the painted tumor over that of the real one, either way.
MOST_GRAIN = 1.6


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: In a word.
        good: Whether it is as it should be.
        says: The figures, in words.
        mend: What would mend it: "data", "autoencoder" or "denoiser".
    """

    what: str
    good: bool
    says: str
    mend: str


@dataclass(frozen=True)
class TissueFit:
    """Ordinary tissue, rebuilt by the codec; pairs are (pre, post).

    Args:
        codec_db: PSNR of the mapped signal for a range of 2.
        gain_db: The same less that of 2x pooling.
        explained: Share of the variance that the codec keeps.
        same_scan: Cases whose pre and post are one and the same scan.
    """

    codec_db: Pair
    gain_db: Pair
    explained: Pair
    same_scan: tuple[str, ...]

    def findings(self) -> list[Finding]:
        """Is the codec's tissue this tissue?"""
        found = []
        if self.same_scan:
            says = f"pre and post are the same scan: {named(self.same_scan)}"
            found.append(Finding("scans", False, says, "data"))
        beside = f"tissue rebuilt {_beside(self.gain_db)}"
        kept = min(self.explained)
        good = kept >= LEAST_EXPLAINED
        says = f"{beside}, {max(kept, 0):.0%} of its variance kept"
        if not good:
            says += f" (at least {LEAST_EXPLAINED:.0%})"
        elif min(self.gain_db) < -MOST_BEHIND_DB:
            good, says = False, f"{says} (at most {MOST_BEHIND_DB:g} dB behind)"
        return [*found, Finding("tissue", good, says, "autoencoder")]


@dataclass(frozen=True)
class RealTumors:
    """The data's own tumors.

    Args:
        count: Cases whose tumor was looked at, one a case.
        swapped: Those whose tumor is no brighter in post than in pre.
        codec_db: As `TissueFit.codec_db`, in tumors.
        gain_db: As `TissueFit.gain_db`, in tumors.
        enhancement: In reference ranges.
        bank_range: Enhancement in the weights' own bank, its 5th to 99th percentile.
        in_range: Share of the tumors in that range.
        contrast_to_noise: In post.
    """

    count: int
    swapped: tuple[str, ...]
    codec_db: Pair
    gain_db: Pair
    enhancement: float
    bank_range: Pair
    in_range: float
    contrast_to_noise: float

    def findings(self) -> list[Finding]:
        """Are they tumors as the weights know them?"""
        return [self._order(), self._contrast(), self._enhancement(), self._codec()]

    def _order(self) -> Finding:
        good = len(self.swapped) < MOST_SWAPPED * self.count
        says = f"{self.count - len(self.swapped)} of {self.count} tumors brighter in post than pre"
        if self.swapped:
            says += f", not so {named(self.swapped)}"
        return Finding("order", good, says, "data")

    def _contrast(self) -> Finding:
        good = self.contrast_to_noise >= CONTRAST_TO_NOISE
        says = f"contrast of real tumors {self.contrast_to_noise:.1f} times the noise"
        says += "" if good else f" (at least {CONTRAST_TO_NOISE:g})"
        return Finding("contrast", good, says, "data")

    def _enhancement(self) -> Finding:
        low, high = self.bank_range
        says = (
            f"real tumors enhance by {self.enhancement:.2f} reference ranges, {self.in_range:.0%} "
            f"within the {low:.2f} to {high:.2f} that the weights know"
        )
        return Finding("enhancement", self.in_range >= LEAST_IN_RANGE, says, "denoiser")

    def _codec(self) -> Finding:
        good = self.gain_db[1] >= -MOST_BEHIND_DB
        says = f"tumors rebuilt {_beside(self.gain_db)}"
        says += "" if good else f" (at most {MOST_BEHIND_DB:g} dB behind in post)"
        return Finding("tumors", good, says, "autoencoder")


@dataclass(frozen=True)
class Repainted:
    """Real tumors painted again with their own shape and appearance.

    Args:
        count: How many.
        enhancement: Of the painted tumors, in reference ranges.
        off: Size of painted less real enhancement, over the real one (or half a range).
        visible: Share of the label that shows, (real, painted).
        grain: Grain of painted over that of real tumors, (pre, post).
    """

    count: int
    enhancement: float
    off: float
    visible: Pair
    grain: Pair

    def findings(self) -> list[Finding]:
        """Do they come out as they were?"""
        return [self._enhancement(), self._visible(), self._grain()]

    def _enhancement(self) -> Finding:
        good = self.off <= MOST_OFF
        says = f"enhancement of repainted tumors {self.off:.0%} off, {self.enhancement:.2f} ranges"
        says += "" if good else f" (at most {MOST_OFF:.0%})"
        return Finding("repainting", good, says, "denoiser")

    def _visible(self) -> Finding:
        real, painted = self.visible
        good = painted >= real - MOST_HIDDEN
        says = f"{painted:.0%} of repainted labels visible, {real:.0%} of real ones"
        return Finding("visible", good, says, "denoiser")

    def _grain(self) -> Finding:
        good = all(1 / MOST_GRAIN <= ratio <= MOST_GRAIN for ratio in self.grain)
        pre, post = self.grain
        says = f"grain of repainted tumors {pre:.2f} (pre) and {post:.2f} (post) of the real ones'"
        says += "" if good else f" ({1 / MOST_GRAIN:.2f} to {MOST_GRAIN:g})"
        return Finding("grain", good, says, "autoencoder")


def named(names: tuple[str, ...], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _beside(gain_db: Pair) -> str:
    pre, post = gain_db
    return f"{pre:+.1f} (pre) and {post:+.1f} dB (post) beside 2x pooling"
