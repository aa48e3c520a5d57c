"""What deciding sees of a host, and what is taken by what was decided."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from analytic import breast, ground_of, seeded, small_bank
from synbt_aug.decide.decide import decide
from synbt_aug.decide.ground import support_of
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.tissue.site_map import CLEARANCE_MM
from synbt_aug.tumor.wish import Wish


def slab(start: int, stop: int) -> Tensor:
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[start:stop] = True
    return mask


def planned(seed: int = 0) -> Plan:
    plan = decide(
        ground_of(Host.of(breast())), Wish(diameter_mm=10.0), small_bank(), 2.0, seeded(seed)
    )
    assert isinstance(plan, Plan)
    return plan


def test_what_must_stay_as_it_is_adds_up() -> None:
    tumor, forbidden, valid = slab(30, 34), slab(0, 9), ~slab(50, 56)
    assert ground_of(Host.of(breast())).blocked() is None
    known = Host.of(replace(breast(), tumor=tumor, forbidden=forbidden, valid=valid))
    blocked = ground_of(known).blocked()
    assert blocked is not None and torch.equal(blocked, tumor | forbidden | ~valid)
    hidden = ground_of(Host.of(replace(breast(), valid=valid))).blocked()
    assert hidden is not None and torch.equal(hidden, ~valid)


def test_what_was_decided_is_taken_and_the_next_keeps_off() -> None:
    ground, plan = ground_of(Host.of(breast())), planned()
    held = ground.holding(plan)
    assert ground.taken is None and held.taken is not None
    window = plan.recipe.window
    there = held.taken[window.host_box(ground.shape)]
    inside = window.inside_region(ground.shape)
    assert torch.equal(there, support_of(plan, ground.shape)[inside])
    blocked = held.blocked()
    assert blocked is not None and torch.equal(blocked, held.taken)
    allowed = held.sites().to_host(ground.shape)
    near = held.taken.nonzero().float()
    left = allowed.nonzero().float()
    # Of the working grid: half a voxel of 2 mm on either side.
    assert float(torch.cdist(left[::97], near).min()) > CLEARANCE_MM - 2.5
    for seed in range(4):
        second = decide(held, Wish(diameter_mm=8.0), small_bank(), 2.0, seeded(seed))
        assert isinstance(second, Plan)
        both = held.holding(second).taken
        assert both is not None
        apart = support_of(second, ground.shape)[second.recipe.window.inside_region(ground.shape)]
        assert int(both.sum()) == int(held.taken.sum()) + int(apart.sum())


def test_where_everything_is_taken_there_is_no_site() -> None:
    ground = replace(ground_of(Host.of(breast())), taken=slab(0, breast().shape[0]))
    sites = ground.sites()
    assert sites.reason == "no site: existing tumors and forbidden places leave no room"
    assert decide(ground, Wish(), small_bank(), 2.0, seeded()) == sites.reason
