"""Figures with the targets that they are held to: values only, no arithmetic of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


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
        doubt: Why the value does not count, whatever it is: what measured it failed its own
            check. Such a figure reaches no target.
    """

    name: str
    value: float
    target: Target | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    note: str = ""
    digits: int = 2
    doubt: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return not self.doubt and self.target.reached(self.value)

    @property
    def shown(self) -> str:
        """Value with unit and interval."""
        if math.isnan(self.value):
            return "not measured"
        words = f"{self.value:.{self.digits}f}" if abs(self.value) < 1e5 else f"{self.value:.2g}"
        words += f" {self.unit}" if self.unit else ""
        if self.interval is not None:
            low, high = self.interval
            words += f" ({low:.{self.digits}f} to {high:.{self.digits}f})"
        return words

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan as null."""
        values = asdict(self) | {"reached": self.reached}
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


def missed(groups: Iterable[Group]) -> list[Figure]:
    """Figures short of their targets, those that could not be measured among them."""
    return [figure for group in groups for figure in group.figures if figure.reached is False]


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
