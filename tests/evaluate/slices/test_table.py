from __future__ import annotations

from some_slices import grainy
from synbt_aug.evaluate.slices import GROUPS, compare_tables, control, measure_slices
from synbt_aug.evaluate.slices.table import digits, feature_rows, summary_rows, to_markdown


def test_the_table_has_a_row_a_feature_and_a_column_a_set() -> None:
    real = measure_slices([grainy(k) for k in range(12)])
    painted = measure_slices([grainy(k, radius=14) for k in range(20, 28)])
    compared = [compare_tables("painted", real, painted), control(real)]
    rows = feature_rows(real, compared)
    assert rows[0] == ("feature", "real", "painted: median, KS", "real against real: median, KS")
    assert [row[0] for row in rows[1:]] == list(GROUPS["all"])
    assert rows[1][1] == f"{real.median('compactness'):.3f}"
    summary = {row[0]: row[1:] for row in summary_rows(compared)}
    assert summary[""] == ("painted", "real against real")
    assert summary["slices"] == ("8", "6")
    wanted = compared[1].median_distance(GROUPS["shape"])
    assert summary["median KS, shape"][1] == f"{wanted:.3f}"
    # Discs in even tissue have no skin, and sets of 12 are too few for the tree.
    assert dict((row[0], row[2]) for row in rows)["skin"] == "-, -"
    assert summary["AUC, shape"] == ("-", "-")


def test_markdown_has_a_line_a_row_and_one_under_the_headings() -> None:
    assert to_markdown([("a", "b"), ("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n"


def test_a_number_that_is_not_there_is_a_dash() -> None:
    assert digits(float("nan")) == "-" and digits(0.12345) == "0.123"
