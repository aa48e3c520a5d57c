"""A line chart as SVG, for a page without scripts: lines over whole numbers such as epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synbt_aug.errors import SynBTError
from synbt_aug.report.page import text

#: Told apart by most color-blind readers, on light and dark paper (after Okabe and Ito, 2008).
COLORS = ("#3b82c4", "#d55e00", "#009e73", "#b07aa1")
_WIDE, _TALL = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 34, 40


@dataclass(frozen=True)
class LineChart:
    """Lines over 0, 1, 2, ...; a part of a page's section.

    Args:
        lines: Name -> values, one for each whole number; nan leaves a gap.
        across: What the whole numbers are.
        words: What the chart shows, for those who do not see it.

    Raises:
        SynBTError: If there is nothing to draw.
    """

    lines: Mapping[str, Sequence[float]]
    across: str
    words: str

    def __post_init__(self) -> None:
        if not any(math.isfinite(v) for line in self.lines.values() for v in line):
            raise SynBTError("LineChart needs at least one finite value, got none.")

    def html(self) -> str:
        """As SVG."""
        finite = [v for line in self.lines.values() for v in line if math.isfinite(v)]
        ticks = nice_ticks(min(finite), max(finite))
        last = max(len(line) for line in self.lines.values()) - 1

        def x(k: int) -> float:
            return _LEFT + (_WIDE - _LEFT - _RIGHT) * (k / last if last else 0.5)

        def y(value: float) -> float:
            share = (value - ticks[0]) / (ticks[-1] - ticks[0])
            return _TALL - _BOTTOM - (_TALL - _BOTTOM - _TOP) * share

        parts = [
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y(t):.1f}" '
            f'y2="{y(t):.1f}"></line><text x="{_LEFT - 8}" y="{y(t) + 4:.1f}" '
            f'text-anchor="end">{t:g}</text>'
            for t in ticks
        ]
        step = max(1, math.ceil((last + 1) / 10))
        parts += [
            f'<text x="{x(k):.1f}" y="{_TALL - _BOTTOM + 18}" text-anchor="middle">{k}</text>'
            for k in range(0, last + 1, step)
        ]
        parts.append(
            f'<text x="{(_LEFT + _WIDE - _RIGHT) / 2:.0f}" y="{_TALL - 6}" '
            f'text-anchor="middle">{text(self.across)}</text>'
        )
        place = float(_LEFT)
        for (name, line), color in zip(self.lines.items(), COLORS * len(self.lines)):
            points = [(x(k), y(v)) if math.isfinite(v) else None for k, v in enumerate(line)]
            parts.append(
                f'<path d="{_path(points)}" fill="none" stroke="{color}" stroke-width="2"></path>'
            )
            parts += [
                f'<circle cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="3" fill="{color}"></circle>'
                for p in points
                if p is not None
            ]
            parts.append(
                f'<rect x="{place:.0f}" y="10" width="14" height="4" fill="{color}"></rect>'
                f'<text x="{place + 20:.0f}" y="16">{text(name)}</text>'
            )
            place += 44 + 7 * len(name)
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDE} {_TALL}" role="img" '
            f'aria-label="{text(self.words)}">{"".join(parts)}</svg>'
        )


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from below `low` to above `high`: steps of 1, 2 or 5 times a power of ten."""
    span = (high - low) or max(abs(high), 1.0)
    rough = span / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    drawn, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return " ".join(drawn)
