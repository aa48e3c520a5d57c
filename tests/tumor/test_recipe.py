"""Recipes: JSON that keeps every number, and masks as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analytic import ellipsoid, examples, seeded, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.grid.window import Window, cube
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.placement import draw_pose
from synbt_aug.tumor.recipe import TumorRecipe, pack_mask, unpack_mask

SPACING = (0.7, 1.0, 1.3)


def recipe(kind: str = "tumor", seed: int = 5) -> TumorRecipe:
    return TumorRecipe(
        kind,
        Window((-3, 10, 20), cube(64), SPACING),
        seed,
        Appearance(enhancement=0.1 + 0.2, category="rim"),
        1 / 3 + 10,
        draw_pose(small_bank(), 10.0, seeded(seed)),
    )


@pytest.mark.parametrize("kind", ["tumor", "null", "removal"])
def test_a_recipe_survives_json_to_the_last_bit(kind: str) -> None:
    before = recipe(kind)
    assert TumorRecipe.from_dict(json.loads(json.dumps(before.to_dict())), SPACING) == before


def test_a_recipe_with_a_mask_survives_json() -> None:
    mask = ellipsoid((20, 20, 20), (10, 9, 11), (4, 5, 6))
    before = TumorRecipe("tumor", Window((0, 0, 0), cube(64), SPACING), 3, mask=pack_mask(mask))
    after = TumorRecipe.from_dict(json.loads(json.dumps(before.to_dict())), SPACING)
    assert after == before and after.mask is not None
    assert torch.equal(unpack_mask(after.mask, mask.shape), mask)


def test_other_noise_is_all_that_changes() -> None:
    changed = recipe().with_noise(99)
    assert changed.noise_seed == 99
    assert changed.with_noise(5) == recipe()


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("site"),
        lambda v: v.update(kind="cyst"),
        lambda v: v.update(site=[1, 2]),
        lambda v: v.update(noise_seed="many"),
        lambda v: v["appearance"].update(colour=1),
        lambda v: v["pose"].pop("flip"),
        lambda v: v["appearance"].update(rim=-1.0),
    ],
)
def test_a_changed_recipe_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    values = recipe().to_dict()
    change(values)
    with pytest.raises(SynBTError, match="this one cannot be read .*Pass an unchanged recipe.json"):
        TumorRecipe.from_dict(values, SPACING)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 999),
    share=st.floats(0.02, 1.0),
)
@examples(40)
def test_a_packed_mask_is_unpacked_as_it_was(
    shape: tuple[int, int, int], seed: int, share: float
) -> None:
    mask = torch.rand(shape, generator=seeded(seed)) < share
    mask[shape[0] // 2, 0, -1] = True
    assert torch.equal(unpack_mask(json.loads(json.dumps(pack_mask(mask))), shape), mask)


def test_a_packed_mask_is_small() -> None:
    mask = ellipsoid((192, 192, 128), (96, 90, 60), (15, 15, 15))
    assert len(json.dumps(pack_mask(mask))) < 5000


@pytest.mark.parametrize(
    "change",
    [
        {"bits": "no base 64!"},
        {"bits": "AAAA"},
        {"box": [[0, 1], [0, 1]]},
        {"box": [[0, 99], [0, 99], [0, 99]]},
        {"shape": None},
    ],
)
def test_a_damaged_mask_is_refused(change: dict[str, object]) -> None:
    packed = {**pack_mask(ellipsoid((9, 9, 9), (4, 4, 4), (3, 3, 3))), **change}
    with pytest.raises(SynBTError, match="The recipe's mask is damaged .*Pass an unchanged one"):
        unpack_mask(packed, (9, 9, 9))
