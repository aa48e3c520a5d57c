"""The figures of a probe, by name, each with its interval; and what is required of them.

Shares have Wilson's interval, means the percentile bootstrap's over cases or implants. Implants of
one case share its anatomy, so that with few cases the intervals are somewhat too narrow.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.probe.grid import DISTRACTOR, NULL, TUMOR, UNTOUCHED, ProbeSettings
from synbt_aug.evaluate.probe.rows import ProbeRow
from synbt_aug.evaluate.segmentation import bootstrap_mean

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(r"\s*([^<>=:\s]+)(?::(low|high))?\s*(>=|<=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        value: A share or a mean; None where there is nothing to take it of.
        low: Lower end of the interval.
        high: Upper end.
        count: Implants or cases that it was taken of.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int

    def shown(self) -> str:
        """`0.80 (0.49 to 0.94) of 10`, or a dash."""
        if self.value is None:
            return "-"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}) of {self.count}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Requirement:
    """What a figure must hold.

    Args:
        text: As typed.
        name: Of the figure.
        end: "value", "low" or "high": which number of it.
        sign: ">=", "<=", ">" or "<".
        limit: What it is held against.
    """

    text: str
    name: str
    end: str
    sign: str
    limit: float

    def met_by(self, figures: Mapping[str, Figure]) -> bool:
        """Whether it holds; a figure without a value meets nothing."""
        found: float | None = getattr(figures[self.name], self.end)
        return found is not None and _SIGNS[self.sign](found, self.limit)


def share(hits: int, count: int, confidence: float) -> Figure:
    """A share with Wilson's interval.

    Args:
        hits: Of them.
        count: All of them.
        confidence: Between 0 and 1.

    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if count == 0:
        return Figure(None, None, None, 0)
    ends = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return Figure(hits / count, float(ends.low), float(ends.high), count)


def mean(values: Sequence[float], confidence: float) -> Figure:
    """A mean with its bootstrap interval."""
    if not values:
        return Figure(None, None, None, 0)
    found = bootstrap_mean(values, confidence=confidence)
    return Figure(found.mean, found.low, found.high, found.count)


def figure_names(settings: ProbeSettings) -> list[str]:
    """The names of all figures that a probe of these settings has."""
    return list(figures_of([], settings))


def figures_of(rows: Sequence[ProbeRow], settings: ProbeSettings) -> dict[str, Figure]:
    """All figures, by name.

    `sensitivity` and `dice` of all tumors, `sensitivity/12mm` of a size, `sensitivity/0.8` of a
    contrast, `sensitivity/12mm/0.8` of both; `found-before`, `distractors-marked`,
    `null-paints-marked`, `false-positives` (a case) and `real-dice`.
    """
    tumors = [row for row in rows if row.kind == TUMOR and row.found is not None]
    figures: dict[str, Figure] = {}
    for suffix, chosen in _cells(tumors, settings).items():
        figures[f"sensitivity{suffix}"] = _share_found(chosen, settings.confidence)
        dice = [row.dice for row in chosen if row.dice is not None]
        figures[f"dice{suffix}"] = mean(dice, settings.confidence)
    before = sum(bool(row.found_before) for row in tumors)
    figures["found-before"] = share(before, len(tumors), settings.confidence)
    for kind, name in ((DISTRACTOR, "distractors-marked"), (NULL, "null-paints-marked")):
        chosen = [row for row in rows if row.kind == kind and row.found is not None]
        figures[name] = _share_found(chosen, settings.confidence)
    figures["false-positives"] = mean(_false_positives(rows), settings.confidence)
    real = [row.dice for row in rows if row.kind == UNTOUCHED and row.dice is not None]
    figures["real-dice"] = mean(real, settings.confidence)
    return figures


def _cells(tumors: list[ProbeRow], settings: ProbeSettings) -> dict[str, list[ProbeRow]]:
    cells = {"": tumors}
    for size in settings.sizes_mm:
        cells[f"/{size:g}mm"] = [row for row in tumors if row.size_mm == size]
    for contrast in settings.enhancements:
        cells[f"/{contrast:g}"] = [row for row in tumors if row.enhancement == contrast]
    for size in settings.sizes_mm:
        for contrast in settings.enhancements:
            of_size = cells[f"/{size:g}mm"]
            both = [row for row in of_size if row.enhancement == contrast]
            cells[f"/{size:g}mm/{contrast:g}"] = both
    return cells


def _share_found(rows: Sequence[ProbeRow], confidence: float) -> Figure:
    return share(sum(bool(row.found) for row in rows), len(rows), confidence)


def _false_positives(rows: Iterable[ProbeRow]) -> list[float]:
    """The mean over each case's images."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        if row.false_positives is not None:
            counts.setdefault(row.case, []).append(row.false_positives)
    return [sum(found) / len(found) for found in counts.values()]


def read_requirement(text: str, settings: ProbeSettings) -> Requirement:
    """A requirement as typed: `sensitivity/20mm>=0.9`, `sensitivity/20mm:low>=0.7`.

    Raises:
        SynBTError: If it cannot be read, or there is no such figure.
    """
    match = _REQUIREMENT.fullmatch(text)
    try:
        limit = float(match[4]) if match else float("nan")
    except ValueError:
        limit = float("nan")
    if match is None or limit != limit:
        raise SynBTError(
            f"A requirement is a figure, a sign and a number, such as 'sensitivity/20mm>=0.9' or "
            f"'false-positives:high<=0.5', not {text!r}."
        )
    known = figure_names(settings)
    if match[1] not in known:
        raise SynBTError(
            f"A probe of these settings has the figures {', '.join(known)}; {match[1]!r} is none."
        )
    return Requirement(text, match[1], match[2] or "value", match[3], limit)
