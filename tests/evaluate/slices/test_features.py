from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from some_slices import disc, grainy, slice_of
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.evaluate.slices import GROUPS, measure_slices, read_png_folder
from synbt_aug.evaluate.slices.tumor_slice import TumorSlice


@pytest.fixture(scope="module")
def independent() -> ModuleType:
    """The script that lies beside the real slices and measures 16 of the features, too."""
    folder = os.environ.get("SYNBT_REAL_SLICES")
    script = Path(folder or "nowhere") / "yardstick.py"
    if not script.is_file():
        pytest.skip("real slices and their script are not here (set SYNBT_REAL_SLICES)")
    spec = importlib.util.spec_from_file_location("yardstick", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_slice_has_every_feature_and_groups_name_those_that_exist() -> None:
    table = measure_slices([grainy(k) for k in range(3)])
    assert len(table) == 3 and table.names == ("patient 0", "patient 1", "patient 2")
    assert tuple(table.values) == GROUPS["all"]
    assert all(set(group) <= set(GROUPS["all"]) for group in GROUPS.values())
    assert len(GROUPS["lesion and ring"]) == 16
    assert all(values.shape == (3,) for values in table.values.values())


def test_a_slice_without_a_lesion_is_left_out_by_name() -> None:
    dark = TumorSlice("dark", np.ones((2, 80, 80)), (20, 60, 20, 60))
    table = measure_slices([grainy(0), dark, grainy(1)])
    assert table.names == ("patient 0", "patient 1") and table.left_out == ("dark",)


def test_a_set_without_any_lesion_is_an_error_that_says_what_to_look_at() -> None:
    with pytest.raises(SynBTError, match="none of 1 slices has one. Are pre and post in this"):
        measure_slices([TumorSlice("dark", np.ones((2, 80, 80)), (20, 60, 20, 60))])


def test_halves_share_no_slice_and_leave_none_out() -> None:
    table = measure_slices([grainy(k) for k in range(5)])
    first, second = table.every_other(0), table.every_other(1)
    assert first.names == table.names[::2] and second.names == table.names[1::2]
    np.testing.assert_array_equal(second.values["rim"], table.values["rim"][1::2])


def test_a_median_leaves_nan_out() -> None:
    table = measure_slices([slice_of(disc(radius)) for radius in (8, 10, 12)])
    table.values["rim"][:] = [1.0, np.nan, 3.0]
    assert table.median("rim") == 2.0
    table.values["rim"][:] = np.nan
    assert np.isnan(table.median("rim"))


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissingError, match=r"synbt-aug\[eval\]"):
        measure_slices([grainy(0)])


def test_real_slices_have_the_features_that_an_independent_script_measures(
    independent: ModuleType,
) -> None:
    slices = read_png_folder(os.environ["SYNBT_REAL_SLICES"])
    table = measure_slices(slices)
    theirs = list(independent.real())
    assert [name for name, _, _ in theirs] == [one.name for one in slices]
    expected, count = independent.table([(pair, box) for _, pair, box in theirs])
    assert count == len(table)
    assert set(expected) == set(GROUPS["lesion and ring"])
    for name, values in expected.items():
        np.testing.assert_allclose(table.values[name], values, rtol=1e-6, err_msg=name)
