"""Settings as they are typed: which names are known, and how text becomes values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.settings.reading import (
    from_section,
    from_variables,
    nearest,
    read_setting,
    type_setting,
)

REPOSITORY = Path(__file__).parents[2]
KINDS = {
    "probability": "float",
    "tumors": "int | WholeRange",
    "diameter_mm": "float | Range | None",
    "paint_over": "tuple[int, ...]",
    "only_tumor_free": "bool",
    "bank": "str | None",
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("probability", " 0.3 ", 0.3),
        ("tumors", "2", 2),
        ("tumors", "1:3", (1, 3)),
        ("diameter_mm", "10:30", (10.0, 30.0)),
        ("diameter_mm", "none", None),
        ("diameter_mm", "", None),
        ("paint_over", "2,3", (2, 3)),
        ("paint_over", "[2, 3]", (2, 3)),
        ("paint_over", "", ()),
        ("only_tumor_free", "Yes", True),
        ("bank", "a.npz", "a.npz"),
    ],
)
def test_text_becomes_a_value_of_the_setting_s_kind(name: str, text: str, value: Any) -> None:
    found = read_setting(name, text, KINDS[name])
    assert found == value and type(found) is type(value)


def test_what_json_holds_stays_as_it_is_and_lists_become_tuples() -> None:
    section = {"diameter_mm": [10, 30], "probability": 2.5, "bank": None, "num_epochs": 5}
    expected = {"diameter_mm": (10, 30), "probability": 2.5, "bank": None}
    assert from_section(section, KINDS) == expected


@pytest.mark.parametrize(
    ("name", "text", "needs"),
    [
        ("probability", "often", "a number, got 'often'"),
        ("tumors", "1:2.5", "a whole number, or a range such as 1:3, got '1:2.5'"),
        ("diameter_mm", "10-30", "a number, or a range such as 10:30, got '10-30'"),
        ("paint_over", "gland", "whole numbers, such as 2,3, got 'gland'"),
        ("only_tumor_free", "2", "true or false, got '2'"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_what_is_needed(
    name: str, text: str, needs: str
) -> None:
    with pytest.raises(SynBTError, match=re.escape(f"(SYNBT_{name.upper()}) needs {needs}.")):
        from_variables({f"SYNBT_{name.upper()}": text}, KINDS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("prob", "probability"), ("tumor", "tumors"), ("diametre_mm", "diameter_mm"), ("x", None)],
)
def test_the_nearest_name_is_the_only_one_that_begins_so_or_one_spelt_alike(
    name: str, meant: str | None
) -> None:
    assert nearest(name, KINDS) == meant


def test_a_setting_is_typed_as_it_is_read() -> None:
    for name, value in {"tumors": (1, 3), "diameter_mm": 7.5, "paint_over": (2, 3)}.items():
        assert read_setting(name, type_setting(value, KINDS[name]), KINDS[name]) == value


def test_every_variable_that_this_repository_reads_is_known() -> None:
    from synbt_aug_nnunet.settings import TrainerSettings

    files = [*(REPOSITORY / "benchmarks").rglob("*.py"), *(REPOSITORY / "src").rglob("*.py")]
    files += [*(REPOSITORY / "nnunet_trainer").rglob("*.py"), REPOSITORY / "tests/conftest.py"]
    # Quoted, as where it is read; not as in a sentence.
    names = {
        name for path in files for name in re.findall(r'"SYNBT_([A-Z_]+[A-Z])"', path.read_text())
    }
    assert {"NO_HOOK", "REAL_DATA", "NUM_EPOCHS"} <= names
    TrainerSettings.gather({}, {f"SYNBT_{n}": "1" for n in names - {"WEIGHTS", "BANK", "TISSUE"}})
