from __future__ import annotations

import re

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.report.interval_chart import IntervalChart


def test_a_point_stands_at_its_value_between_the_ends_of_its_interval() -> None:
    chart = IntervalChart(["8", "20"], {"a": [(0.5, 0.25, 1.0), None]}, "mm", "words", (0.0, 1.0))
    svg = chart.html()
    ((x1, y1, y2),) = re.findall(r'<line x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"', svg)
    ((cx, cy),) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert cx == x1
    low, value, high = float(y1), float(cy), float(y2)
    # Pixels count downwards: .25 is as far below .5 as half of 1 is above it.
    assert low - value == pytest.approx((value - high) / 2, abs=0.2)


def test_series_stand_side_by_side() -> None:
    points = [(0.5, 0.4, 0.6)]
    svg = IntervalChart(["8"], {"a": points, "b": points}, "mm", "words").html()
    first, second = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg))
    assert first < second


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(SynBTError, match="at least one point"):
        IntervalChart(["8"], {"a": [None]}, "mm", "words")
    with pytest.raises(SynBTError, match="one point of each series for each place"):
        IntervalChart(["8", "20"], {"a": [None]}, "mm", "words")
