"""Recipes that somebody tampered with: refused with a sentence, before anything large is made."""

from __future__ import annotations

import base64
import copy
import json
import math
import tracemalloc
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
import torch

from analytic import breast, ellipsoid, painter
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings

LUMP = ellipsoid(breast().shape, (34, 35, 37), (5, 6, 7))
KINDS = ["a posed tumor", "a given mask", "a distractor"]


@lru_cache(maxsize=3)
def recipe_text(kind: str) -> str:
    asked: dict[str, Any] = {
        "a posed tumor": {"diameter_mm": 8.0},
        "a given mask": {"tumor_mask": LUMP},
        "a distractor": {"kind": "distractor"},
    }[kind]
    result = painter()(breast(), seed=3, **asked)
    assert result.painted, result.reason
    return json.dumps(result.recipe)


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a recipe, dictionaries and lists among them."""
    if path:
        yield path
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from leaves(value, (*path, number))


def changed(recipe: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    recipe = copy.deepcopy(recipe)
    place: Any = recipe
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return recipe


@pytest.mark.parametrize(
    "value",
    [math.nan, 10**30, "text", None, {"a": 1}],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stands_in_a_recipe_is_painted_or_refused_with_a_sentence(
    kind: str, value: Any
) -> None:
    recipe = json.loads(recipe_text(kind))
    refused = 0
    for path in leaves(recipe):
        try:
            result = painter().replay(breast(), changed(recipe, path, value))
        except SynBTError as error:
            assert str(error).endswith((".", "`", ".json")), error
            refused += 1
        else:
            assert bool(torch.isfinite(result.image).all())
            outside = ~result.support
            assert torch.equal(result.image[:, outside], breast().image[:, outside])
    assert refused > 20


@pytest.mark.parametrize("recipe", [None, 3, "text", [], [{}]], ids=str)
def test_what_is_no_dictionary_is_told_so(recipe: Any) -> None:
    with pytest.raises(SynBTError, match=r"A recipe is a dictionary.* json.loads"):
        painter().replay(breast(), recipe)
    if recipe is not None:
        images, labels = breast().image[None], torch.zeros((1, 1, *breast().shape))
        with pytest.raises(SynBTError, match="A recipe is a dictionary"):
            SynBTInjector(InjectionSettings(), painter()).replay(images, labels, [recipe])


def mask_of(recipe: dict[str, Any]) -> dict[str, Any]:
    return recipe["tumors"][0]["mask"]


def assert_refused_without_much_memory(recipe: dict[str, Any], message: str) -> None:
    tracemalloc.start()
    with pytest.raises(SynBTError, match=message):
        painter().replay(breast(), recipe)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The analytic breast takes 2.3 MB; the bomb would take 300.
    assert peak < 30e6


def test_bits_that_unpack_to_more_than_their_box_are_not_unpacked() -> None:
    recipe = json.loads(recipe_text("a given mask"))
    bomb = zlib.compress(bytes(300_000_000), 9)
    assert len(bomb) < 400_000
    mask_of(recipe)["bits"] = base64.b64encode(bomb).decode()
    assert_refused_without_much_memory(recipe, "mask is damaged .its bits do not fill the box")
    mask_of(recipe)["bits"] = base64.b64encode(zlib.compress(b"\0", 9)).decode()
    assert_refused_without_much_memory(recipe, "mask is damaged .its bits do not fill the box")


@pytest.mark.parametrize("side", [1500, 10**9])
def test_masks_of_another_size_than_the_scan_s_are_not_made(side: int) -> None:
    recipe = json.loads(recipe_text("a given mask"))
    mask_of(recipe).update(shape=[side] * 3, box=[[0, side]] * 3)
    assert_refused_without_much_memory(recipe, rf"it has the shape \[{side}, .* the scan has \[56")
    recipe = json.loads(recipe_text("a given mask"))
    mask_of(recipe)["box"][0] = [0, side]
    assert_refused_without_much_memory(recipe, "its box .* does not lie in")


@pytest.mark.parametrize("kind", KINDS)
def test_windows_larger_than_any_of_ours_are_not_made(kind: str) -> None:
    recipe = json.loads(recipe_text(kind))
    for side in (0, 129, 10**6):
        recipe["tumors"][0]["window_mm"] = [64, side, 64]
        assert_refused_without_much_memory(recipe, f"window_mm needs a number .* got {side}")


@pytest.mark.parametrize("site", [[500, 0, 0], [0, -200, 0], [0, 0, 99_999]])
def test_a_site_outside_the_scan_is_refused(site: list[int]) -> None:
    for kind in KINDS:
        recipe = json.loads(recipe_text(kind))
        recipe["tumors"][0]["site"] = site
        with pytest.raises(SynBTError, match="site .* lies outside the scan, which has the shape"):
            painter().replay(breast(), recipe)


def test_more_things_than_any_scan_holds_are_refused() -> None:
    recipe = json.loads(recipe_text("a posed tumor"))
    recipe["tumors"] = recipe["tumors"] * 1001
    with pytest.raises(SynBTError, match="at most 1000 things, this one has 1001"):
        painter().replay(breast(), recipe)
