"""Points with intervals over named places as SVG: a share by size, say. No script is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synbt_aug.errors import SynBTError
from synbt_aug.report.chart import COLORS, nice_ticks
from synbt_aug.report.page import text

#: A point: value, lower and upper end of its interval; None leaves a gap.
Point = tuple[float, float, float] | None

_WIDE, _TALL = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 34, 40
# Series stand side by side within this share of a place's width.
_SPREAD = 0.4


@dataclass(frozen=True)
class IntervalChart:
    """Several series of points with intervals; a part of a page's section.

    Args:
        places: Names along the horizontal axis.
        series: Name -> one point for each place.
        across: What the places are.
        words: What the chart shows, for those who do not see it.
        limits: Ends of the vertical axis, at least; None takes those of the intervals.

    Raises:
        SynBTError: If there is no point, or a series has not one for each place.
    """

    places: Sequence[str]
    series: Mapping[str, Sequence[Point]]
    across: str
    words: str
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if any(len(points) != len(self.places) for points in self.series.values()):
            raise SynBTError("IntervalChart needs one point of each series for each place.")
        if not self._numbers():
            raise SynBTError("IntervalChart needs at least one point, got none.")

    def _numbers(self) -> list[float]:
        points = [p for series in self.series.values() for p in series if p is not None]
        return [value for point in points for value in point if math.isfinite(value)]

    def html(self) -> str:
        """As SVG."""
        numbers = [*self._numbers(), *(self.limits or ())]
        ticks = nice_ticks(min(numbers), max(numbers))
        step = (_WIDE - _LEFT - _RIGHT) / len(self.places)

        def y(value: float) -> float:
            part = (value - ticks[0]) / (ticks[-1] - ticks[0])
            return _TALL - _BOTTOM - (_TALL - _BOTTOM - _TOP) * part

        parts = [
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y(t):.1f}" '
            f'y2="{y(t):.1f}"></line><text x="{_LEFT - 8}" y="{y(t) + 4:.1f}" '
            f'text-anchor="end">{t:g}</text>'
            for t in ticks
        ]
        parts += [
            f'<text x="{_LEFT + (k + 0.5) * step:.1f}" y="{_TALL - _BOTTOM + 18}" '
            f'text-anchor="middle">{text(name)}</text>'
            for k, name in enumerate(self.places)
        ]
        parts.append(
            f'<text x="{(_LEFT + _WIDE - _RIGHT) / 2:.0f}" y="{_TALL - 6}" '
            f'text-anchor="middle">{text(self.across)}</text>'
        )
        legend = float(_LEFT)
        for number, (name, points) in enumerate(self.series.items()):
            color = COLORS[number % len(COLORS)]
            aside = ((number + 0.5) / len(self.series) - 0.5) * _SPREAD
            for k, point in enumerate(points):
                if point is None:
                    continue
                x, (value, low, high) = _LEFT + (k + 0.5 + aside) * step, point
                parts.append(
                    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}" '
                    f'stroke="{color}" stroke-width="2"></line>'
                    f'<circle cx="{x:.1f}" cy="{y(value):.1f}" r="4" fill="{color}"></circle>'
                )
            parts.append(
                f'<rect x="{legend:.0f}" y="10" width="14" height="4" fill="{color}"></rect>'
                f'<text x="{legend + 20:.0f}" y="16">{text(name)}</text>'
            )
            legend += 44 + 7 * len(name)
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDE} {_TALL}" role="img" '
            f'aria-label="{text(self.words)}">{"".join(parts)}</svg>'
        )
