from __future__ import annotations

import math

import pytest

from synbt_aug.adapt.keeping import EVEN, JUDGED_BY, LOST, MEASURES, WON, change, is_kept, verdict

SAME = {name: 1.0 for name in MEASURES}


@pytest.mark.parametrize(
    ("name", "after", "expected"),
    [
        ("tissue_db", 1.2, 1),
        ("tissue_db", 0.8, -1),
        ("tissue_db", 1.05, 0),
        ("off", 0.9, 1),
        ("off", 1.1, -1),
        ("off", 1.01, 0),
    ],
)
def test_a_figure_moves_only_beyond_its_margin_and_each_in_its_own_direction(
    name: str, after: float, expected: int
) -> None:
    assert change(name, 1.0, after) == expected


def test_a_figure_that_could_no_longer_be_measured_is_worse_and_one_that_now_can_is_better() -> (
    None
):
    assert change("auc", 0.9, math.nan) == -1
    assert change("auc", math.nan, 0.9) == 1
    assert change("auc", math.nan, math.nan) == 0


def test_more_better_than_worse_wins_as_many_is_even_and_fewer_loses() -> None:
    won = {**SAME, "tissue_db": 2.0, "tumor_db": 2.0, "grain": 2.0}
    assert verdict("decoder", SAME, won) == WON
    even = {**SAME, "tissue_db": 2.0, "grain": 2.0}
    assert verdict("decoder", SAME, even) == EVEN
    assert verdict("decoder", won, SAME) == LOST


def test_a_part_is_judged_by_what_it_changes_alone() -> None:
    # A codec is not to blame for shapes, nor a bank for how tissue is rebuilt.
    assert verdict("decoder", SAME, {**SAME, "ks_shape": 0.0}) == EVEN
    assert verdict("bank", SAME, {**SAME, "tissue_db": 9.0}) == EVEN
    assert {name for names in JUDGED_BY.values() for name in names} == set(MEASURES)


def test_networks_are_kept_if_they_won_and_the_bank_unless_it_lost() -> None:
    said = (WON, EVEN, LOST)
    assert [is_kept("decoder", one) for one in said] == [True, False, False]
    assert [is_kept("denoiser", one) for one in said] == [True, False, False]
    assert [is_kept("bank", one) for one in said] == [True, True, False]
