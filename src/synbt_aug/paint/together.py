"""Which windows are painted together, and in what shape.

On a CPU arithmetic decides: windows of one shape make a batch, each as small as it may be. On an
accelerator launches do, whose number hardly grows with the windows and not with their size: all
windows of a batch are painted in the smallest shape that holds each. A tumor in a larger window
sees more around it and gets other noise, so its recipe keeps the window that it was painted in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.joint_window import enlarged, joint_shape, place_in, region_place, widened
from synbt_aug.host import Host

#: Window voxels that go through the networks together on a CPU: 8 windows of 64 mm, or 1 of
#: 128 mm. The decoder's widest layer holds 32 floats a voxel, twice: .5 GB.
VOXELS_ON_CPU = 8 * 64**3

#: The same on an accelerator: 2 windows of 128 mm, 1 GB. Both of a batch of two always fit.
VOXELS_ON_ACCELERATOR = 2 * 128**3


def joins_shapes(device: torch.device) -> bool:
    """Whether windows of different shapes are painted as one batch there."""
    return device.type != "cpu"


def batches(
    hosts: Sequence[Host], plans: Mapping[int, Plan], device: torch.device
) -> Iterator[list[int]]:
    """Keys of plans that are painted together: one kind of host, one texture.

    Args:
        hosts: By key.
        plans: By key.
        device: Where they are painted. On a CPU a batch has windows of one shape.
    """
    joins = joins_shapes(device)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k, plan in plans.items():
        window, image = plan.recipe.window, hosts[k].volume.image
        benign = plan.recipe.kind == "distractor"
        key = (window.spacing, len(image), image.dtype, image.device, benign)
        groups.setdefault(key if joins else (window.shape, *key), []).append(k)
    most = VOXELS_ON_ACCELERATOR if joins else VOXELS_ON_CPU
    for group in groups.values():
        # Large ones first, stably: those that share a batch are alike.
        group.sort(key=lambda k: -math.prod(plans[k].recipe.window.shape))
        batch: list[int] = []
        for k in group:
            shapes = [plans[one].recipe.window.shape for one in (*batch, k)]
            if batch and len(shapes) * math.prod(joint_shape(shapes)) > most:
                yield batch
                batch = []
            batch.append(k)
        yield batch


def joined(plans: Sequence[Plan]) -> list[Plan]:
    """Plans of one batch, each with the window that it is painted in where its own is smaller."""
    shape = joint_shape([plan.recipe.window.shape for plan in plans])
    found = []
    for plan in plans:
        own = plan.recipe.window
        larger = None if own.shape == shape else enlarged(own, shape)
        found.append(replace(plan, recipe=replace(plan.recipe, painted_in=larger)))
    return found


def laid_out(plan: Plan) -> Plan:
    """A plan in the window that it is painted in: its own, unless the recipe names a larger one."""
    own, larger = plan.recipe.window, plan.recipe.painted_in
    if larger is None:
        return plan
    place = place_in(own, larger)
    assert place is not None, "a recipe is looked at when it is read"
    label, free, signal = plan.label, plan.free, plan.signal
    return replace(
        plan,
        recipe=replace(plan.recipe, window=larger, painted_in=None),
        label=label.laid_out(place, larger.shape),
        # Nothing beyond the plan's own window is written to.
        free=None
        if free is None
        else widened(free, region_place(own, larger), larger.region_shape, False),
        signal=None if signal is None else widened(signal, place, larger.shape, 0.0),
    )
