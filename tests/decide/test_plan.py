"""Plans: what is decided, and what is tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from analytic import breast, ellipsoid, ground_of, seeded, small_bank
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import ATTEMPTS, RETRY_ENHANCEMENT, RETRY_HETEROGENEITY, Plan
from synbt_aug.host import Host
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.wish import Wish

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def planned(wish: Wish = OF_12_MM, seed: int = 0) -> Plan:
    plan = decide(ground_of(Host.of(breast())), wish, small_bank(), MARGIN, seeded(seed))
    assert isinstance(plan, Plan)
    return plan


def test_a_tumor_is_tried_three_times_with_other_noise_each_time() -> None:
    result: Plan | None = planned()
    seeds = []
    while result is not None:
        seeds.append(result.recipe.noise_seed)
        result = result.retry()
    assert len(seeds) == len(set(seeds)) == ATTEMPTS == 3


def test_a_retry_asks_for_a_brighter_and_more_even_tumor_at_the_same_place() -> None:
    first = planned()
    second = first.retry()
    assert second is not None and second.label is first.label
    before, after = first.recipe.appearance, second.recipe.appearance
    assert before.enhancement is not None and before.heterogeneity is not None
    assert after == replace(
        before,
        enhancement=before.enhancement + RETRY_ENHANCEMENT,
        heterogeneity=before.heterogeneity * RETRY_HETEROGENEITY,
    )
    again = replace(second.recipe, appearance=before)
    assert again == first.recipe.with_noise(second.recipe.noise_seed)


def test_a_contrast_that_was_asked_for_is_kept_in_a_retry() -> None:
    wish = Wish(diameter_mm=12.0, appearance=Appearance(enhancement=0.3))
    second = planned(wish).retry()
    assert second is not None and second.recipe.appearance.enhancement == 0.3


def test_a_heterogeneity_that_was_asked_for_is_kept_in_a_retry() -> None:
    wish = Wish(diameter_mm=12.0, appearance=Appearance(heterogeneity=0.3))
    second = planned(wish).retry()
    assert second is not None and second.recipe.appearance.heterogeneity == 0.3
    # A contrast that was not asked for still rises.
    before, after = planned(wish).recipe.appearance, second.recipe.appearance
    assert (after.enhancement or 0) > (before.enhancement or 0)


@pytest.mark.parametrize("own, retried", [(19.9, 20.0), (20.0, 20.0)])
def test_a_retry_asks_for_no_contrast_that_no_tumor_has(own: float, retried: float) -> None:
    first = planned()
    bright = replace(first.recipe, appearance=Appearance(enhancement=own))
    second = replace(first, recipe=bright).retry()
    assert second is not None and second.recipe.appearance.enhancement == retried


def test_a_null_paint_is_tried_once() -> None:
    assert planned(Wish("null", diameter_mm=12.0)).retry() is None
