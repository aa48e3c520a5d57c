"""Plans on their way from a loader's worker: bytes of a fixed number, as loaders stack tensors.

A shape takes most of the room. What lies far outside of it is left out, and a shape for which no
room is left is drawn again from its recipe by who paints.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.errors import FAILURES, failure_reason
from synbt_aug.sample_plans import SamplePlans
from synbt_aug.tumor.label_shape import FARTHEST_MM, LEAST_DEPTH_MM, LabelShape
from synbt_aug.tumor.recipe import TumorRecipe

#: Length of the packed bytes, which comes first.
_LENGTH = struct.Struct("<q")


@dataclass(frozen=True)
class _PackedShape:
    """A label's shape without what is farthest outside."""

    window: tuple[int, ...]
    box: tuple[slice, slice, slice]
    distance: np.ndarray
    depth: np.ndarray
    radius_mm: tuple[float, ...]

    @classmethod
    def of(cls, shape: LabelShape) -> _PackedShape:
        box = shape.box()
        distance, depth = (v[(0, *box)].numpy().copy() for v in (shape.distance, shape.depth))
        return cls(tuple(shape.distance.shape), box, distance, depth, shape.radius_mm)

    def unpacked(self) -> LabelShape:
        distance = torch.full(self.window, FARTHEST_MM)
        depth = torch.full(self.window, LEAST_DEPTH_MM)
        distance[(0, *self.box)] = torch.from_numpy(self.distance)
        depth[(0, *self.box)] = torch.from_numpy(self.depth)
        return LabelShape(distance, depth, self.radius_mm)


@dataclass(frozen=True)
class _PackedPlan:
    plan: dict[str, Any]
    shape: _PackedShape | None
    free: tuple[tuple[int, ...], np.ndarray] | None

    @classmethod
    def of(cls, plan: Plan) -> _PackedPlan:
        free = None
        if plan.free is not None:
            free = tuple(plan.free.shape), np.packbits(plan.free.numpy())
        rest = {name: getattr(plan, name) for name in _AS_THEY_ARE}
        return cls(rest, _PackedShape.of(plan.label), free)

    def unpacked(self, shape_of: Callable[[TumorRecipe], LabelShape]) -> Plan:
        recipe = self.plan["recipe"]
        label = shape_of(recipe) if self.shape is None else self.shape.unpacked()
        free = None
        if self.free is not None:
            size, bits = self.free
            count = int(np.prod(size))
            flat = np.unpackbits(bits, count=count).astype(bool)
            free = torch.from_numpy(flat).view(size)
        return Plan(label=label, free=free, **self.plan)


_AS_THEY_ARE = ("recipe", "spare_seeds", "contrast_was_asked", "satellite", "shift_mm")


def pack(plans: SamplePlans, size: int) -> Tensor:
    """Plans as bytes.

    Args:
        plans: Of one sample; of textures that paste voxels, before these are looked up.
        size: Bytes wanted. Where they do not suffice for all shapes, the largest are left out.

    Returns:
        Shape `(size,)`, uint8.

    Raises:
        ValueError: If the plans do not fit even without their shapes.
    """
    rest = replace(plans, things=())
    things: list[_PackedPlan | LeftOut] = [
        _PackedPlan.of(one) if isinstance(one, Plan) else _sent(one) for one in plans.things
    ]
    while len(content := pickle.dumps((rest, things))) + _LENGTH.size > size:
        shaped = [k for k, one in enumerate(things) if _voxels(one)]
        if not shaped:
            raise ValueError(f"Plans of {len(content)} bytes do not fit into {size}.")
        largest = max(shaped, key=lambda k: _voxels(things[k]))
        things[largest] = _without_shape(things[largest])
    packed = np.zeros(size, np.uint8)
    whole = _LENGTH.pack(len(content)) + content
    packed[: len(whole)] = np.frombuffer(whole, np.uint8)
    return torch.from_numpy(packed)


def unpack(packed: Tensor, shape_of: Callable[[TumorRecipe], LabelShape]) -> SamplePlans:
    """The plans that bytes hold.

    Args:
        packed: As `pack` gives them, from one's own worker: they are not checked.
        shape_of: Draws the shape of a recipe, where it was left out.
    """
    content = packed.numpy()
    (length,) = _LENGTH.unpack(content[: _LENGTH.size].tobytes())
    rest, found = pickle.loads(content[_LENGTH.size : _LENGTH.size + length].tobytes())
    plans: SamplePlans = rest
    things: list[Plan | LeftOut] = []
    for one in found:
        try:
            things.append(one if isinstance(one, LeftOut) else one.unpacked(shape_of))
        except FAILURES as error:
            recipe, satellite = one.plan["recipe"], one.plan["satellite"]
            things.append(LeftOut(failure_reason(error), recipe.kind, satellite, error))
    return replace(plans, things=tuple(things))


def _sent(one: LeftOut) -> LeftOut:
    """The same with an error that pickles, whatever it was."""
    return one if one.error is None else replace(one, error=RuntimeError(one.reason))


def _voxels(one: _PackedPlan | LeftOut) -> int:
    """Of the shape that it brings along."""
    if isinstance(one, LeftOut) or one.shape is None:
        return 0
    return one.shape.distance.size


def _without_shape(one: _PackedPlan | LeftOut) -> _PackedPlan | LeftOut:
    return one if isinstance(one, LeftOut) else replace(one, shape=None)
