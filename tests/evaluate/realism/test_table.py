from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from synbt_aug.evaluate.realism.figures import TARGETS, Figure, Group, Target, missed
from synbt_aug.evaluate.realism.table import (
    distances_section,
    row_of,
    summary,
    to_markdown,
    write_tables,
)
from synbt_aug.page import Paragraph, Section

GOOD = Figure("AUC", 0.6, Target(high=0.75), (0.5, 0.7))
SHORT = Figure("PSNR", 28.0, Target(low=30), unit="dB", digits=1)
BESIDE = Figure("FID | of noise", 3.0, note="5 + 5 windows")
GROUPS = [Group("First", (GOOD, SHORT), "What it is."), Group("Second", (BESIDE,))]


@pytest.mark.parametrize(
    ("target", "inside", "outside", "words"),
    [
        (Target(high=0.75), 0.75, 0.76, "at most 0.75"),
        (Target(low=30), 30, 29.99, "at least 30"),
        (Target(0.9, 1.1), 1.1, 0.89, "0.9 to 1.1"),
    ],
)
def test_a_target_holds_its_limits(
    target: Target, inside: float, outside: float, words: str
) -> None:
    assert target.reached(inside)
    assert not target.reached(outside)
    assert not target.reached(math.nan)
    assert target.words() == words


def test_targets_are_open_on_one_side_at_most() -> None:
    assert all(t.low is not None or t.high is not None for t in TARGETS.values())


def test_what_could_not_be_measured_is_short_of_its_target() -> None:
    unknown = Figure("rim", math.nan, Target(low=0.8))
    assert unknown.shown == "not measured"
    assert missed([Group("g", (unknown, GOOD, BESIDE))]) == [unknown]
    assert unknown.to_dict()["value"] is None
    assert "NaN" not in json.dumps(unknown.to_dict())


def test_a_row_says_value_interval_target_and_verdict() -> None:
    assert row_of(GOOD) == ("AUC", "0.60 (0.50 to 0.70)", "at most 0.75", "yes", "")
    assert row_of(SHORT) == ("PSNR", "28.0 dB", "at least 30", "no", "")
    assert row_of(BESIDE)[2:] == ("", "", "5 + 5 windows")


def test_a_figure_in_doubt_reaches_nothing_and_says_why() -> None:
    doubtful = Figure("AUC", 0.6, Target(high=0.75), doubt="controls failed")
    assert doubtful.reached is False
    assert row_of(doubtful)[3] == "does not count: controls failed"
    assert "AUC, 0.60 (does not count: controls failed)" in summary([Group("g", (doubtful,))])
    assert row_of(Figure("FID", 0.6, doubt="controls failed"))[3] == ""


def test_the_summary_counts_targets_alone() -> None:
    assert summary(GROUPS) == "1 of 2 targets reached. Short of: PSNR, 28.0 dB."
    assert summary([Group("g", (GOOD,))]) == "1 of 1 targets reached."


def test_markdown_has_a_row_for_each_figure() -> None:
    words = to_markdown("Realism", GROUPS, {"seed": 3})
    assert "| AUC | 0.60 (0.50 to 0.70) | at most 0.75 | yes |  |" in words
    assert "| FID \\| of noise |" in words
    assert words.startswith("# Realism\n\n1 of 2 targets")
    assert "- seed: 3" in words


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    section = distances_section({"ours": {"a": 0.1, "b": 0.4}, "real": {"a": 0.1, "b": 0.1}})
    page, markdown = write_tables(tmp_path, "R", GROUPS, {"x<y": 1}, [section], ["Few windows."])
    html = page.read_text()
    assert "http" not in html and "<script" not in html
    assert "x&lt;y" in html and "Few windows." in html and "at most 0.75" in html
    # The feature that is farthest apart comes first.
    assert html.index(">b<") < html.index(">a<")
    assert "**Few windows.**" in markdown.read_text()
    assert "| b | 0.40 | 0.10 |\n| a | 0.10 | 0.10 |" in markdown.read_text()


def test_markdown_leaves_out_sections_without_a_table() -> None:
    pictures = Section("Pictures", [Paragraph("Look.")])
    words = to_markdown("R", GROUPS, {}, [pictures, distances_section({"ours": {"a|b": 0.1}})])
    assert "Pictures" not in words and "Look." not in words
    assert "## Radiomics, feature by feature" in words and "| a\\|b | 0.10 |" in words
