from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from synbt_aug.report.drawing import (
    ReadersAxes,
    bounds_of,
    draw_scale_bar,
    legend,
    stacked,
    wrapped,
)


def test_axes_are_turned_to_the_reader_s_without_a_copy() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    # x, the last axis, runs to the head; y to the front; z, the first axis, to the right.
    affine = np.array([[0, 0, 3.0, 0], [0, 2.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    turn = ReadersAxes((3.0, 2.0, 1.0), affine)
    turned = turn(volume)
    assert turn.spacing == (1.0, 2.0, 3.0) and turned.shape == (4, 3, 2)
    assert np.array_equal(turned, volume.transpose(2, 1, 0)[:, ::-1, ::-1])
    assert np.shares_memory(turned, volume)
    same = ReadersAxes((3.0, 2.0, 1.0), None)
    assert same.spacing == (3.0, 2.0, 1.0) and same(volume) is volume


def test_bounds_are_those_of_what_is_true() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:3, 4] = True
    assert bounds_of(mask) == (slice(1, 3), slice(4, 5))
    assert bounds_of(np.zeros((5, 6), bool)) == (slice(0, 5), slice(0, 6))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_scale_bar_is_as_long_as_its_millimetres(mode: str) -> None:
    picture = Image.new(mode, (100, 60), "grey")
    draw_scale_bar(picture, 2.5, 10)
    grey = np.asarray(picture.convert("L"))
    assert (grey == 255).sum() == 25 * 3
    assert (grey == 0).any()


def test_text_is_cut_between_words() -> None:
    text = "one two three four five six"
    lines = wrapped(text, 80)
    assert len(lines) > 1 and " ".join(lines) == text
    assert wrapped("", 80) == []


def test_a_legend_takes_a_second_line_where_one_is_too_short() -> None:
    entries = [((255, 0, 0), "the first meaning"), ((0, 255, 0), "the second meaning")]
    wide, narrow = legend(entries, "", 600), legend(entries, "", 180)
    assert narrow.height > wide.height
    for color in ((255, 0, 0), (0, 255, 0)):
        assert (np.asarray(narrow) == color).all(axis=-1).sum() == 13 * 13


def test_pictures_below_each_other_are_as_wide_as_the_widest() -> None:
    whole = stacked([Image.new("RGB", (10, 5)), Image.new("RGB", (20, 7))], gap=3)
    assert whole.size == (20, 15)
