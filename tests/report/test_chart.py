from __future__ import annotations

import math
import re

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.report.chart import LineChart, nice_ticks


def _path_points(svg: str) -> list[list[tuple[float, float]]]:
    number = r"[ML](-?[\d.]+) (-?[\d.]+)"
    return [
        [(float(x), float(y)) for x, y in re.findall(number, path)]
        for path in re.findall(r'<path d="([^"]*)"', svg)
    ]


def test_a_line_that_rises_evenly_is_straight_and_goes_up() -> None:
    (points,) = _path_points(LineChart({"loss": [0, 1, 2]}, "epoch", "a line").html())
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.1) and x0 < x1
    # Downwards is positive in SVG.
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.1) and y0 > y1


def test_a_value_that_is_not_a_number_leaves_a_gap() -> None:
    svg = LineChart({"loss": [0.0, math.nan, 2.0, 1.0]}, "epoch", "a line").html()
    path = re.findall(r'<path d="([^"]*)"', svg)[0]
    assert path.count("M") == 2 and path.count("L") == 1 and "nan" not in svg


def test_a_single_value_is_a_point() -> None:
    svg = LineChart({"Dice": [0.5]}, "epoch", "a point").html()
    assert svg.count("<circle") == 1


def test_words_are_escaped_and_there_for_those_who_do_not_see() -> None:
    svg = LineChart({"a < b": [1.0]}, "epoch & more", 'the "curve"').html()
    assert "a &lt; b" in svg and "epoch &amp; more" in svg
    assert 'aria-label="the &quot;curve&quot;"' in svg


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(SynBTError, match="at least one finite value"):
        LineChart({"loss": [math.nan]}, "epoch", "nothing")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.3, 1.1, [-0.5, 0.0, 0.5, 1.0, 1.5]),
        (0.0, 47.0, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]),
    ],
)
def test_ticks_are_round_and_hold_all_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == ticks


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_equal_values_still_have_two_ticks_around_them(value: float) -> None:
    ticks = nice_ticks(value, value)
    assert len(ticks) >= 2 and ticks[0] <= value <= ticks[-1]
