"""Which of the host's voxels a shape may change: decided with the shape, before it is painted."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import blend_weight, sphere_voxels
from synbt_aug.grid.support import ISLET_MM, ISLET_SHARE, NODULE_MM, islets, touched
from synbt_aug.grid.window import inside_host, to_region
from synbt_aug.tumor.recipe import unpack_mask

#: How often specks are looked for, while the surface moves outwards for those that went.
_ROUNDS = 3


def settled(plan: Plan, ground: Ground) -> Plan:
    """A plan with the host voxels that it may change.

    Those of other tumors and without signal stay as they are, and so do pieces of a tumor that
    nobody would see, which thick slices and other tumors cut off. The rest of a drawn shape grows
    by what thick slices took, unless it runs into what stays.
    """
    window = plan.recipe.window
    inside, box = window.inside_region(ground.shape), window.host_box(ground.shape)
    plan = replace(plan, shift_mm=_surface_shift_mm(plan, ground), free=None)
    blocked = ground.blocked()
    if blocked is not None and plan.recipe.kind == "removal" and plan.recipe.mask is not None:
        # What is removed is an existing tumor: it alone stops being blocked.
        blocked = blocked & ~unpack_mask(plan.recipe.mask, ground.shape)
    cut_off = blocked is not None and bool(blocked[box].any())
    if not (cut_off or plan.shift_mm):
        return plan
    free = plan.free_region(ground.shape)
    if blocked is not None:
        free[inside] &= ~blocked[box]
    if plan.recipe.kind == "tumor":
        reached = to_region(plan.distance, window)[inside] <= 0
        whole = blocked is None or not bool((blocked[box] & reached).any())
        drawn = plan.recipe.mask is None
        for _ in range(_ROUNDS):
            if not _drop_islets(free, plan) or not (drawn and whole):
                break
            # What thick slices cut off is made up for by what is left.
            plan = replace(plan, shift_mm=_surface_shift_mm(plan, ground, free))
    return replace(plan, free=free)


def _drop_islets(free: Tensor, plan: Plan) -> bool:
    """Take pieces that nobody would see out of what is free; whether there were any."""
    window, outlined = plan.recipe.window, plan.label.outline is not None
    spacing = window.spacing
    label = (blend_weight(to_region(plan.distance, window) - plan.shift_mm) >= 0.5) & free
    if not label.numel():
        return False
    smallest = sphere_voxels(NODULE_MM if outlined else ISLET_MM, spacing)
    specks = islets(label, smallest, ISLET_SHARE, corners=outlined)
    if specks is not None:
        around, left = touched(torch.stack([specks, label & ~specks]))
        free &= (~around | left) & ~specks
    return specks is not None


def _surface_shift_mm(plan: Plan, ground: Ground, free: Tensor | None = None) -> float:
    """How far resampling moves the surface, and what is not free: put back, the volume is right."""
    window, distance = plan.recipe.window, plan.distance
    if window.spacing == (1.0, 1.0, 1.0):
        return 0.0
    region = to_region(distance, window)
    if free is not None:
        region = region.masked_fill(~free, math.inf)
    on_host = region[window.inside_region(ground.shape)]
    if not on_host.numel():
        return 0.0
    # What overhangs the host is not to be made up for inside it.
    over_host = (distance <= 0) & inside_host(window, ground.shape, distance.device)
    wanted = round(int(over_host.sum()) / math.prod(window.spacing))
    wanted = min(max(wanted, 1), on_host.numel())
    shift = float(on_host.flatten().kthvalue(wanted).values)
    return shift if math.isfinite(shift) else plan.shift_mm
