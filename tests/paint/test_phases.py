"""Further phases of painted windows: the mix of pre and post, and that nothing waits for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import ellipsoid, ground_of, seeded, small_bank
from breast_series import series
from pretend_accelerator import PretendAccelerator
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.phases import UNEVEN_SD, Curves, Mix, mix_for
from synbt_aug.tumor.wish import Wish
from synbt_aug.write import write


def host_and_plan(seed: int = 0, kind: str = "tumor") -> tuple[Host, Plan]:
    host = Host.of(series(seed=seed))
    mask = ellipsoid(host.volume.shape, (34, 35, 37), (5, 6, 5))
    plan = decide(ground_of(host), Wish(kind, mask=mask), small_bank(), 2.0, seeded(seed))
    assert isinstance(plan, Plan)
    return host, plan


def linear_region(plan: Plan, *further: Tensor) -> tuple[Tensor, Tensor]:
    """A region whose further channels are given functions of random pre and post; and tissue."""
    shape = plan.recipe.window.region_shape
    pair = torch.randn((2, *shape), generator=seeded(1)) * 0.3
    rest = [one(pair) for one in further]  # type: ignore[operator]
    return torch.cat([pair, torch.stack(rest)])[None], torch.ones((1, *shape), dtype=torch.bool)


def mix_of(plans: list[Plan], linear: Tensor, around: Tensor) -> Mix:
    curves = Curves.of(plans, linear.shape[1] - 2)
    return mix_for(curves, plans[0].recipe.window, linear, around)


def test_a_tumor_shows_the_fraction_of_its_enhancement_that_its_curve_says() -> None:
    _, plan = host_and_plan()
    linear, around = linear_region(plan, lambda p: p[1], lambda p: p[1])
    mix = mix_of([plan], linear, around)
    curve = plan.recipe.curve
    assert curve is not None
    pair = torch.tensor([0.2, 2.2]).view(1, 2, 1, 1, 1).expand(1, 2, *linear.shape[2:])
    found = ((mix.of(pair) - 0.2) / 2.0)[0]
    assert found.flatten(1).mean(1).tolist() == pytest.approx(curve.fractions, abs=0.01)
    assert found.flatten(1).std(1).tolist() == pytest.approx([UNEVEN_SD] * 2, rel=0.05)
    # One pattern in all phases.
    ups = found - found.flatten(1).mean(1).view(-1, 1, 1, 1)
    assert torch.allclose(ups[0], ups[1], atol=1e-4)


def test_ordinary_tissue_takes_the_mix_of_the_tissue_around_it() -> None:
    _, plan = host_and_plan(kind="removal")
    linear, around = linear_region(
        plan, lambda p: 0.1 + 0.3 * p[0] + 0.8 * p[1], lambda p: p[1] - 0.2
    )
    mix = mix_of([plan], linear, around)
    assert torch.allclose(mix.of(linear[:, :2]), linear[:, 2:], atol=0.01)
    assert mix.of_pre.flatten().tolist() == pytest.approx([0.3, 0.0], abs=0.01)


def test_without_tissue_around_a_phase_is_as_post() -> None:
    _, plan = host_and_plan(kind="null")
    linear, around = linear_region(plan, lambda p: 3 * p[0], lambda p: -p[1])
    mix = mix_of([plan], linear, torch.zeros_like(around))
    assert torch.equal(mix.of(linear[:, :2]), linear[:, 1:2].expand(-1, 2, -1, -1, -1))


def test_tumors_and_ordinary_tissue_share_a_batch() -> None:
    (_, tumor), (_, null) = host_and_plan(), host_and_plan(kind="null")
    null = replace(null, recipe=replace(null.recipe, window=tumor.recipe.window))
    linear, around = linear_region(tumor, lambda p: 0.5 * p[1], lambda p: p[0])
    both, twice = linear.expand(2, -1, -1, -1, -1), around.expand(2, -1, -1, -1)
    together = mix_of([tumor, null], both, twice).of(both[:, :2])
    for row, plan in enumerate((tumor, null)):
        alone = mix_of([plan], linear, around).of(linear[:, :2])
        assert torch.allclose(together[row], alone[0], atol=1e-6)


def written_there(count: int) -> PretendAccelerator:
    """Write a batch of series on a pretend accelerator."""
    hosts, plans = map(list, zip(*(host_and_plan(k) for k in range(count)), strict=True))
    # What is made once and kept is not counted.
    write(Cut.of(hosts, plans), Cut.of(hosts, plans).linear, replaces=True)
    with PretendAccelerator() as there:
        for host in hosts:
            object.__setattr__(host.volume, "image", there.put(host.volume.image))
            vars(host).pop("floor", None)
        there.reset()
        windows = Cut.of(hosts, plans)
        write(windows, windows.linear, replaces=True)
    return there


def test_further_phases_are_not_waited_for_and_cost_a_larger_batch_cutting_and_storing() -> None:
    one, two = written_there(1), written_there(2)
    for there in (one, two):
        assert there.waits == [] and there.to_host == 0
    assert two.launches - one.launches <= 70
