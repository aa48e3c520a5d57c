"""A mask that is given: what is painted and labelled of it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import breast, ellipsoid, examples, ground_of, seeded, small_bank
from synbt_aug.decide.decide import decide, plan_of_recipe
from synbt_aug.decide.given_mask import shape_of_mask
from synbt_aug.decide.plan import Plan
from synbt_aug.grid.window import Window, cut, window_around
from synbt_aug.host import Host
from synbt_aug.tumor.fringe import Fringe
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.wish import Wish

MARGIN = 2.0


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def with_strand() -> Tensor:
    """The same with a strand of one voxel that leaves it on both sides."""
    mask = lump()
    mask[34, 35, 20:54] = True
    return mask


def of_mask(mask: Tensor, kind: str = "tumor", *, fringe: bool = True) -> Plan:
    wish = Wish(kind=kind, mask=mask)
    ground = ground_of(Host.of(breast()))
    plan = decide(ground, wish, small_bank(), MARGIN, seeded(0), fringe=fringe)
    assert isinstance(plan, Plan)
    return plan


def test_a_given_mask_keeps_what_no_network_can_paint() -> None:
    mask = with_strand()
    plan = of_mask(mask)
    asked = cut(mask.float(), plan.recipe.window) >= 0.5
    assert torch.equal(plan.distance <= 0, asked)
    body = plan.label.distance[0] <= 0
    assert int(body.sum()) == int(mask.sum()) and int((asked & ~body).sum()) > 10
    again = plan_of_recipe(ground_of(Host.of(breast())), plan.recipe, small_bank(), MARGIN)
    assert torch.equal(again.distance, plan.distance)


@pytest.mark.parametrize(("kind", "fringe"), [("tumor", False), ("null", True), ("removal", True)])
def test_what_is_no_tumor_in_the_host_s_place_is_a_body_alone(kind: str, fringe: bool) -> None:
    assert of_mask(lump(), kind, fringe=fringe).label.outline is None


@given(spacing=st.tuples(*[st.floats(0.6, 2.5)] * 3), soft=st.floats(0.0, 1.0))
@examples(20)
def test_the_volume_of_a_mask_is_kept_on_any_grid(
    spacing: tuple[float, float, float], soft: float
) -> None:
    shape = tuple(round(64 / mm) for mm in spacing)
    mask = ellipsoid(shape, (32, 32, 32), (7, 9, 11), spacing)
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2, (shape[2] - 1) / 2)
    window: Window = window_around(middle, (48, 48, 48), spacing)
    recipe = TumorRecipe("tumor", window, 0, fringe=Fringe(1, 0, 0, soft=soft))
    found = shape_of_mask(mask, recipe)
    wanted = int(mask.sum()) * math.prod(spacing)
    assert int((found.labelled <= 0).sum()) == pytest.approx(wanted, rel=0.05)
    assert int((found.distance <= 0).sum()) == int((found.labelled <= 0).sum())
