"""What the figures of a fit mean: medians over cases, limits, and a sentence for each.

The limits lie between held-out phantoms with the one real case and data that the weights were not
made for; docs/lab-book.md has the table, `benchmarks/fit_figures.py` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from synbt_aug.evaluate.limits import GOOD, POOR, UNDECIDED, Limit, worst
from synbt_aug.support.wording import shown_beside
from synbt_aug.tumor.visibility import CONTRAST_TO_NOISE

Pair = tuple[float, float]

#: Share of the tissue's variance that the codec keeps.
EXPLAINED = Limit(good=0.5, fair=0.4, places=0, percent=True)

#: How far the codec stays behind 2x pooling, in dB: in ordinary tissue, and in tumors in post.
#: Pre-contrast tumors are flat, pooling averages their noise and is ahead by 1-3 dB on good data.
BEHIND_DB = Limit(good=1.5, fair=2.0, unit="dB")

#: Share of tumors no brighter in post than in pre: the order of the scans may be in doubt. In the
#: shipped bank 11 of 1024 phantom tumors are no brighter in post than what is around them.
SWAPPED = Limit(good=0.25, fair=0.4, places=0, percent=True)

#: Contrast of real tumors over the noise; painted ones need the lower limit.
CONTRAST = Limit(good=3.0, fair=CONTRAST_TO_NOISE)

#: Share of tumors that enhance within these percentiles of the weights' own bank. One in thirty
#: phantom tumors hardly enhances; where most are so, something else is wrong.
IN_RANGE = Limit(good=0.6, fair=0.4, places=0, percent=True)
RANGE_PERCENTILES = (5.0, 99.0)

#: How far a painted tumor's enhancement lies from the real one's, over the real one's, or over
#: `FAINT` where that is less.
OFF = Limit(good=0.2, fair=0.35, places=0, percent=True)
FAINT = 0.5

#: How much less of the label shows in painted than in real tumors.
HIDDEN = Limit(good=0.1, fair=0.2, places=0, percent=True)

#: Factor between the grain of painted and of real tumors, either way.
GRAIN = Limit(good=2.0, fair=2.5)


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: In a word.
        verdict: Good, fair, poor or undecided.
        says: The figures, in words.
        figure: The figures alone.
        mend: What would mend it: "data", "autoencoder" or "denoiser".
        counted: Whether it is a median, or a share, of cases: a few of them decide nothing.
    """

    what: str
    verdict: str
    says: str
    figure: str
    mend: str
    counted: bool = True

    def decided(self, enough: bool) -> Finding:
        """As it is, or undecided where there were too few cases."""
        return self if enough or not self.counted else replace(self, verdict=UNDECIDED)


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
            names = named(self.same_scan)
            says = f"pre and post are the same scan: {names}"
            found.append(Finding("scans", POOR, says, names, "data", counted=False))
        behind, kept = -min(self.gain_db), min(self.explained)
        share = EXPLAINED.shown(max(kept, 0.0))
        says = f"tissue rebuilt {_beside(self.gain_db)}{BEHIND_DB.missed(behind)}, "
        says += f"{share} of its variance kept{EXPLAINED.missed(kept)}"
        verdict = worst([BEHIND_DB.verdict(behind), EXPLAINED.verdict(kept)])
        figure = f"{_pair(self.gain_db)} dB, {share}"
        return [*found, Finding("tissue", verdict, says, figure, "autoencoder")]


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
        brighter = f"{self.count - len(self.swapped)} of {self.count}"
        says = f"{brighter} tumors brighter in post than pre"
        if self.swapped:
            says += f", not so {named(self.swapped)}"
        return Finding(
            "order", SWAPPED.verdict(len(self.swapped) / self.count), says, brighter, "data"
        )

    def _contrast(self) -> Finding:
        found = self.contrast_to_noise
        says = f"contrast of real tumors {CONTRAST.shown(found)} times the noise"
        says += CONTRAST.missed(found)
        return Finding("contrast", CONTRAST.verdict(found), says, CONTRAST.shown(found), "data")

    def _enhancement(self) -> Finding:
        low, high = self.bank_range
        level = shown_beside(self.enhancement, low, high, places=2)
        share = IN_RANGE.shown(self.in_range)
        says = (
            f"real tumors enhance by {level} reference ranges, {share} within the {low:.2f} to "
            f"{high:.2f} that the weights know{IN_RANGE.missed(self.in_range)}"
        )
        verdict = IN_RANGE.verdict(self.in_range)
        return Finding("enhancement", verdict, says, f"{level}, {share}", "denoiser")

    def _codec(self) -> Finding:
        behind = -self.gain_db[1]
        says = f"tumors rebuilt {_beside(self.gain_db)}{BEHIND_DB.missed(behind)}"
        figure = f"{_pair(self.gain_db)} dB"
        return Finding("tumors", BEHIND_DB.verdict(behind), says, figure, "autoencoder")


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
        off = OFF.shown(self.off)
        says = f"enhancement of repainted tumors {off} off, {self.enhancement:.2f} ranges"
        says += OFF.missed(self.off)
        return Finding("repainting", OFF.verdict(self.off), says, f"{off} off", "denoiser")

    def _visible(self) -> Finding:
        real, painted = self.visible
        hidden = real - painted
        says = f"{painted:.0%} of repainted labels visible, {real:.0%} of real ones"
        if HIDDEN.verdict(hidden) != GOOD:
            says += f", {HIDDEN.shown(hidden)} less{HIDDEN.missed(hidden)}"
        figure = f"{painted:.0%} of {real:.0%}"
        return Finding("visible", HIDDEN.verdict(hidden), says, figure, "denoiser")

    def _grain(self) -> Finding:
        factor = max(max(ratio, 1 / max(ratio, 1e-9)) for ratio in self.grain)
        limits = (GRAIN.good, GRAIN.fair, 1 / GRAIN.good, 1 / GRAIN.fair)
        pre, post = (shown_beside(ratio, *limits, places=2) for ratio in self.grain)
        says = f"grain of repainted tumors {pre} (pre) and {post} (post) of the real ones'"
        verdict = GRAIN.verdict(factor)
        if verdict != GOOD:
            most = GRAIN.fair if verdict == POOR else GRAIN.good
            says += f" ({'' if verdict == POOR else 'good: '}{1 / most:g} to {most:g})"
        return Finding("grain", verdict, says, f"{pre} / {post}", "autoencoder")


def named(names: tuple[str, ...], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _beside(gain_db: Pair) -> str:
    pre, post = (_signed(gain) for gain in gain_db)
    return f"{pre} (pre) and {post} dB (post) beside 2x pooling"


def _pair(gain_db: Pair) -> str:
    return " / ".join(_signed(gain) for gain in gain_db)


def _signed(gain_db: float) -> str:
    shown = shown_beside(gain_db, -BEHIND_DB.good, -BEHIND_DB.fair, places=1)
    return shown if shown.startswith("-") else f"+{shown}"
