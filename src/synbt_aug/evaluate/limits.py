"""Verdicts on single figures: good, fair or poor, by two limits on the same scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from synbt_aug.support.wording import shown_beside

GOOD, FAIR, POOR, UNDECIDED = "good", "fair", "poor", "undecided"

#: From the best to the worst. One poor figure is enough; a fair one says little beside others that
#: nobody could decide.
VERDICTS = (GOOD, FAIR, UNDECIDED, POOR)


def worst(verdicts: Iterable[str]) -> str:
    """The verdict on several figures at once; good where there is none."""
    return max(verdicts, key=VERDICTS.index, default=GOOD)


@dataclass(frozen=True)
class Limit:
    """From where a figure is good, and from where it is at least fair.

    Args:
        good: The figure is good here, and on the better side.
        fair: It is fair from here to `good`, and poor on the other side.
        places: Shown after the point, at least.
        percent: Whether it is shown as a percentage.
        unit: Behind the value.
    """

    good: float
    fair: float
    places: int = 1
    percent: bool = False
    unit: str = ""

    @property
    def rises(self) -> bool:
        """Whether more is better."""
        return self.good > self.fair

    def verdict(self, value: float) -> str:
        """Good, fair or poor; a limit itself belongs to its better side, nan is poor."""
        for limit, verdict in ((self.good, GOOD), (self.fair, FAIR)):
            if value >= limit if self.rises else value <= limit:
                return verdict
        return POOR

    def shown(self, value: float) -> str:
        """The value, with enough digits to see its verdict."""
        number = shown_beside(value, self.good, self.fair, places=self.places, percent=self.percent)
        return f"{number} {self.unit}".rstrip()

    def missed(self, value: float) -> str:
        """` (good: at least 60%)`, ` (at least 40%)`: the limit that was not met; else nothing."""
        verdict, side = self.verdict(value), "at least" if self.rises else "at most"
        if verdict == GOOD:
            return ""
        limit = self.good if verdict == FAIR else self.fair
        number = f"{100 * limit:g}%" if self.percent else f"{limit:g}"
        words = f"{side} {number} {self.unit}".rstrip()
        return f" (good: {words})" if verdict == FAIR else f" ({words})"
