from __future__ import annotations

import csv
import json
from pathlib import Path

from some_scores import scores_of
from synbt_aug.evaluate.compare_methods import compare_methods
from synbt_aug.evaluate.methods_table import (
    EMPTY_MASKS,
    cautions,
    empty_masks_of,
    mean_rows,
    method_rows,
    shown,
    to_markdown,
    write_evaluation,
)
from synbt_aug.evaluate.segmentation import Interval, Scores, summarize

FACTS = {"references": "labelsTs", "seed": 0}


def _two() -> dict[str, Scores]:
    return {
        "plain": scores_of([0.0, 0.4, 0.5, 0.9], [None, 2.0, 2.0, 5.0]),
        "ours|new": scores_of([0.1, 0.4, 0.5, 1.0], [4.0, 2.0, 2.0, 0.0]),
    }


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_dice_has_three_digits_and_mm_have_two() -> None:
    value = Interval(0.71249, 0.5, 1.0, 9)
    assert shown(value, "dice") == "0.712 [0.500, 1.000]"
    assert shown(value, "hd95_mm") == "0.71 [0.50, 1.00]"
    assert shown(Interval(-0.1, -0.2, 0.05, 9), "dice", "+") == "-0.100 [-0.200, +0.050]"
    assert shown(None, "dice") == "–"


def test_a_method_is_one_row_with_its_empty_masks_counted() -> None:
    row = method_rows(_two())[0]
    assert row[0] == "plain" and row[1].startswith("0.450 [") and row[2].startswith("3.00 [")
    assert row[5:] == ("3 of 4", "1", "0", "0")
    assert empty_masks_of(_two()["plain"]) == "1 missed, 0 false alarm, 0 correctly empty"


def test_means_stand_one_below_another_with_their_cases() -> None:
    rows = mean_rows(_two())
    assert [row[0] for row in rows[:3]] == ["Dice", "Dice", "HD95, mm"]
    assert [row[1] for row in rows[:3]] == ["plain", "ours|new", "plain"]
    assert [row[3] for row in rows[:3]] == ["4 of 4", "4 of 4", "3 of 4"]


def test_the_markdown_states_the_policy_and_what_p_is() -> None:
    scores = _two()
    words = to_markdown("Two", scores, compare_methods(scores), FACTS)
    assert words.startswith("# Two\n\n") and EMPTY_MASKS in words
    assert "Holm's correction over the methods" in words and "- seed: 0" in words
    # Dice: gains of .1, 0, 0 and .1; distances over the three that both have: 0, 0 and -5.
    assert "| Dice | ours\\|new | +0.050 [" in words
    assert "| HD95, mm | ours\\|new | -1.67 [-5.00, +0.00] | 3 | 1 / 0 | 1.000 | 1.000 |" in words


def test_one_method_has_no_differences() -> None:
    scores = {"plain": scores_of([0.5, 0.6])}
    words = to_markdown("One", scores, compare_methods(scores), FACTS)
    assert "Differences" not in words and "[95 % interval" in words


def test_few_cases_and_empty_references_are_told() -> None:
    few = {"a": scores_of([0.1, 0.2]), "b": scores_of([0.2, 0.2])}
    said = " ".join(cautions(few, compare_methods(few)))
    assert "Of 2 cases an interval says little" in said and "no p below .05" in said
    many = {"a": scores_of([0.1] * 8), "b": scores_of([0.2] * 8)}
    assert cautions(many, compare_methods(many)) == []
    case = scores_of([0.5]).cases[0]
    empty = summarize([type(case)("x", 0.0, None, None, None, "false alarm", 1.0, 0.0)])
    assert cautions({"a": empty}, ())[0].startswith("No reference holds a tumor")


def test_files_hold_every_case_and_every_figure(tmp_path: Path) -> None:
    scores = _two()
    page = write_evaluation(tmp_path, "Two", scores, compare_methods(scores), FACTS)
    assert page.read_text(encoding="utf-8").startswith("# Two")
    cases = _read(tmp_path / "cases.csv")
    assert len(cases) == 8 and cases[0] == {
        "method": "plain", "case": "case00", "dice": "0.0", "hd95_mm": "", "asd_mm": "",
        "assd_mm": "", "kind": "missed", "predicted_ml": "1.0", "reference_ml": "2.0",
    }  # fmt: skip
    methods = _read(tmp_path / "methods.csv")
    assert [row["method"] for row in methods] == ["plain", "ours|new"]
    assert (methods[0]["dice_mean"], methods[0]["dice_count"]) == ("0.45", "4")
    assert (methods[0]["hd95_mm_mean"], methods[0]["hd95_mm_count"]) == ("3.0", "3")
    assert (methods[0]["missed"], methods[1]["missed"]) == ("1", "0")
    differences = _read(tmp_path / "differences.csv")
    assert [row["metric"] for row in differences] == ["dice", "hd95_mm", "asd_mm", "assd_mm"]
    assert (differences[0]["cases"], differences[0]["better"]) == ("4", "2")
    values = json.loads((tmp_path / "evaluation.json").read_text())
    assert values["facts"] == FACTS and values["methods"]["plain"]["counts"]["missed"] == 1
    assert values["comparisons"][0]["difference"]["count"] == 4


def test_what_no_case_has_stays_empty(tmp_path: Path) -> None:
    scores = {"a": scores_of([0.0], [None]), "b": scores_of([0.0], [None])}
    write_evaluation(tmp_path, "None", scores, compare_methods(scores), FACTS)
    method, difference = _read(tmp_path / "methods.csv")[0], _read(tmp_path / "differences.csv")[1]
    assert (method["assd_mm_mean"], method["assd_mm_count"]) == ("", "0")
    assert (difference["mean"], difference["cases"], difference["p"]) == ("", "0", "")


def test_a_second_evaluation_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    two, one = _two(), {"plain": _two()["plain"]}
    write_evaluation(tmp_path, "Two", two, compare_methods(two), FACTS)
    write_evaluation(tmp_path, "One", one, compare_methods(one), FACTS)
    assert _read(tmp_path / "differences.csv") == []
    assert {row["method"] for row in _read(tmp_path / "cases.csv")} == {"plain"}
