"""A recipe is held against what is to replay it, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.tumor.recipe import RECIPE_FORMAT
from synbt_aug.tumor.recipe_header import check_header

HERE: dict[str, Any] = {
    "weights": "w" * 64,
    "bank": "b" * 64,
    "texture": {"name": "syntumor"},
    "shape": (4, 5, 6),
    "spacing": (1.0, 1.0, 2.0),
}
RECIPE = {
    **HERE, "shape": [4, 5, 6], "spacing": [1.0, 1.0, 2.0], "format": RECIPE_FORMAT, "seed": 1,
    "reference": {}, "tumors": [],
}  # fmt: skip


def test_a_recipe_of_here_passes() -> None:
    check_header(RECIPE, **HERE)


@pytest.mark.parametrize("field", sorted(RECIPE))
def test_each_field_is_needed(field: str) -> None:
    with pytest.raises(SynBTError, match=f"this one lacks {field}"):
        check_header({k: v for k, v in RECIPE.items() if k != field}, **HERE)


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("weights", "x" * 64, "made with other weights .SHA-256 xxxxxxxxxxxx.*weights="),
        ("bank", "x" * 64, "another tumor bank .SHA-256 xxxxxxxxxxxx.*bank="),
        ("texture", {"name": "diffusion"}, "made with texture settings .*'diffusion'.*Pass the sa"),
        ("shape", [6, 5, 4], "for a volume of shape .6, 5, 4. and.*this one is .4, 5, 6."),
        ("spacing", [2.0, 1.0, 1.0], "needs the same scan in the same axis order"),
        ("format", 99, "is of format 99, this version reads format"),
        ("tumors", 3, "tumors of this one cannot be read"),
    ],
)
def test_what_differs_is_told(field: str, value: object, message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        check_header({**RECIPE, field: value}, **HERE)
