from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from synbt_aug.errors import ExtraMissingError
from synbt_aug.evaluate.slices import GROUPS, FeatureTable, compare_tables, control
from synbt_aug.evaluate.slices.comparison import told_apart


def table(count: int, seed: int, **shifted: float) -> FeatureTable:
    """Features of normal noise, some of them moved."""
    random = np.random.default_rng(seed)
    values = {name: random.normal(shifted.get(name, 0.0), 1, count) for name in GROUPS["all"]}
    return FeatureTable(tuple(map(str, range(count))), values)


def test_sets_of_one_distribution_are_not_told_apart() -> None:
    assert told_apart(table(60, 0), table(60, 1), GROUPS["shape"]) == pytest.approx(0.5, abs=0.15)


def test_one_feature_that_differs_tells_its_groups_apart_and_no_other() -> None:
    found = compare_tables("moved", table(60, 0), table(60, 1, rim=4.0))
    assert found.areas["lesion and ring"] > 0.95 and found.areas["all"] > 0.95
    assert found.areas["shape"] < 0.7 and found.areas["surroundings"] < 0.7
    assert found.distances["rim"] == max(found.distances.values()) > 0.8
    assert found.medians["rim"] == pytest.approx(4, abs=0.5)


def test_two_features_that_go_together_otherwise_are_told_apart_by_the_tree_alone() -> None:
    real, moved = table(80, 0), table(80, 1)
    real.values["pieces"][:] = real.values["holes"]
    moved.values["pieces"][:] = -moved.values["holes"]
    assert told_apart(real, moved, ["pieces", "holes"]) > 0.8
    assert max(told_apart(real, moved, [name]) for name in ("pieces", "holes")) < 0.65


def test_nan_is_no_obstacle_to_the_tree() -> None:
    real, moved = table(40, 0), table(40, 1, skin=5.0)
    for one in (real, moved):
        one.values["skin"][::3] = np.nan
    assert told_apart(real, moved, ["skin", "air"]) > 0.75


def test_a_feature_that_no_slice_has_is_left_to_the_others() -> None:
    real, moved = table(40, 0), table(40, 1, air=5.0)
    for one in (real, moved):
        one.values["skin"][:] = np.nan
    assert told_apart(real, moved, ["skin", "air"]) > 0.9
    assert np.isnan(told_apart(real, moved, ["skin"]))


def test_the_control_holds_one_half_against_the_other() -> None:
    found = control(table(21, 0))
    assert found.count == 10 and found.name == "real against real"
    assert 0 < found.median_distance(GROUPS["all"]) < 0.6


def test_the_median_distance_is_that_of_the_features_asked_for() -> None:
    found = compare_tables("moved", table(20, 0), table(20, 1))
    wanted = np.median([found.distances[name] for name in GROUPS["shape"]])
    assert found.median_distance(GROUPS["shape"]) == wanted


def test_sets_too_small_for_the_tree_have_no_area_whatever_they_are() -> None:
    found = compare_tables("few", table(60, 0), table(29, 1, rim=9.0))
    assert all(np.isnan(area) for area in found.areas.values())
    assert found.distances["rim"] > 0.9
    assert told_apart(table(60, 0), table(30, 1, rim=9.0), ["rim"]) > 0.95


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissingError, match=r"synbt-aug\[eval\]"):
        told_apart(table(40, 0), table(40, 1), GROUPS["shape"])
