from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from synbt_aug.evaluate.realism.figures import TARGETS, UNJUDGED, Figure, Group, Target, judged_as
from synbt_aug.evaluate.realism.table import (
    distances_section,
    in_one_line,
    row_of,
    summary,
    to_markdown,
    write_tables,
)
from synbt_aug.report.page import Paragraph, Section

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


def test_what_could_not_be_measured_cannot_be_judged() -> None:
    unknown = Figure("rim", math.nan, Target(low=0.8))
    assert unknown.shown == "not measured"
    assert judged_as([Group("g", (unknown, GOOD, BESIDE))], UNJUDGED) == [unknown]
    assert row_of(unknown)[3] == "cannot be judged: not measured"
    found = unknown.to_dict()
    assert found["value"] is None and found["reached"] is None
    assert found["judged"] == "cannot be judged"
    assert "NaN" not in json.dumps(found)


def test_a_row_says_value_interval_target_and_verdict() -> None:
    assert row_of(GOOD) == ("AUC", "0.60 (0.50 to 0.70)", "at most 0.75", "yes", "")
    assert row_of(SHORT) == ("PSNR", "28.0 dB", "at least 30", "no", "")
    assert row_of(BESIDE)[2:] == ("", "", "5 + 5 windows")


@pytest.mark.parametrize("value", [0.6, 0.9])
def test_a_figure_in_doubt_is_neither_reached_nor_missed(value: float) -> None:
    doubtful = Figure("AUC", value, Target(high=0.75), doubt="controls failed")
    assert row_of(doubtful)[3] == "cannot be judged: controls failed"
    assert doubtful.to_dict()["reached"] is None
    assert doubtful.to_dict()["judged"] == "cannot be judged"
    says = in_one_line(doubtful)
    assert says == f"AUC: {value:.2f}  [at most 0.75: cannot be judged: controls failed]"
    # Not even without a target: it is read beside the others.
    assert row_of(Figure("FID", 0.6, doubt="controls failed"))[3].startswith("cannot be judged")


def test_where_no_target_can_be_judged_none_is_counted_as_missed() -> None:
    doubtful = Figure("AUC", 0.6, Target(high=0.75), doubt="controls failed")
    control = Figure("control", 0.6, Target(low=0.95), control=False)
    says = summary([Group("g", (doubtful, control))])
    assert says == "No target can be judged. Cannot be judged: AUC (controls failed)."
    says = summary([*GROUPS, Group("g", (doubtful,))])
    assert says.startswith("1 of 2 targets reached. Short of: PSNR, 28.0 dB. Cannot be judged: AUC")


def test_a_reason_is_told_once_for_all_that_it_holds_for() -> None:
    doubtful = [Figure(name, 0.6, Target(high=1), doubt="no control") for name in "AB"]
    says = summary([Group("g", (*doubtful, Figure("C", math.nan, Target(high=1))))])
    assert says.endswith("Cannot be judged: A, B (no control); C (not measured).")


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    words = to_markdown("t", [Group("g", (BESIDE, replace(BESIDE, note="")))], {})
    assert "| figure | measured | measured on |" in words
    words = to_markdown("t", [Group("g", (replace(BESIDE, note=""),))], {})
    assert "| figure | measured |\n" in words


def test_a_control_passes_or_fails_and_is_no_target() -> None:
    failed = Figure("syntumor", 0.6, Target(low=0.95), control=False)
    passed = Figure("real against real", 0.51, control=True)
    assert row_of(failed)[3] == "control failed" and row_of(passed)[3] == "control passed"
    assert in_one_line(failed) == "syntumor: 0.60  [at least 0.95: control failed]"
    assert in_one_line(passed) == "real against real: 0.51  [control passed]"
    assert summary([*GROUPS, Group("g", (failed, passed))]) == summary(GROUPS)
    assert failed.to_dict()["reached"] is None and failed.to_dict()["control"] is False


def test_a_figure_shows_digits_until_it_is_not_its_target() -> None:
    assert Figure("AUC", 0.7504, Target(high=0.75), digits=2).shown == "0.7504"
    assert Figure("AUC", 0.7496, Target(high=0.75), digits=2).shown == "0.7496"
    assert Figure("AUC", 0.75, Target(high=0.75), digits=2).shown == "0.75"
    assert Figure("bias", 0.0404, Target(-0.04, 0.04), digits=2).shown == "0.0404"


def test_the_summary_counts_targets_alone() -> None:
    assert summary(GROUPS) == "1 of 2 targets reached. Short of: PSNR, 28.0 dB."
    assert summary([Group("g", (GOOD,))]) == "1 of 1 targets reached."
    assert summary([Group("g", (BESIDE,))]) == "No figure has a target."


def test_markdown_has_a_row_for_each_figure() -> None:
    words = to_markdown("Realism", GROUPS, {"seed": 3})
    assert "| AUC | 0.60 (0.50 to 0.70) | at most 0.75 | yes |\n" in words
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
