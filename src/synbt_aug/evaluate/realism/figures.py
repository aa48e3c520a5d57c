"""Figures with the targets that they are held to: values only, no arithmetic of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.support.wording import shown_beside

#: What is said of a figure beside its target.
REACHED, SHORT, UNJUDGED = "reached", "not reached", "cannot be judged"


@dataclass(frozen=True)
class Target:
    """What a figure is to reach; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def reached(self, value: float) -> bool:
        """Whether a value lies within; nan never does."""
        above = self.low is None or value >= self.low
        below = self.high is None or value <= self.high
        return not math.isnan(value) and above and below

    @property
    def limits(self) -> tuple[float, ...]:
        """The sides that are not open."""
        return tuple(side for side in (self.low, self.high) if side is not None)

    def words(self) -> str:
        """For the table."""
        if self.low is None:
            return f"at most {self.high:g}"
        if self.high is None:
            return f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        name: What was measured.
        value: As measured; nan where it could not be.
        target: What it is to reach; None where it stands for comparison.
        interval: Its 95 % interval.
        unit: Behind the value.
        note: Of how many, or why not.
        digits: After the point.
        doubt: Why the value cannot be judged, whatever it is: what measured it failed its own
            check.
        control: Whether the check of the measurement, which this figure is, was passed; None: it
            is none. A control's target is not one of what is measured.
    """

    name: str
    value: float
    target: Target | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    note: str = ""
    digits: int = 2
    doubt: str = ""
    control: bool | None = None

    @property
    def judged(self) -> str | None:
        """Reached, not reached, or cannot be judged; None without a target, and for controls."""
        if self.control is not None or (self.target is None and not self.doubt):
            return None
        if self.doubt or self.target is None or math.isnan(self.value):
            return UNJUDGED
        return REACHED if self.target.reached(self.value) else SHORT

    @property
    def why_not(self) -> str:
        """Why it cannot be judged; empty where it can."""
        if self.judged != UNJUDGED:
            return ""
        return self.doubt or "not measured"

    @property
    def shown(self) -> str:
        """Value with unit and interval, and digits to see on which side of the target it lies."""
        if math.isnan(self.value):
            return "not measured"
        limits = () if self.target is None else self.target.limits
        words = f"{self.value:.2g}"
        if abs(self.value) < 1e5:
            words = shown_beside(self.value, *limits, places=self.digits)
        words += f" {self.unit}" if self.unit else ""
        if self.interval is not None:
            low, high = self.interval
            words += f" ({low:.{self.digits}f} to {high:.{self.digits}f})"
        return words

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan as null."""
        reached = {REACHED: True, SHORT: False}.get(self.judged or "")
        values = asdict(self) | {"judged": self.judged, "reached": reached}
        return values | {"value": None if math.isnan(self.value) else self.value}


@dataclass(frozen=True)
class Group:
    """Figures that belong together.

    Args:
        title: Heading.
        figures: In order.
        words: What they are and how they came about.
    """

    title: str
    figures: tuple[Figure, ...]
    words: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        figures = [figure.to_dict() for figure in self.figures]
        return {"title": self.title, "words": self.words, "figures": figures}


def judged_as(groups: Iterable[Group], judged: str) -> list[Figure]:
    """Figures with a target of which this is said."""
    figures = [figure for group in groups for figure in group.figures]
    return [f for f in figures if f.judged == judged and f.target is not None]


#: Targets of weights trained on a GPU, for 200 held-out phantoms.
TARGETS = {
    "breast psnr": Target(low=30.0),
    "tumor psnr": Target(low=26.0),
    "tumor bias": Target(-0.04, 0.04),
    "over gaussian": Target(low=1.0),
    "real case psnr": Target(low=22.5),
    "seam": Target(high=1.05),
    "codes": Target(low=0.5),
    "auc rebuilt": Target(high=0.75),
    "auc raw": Target(high=0.85),
    "auc control": Target(low=0.95),
    "adherence": Target(0.90, 1.10),
    "null": Target(-2.0, 2.0),
    "ks": Target(high=0.15),
    "enhancement correlation": Target(low=0.97),
    "enhancement error": Target(high=0.08),
    "rim correlation": Target(low=0.8),
    "heterogeneity correlation": Target(low=0.7),
    "diversity": Target(low=0.5),
}
