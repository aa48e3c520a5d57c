"""Plans on their way from a loader's worker: bytes of a fixed number, as loaders stack tensors.

A shape takes most of the room. What lies far outside of it is left out, and a shape for which no
room is left is drawn again from its recipe by who paints. The bytes are a line of JSON, in which
recipes stand as in a file, and the arrays that it speaks of.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.errors import FAILURES, failure_reason
from synbt_aug.sample_plans import SamplePlans
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe

#: Length of the JSON line, which comes first.
_LENGTH = struct.Struct("<q")

#: What of a plan is JSON as it is.
_PLAIN = ("spare_seeds", "contrast_was_asked", "unevenness_was_asked", "satellite", "shift_mm")


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
    shaped = [k for k, one in enumerate(plans.things) if isinstance(one, Plan)]
    while True:
        content = _content(plans, shaped)
        if len(content) <= size:
            packed = np.zeros(size, np.uint8)
            packed[: len(content)] = np.frombuffer(content, np.uint8)
            return torch.from_numpy(packed)
        if not shaped:
            raise ValueError(f"Plans of {len(content)} bytes do not fit into {size}.")
        shaped.remove(max(shaped, key=lambda k: _voxels(plans.things[k])))


def unpack(packed: Tensor, shape_of: Callable[[TumorRecipe], LabelShape]) -> SamplePlans:
    """The plans that bytes hold.

    Args:
        packed: As `pack` gives them.
        shape_of: Draws the shape of a recipe, where it was left out.
    """
    content = packed.numpy()
    (length,) = _LENGTH.unpack(content[: _LENGTH.size].tobytes())
    start = _LENGTH.size + length
    values = json.loads(content[_LENGTH.size : start].tobytes())
    arrays = _Arrays(content[start:])
    things = tuple(_thing(one, arrays, shape_of) for one in values["things"])
    return SamplePlans(things, values["seed"], values["why_not"], values["passed_on"])


class _Arrays:
    """Arrays that follow the JSON, in its order."""

    def __init__(self, content: np.ndarray) -> None:
        self._content, self._at = content, 0

    def next(self, dtype: type, count: int) -> np.ndarray:
        """The next array's elements."""
        size = count * np.dtype(dtype).itemsize
        part = self._content[self._at : self._at + size]
        self._at += size
        return np.frombuffer(part.tobytes(), dtype)


def _content(plans: SamplePlans, shaped: list[int]) -> bytes:
    """The bytes of plans, of which some bring their shape."""
    things: list[object] = []
    arrays: list[np.ndarray] = []
    for k, one in enumerate(plans.things):
        if isinstance(one, LeftOut):
            failed = one.error is not None
            things.append([one.reason, one.kind, one.satellite, failed])
            continue
        values: dict[str, Any] = {name: getattr(one, name) for name in _PLAIN}
        values |= {"recipe": one.recipe.to_dict(), "spacing": one.recipe.window.spacing}
        values |= {"free": one.free is not None, "box": None}
        if one.free is not None:
            arrays.append(np.packbits(one.free.numpy()))
        if k in shaped:
            box = one.label.boxes()[0]
            values["box"] = [[s.start, s.stop] for s in box]
            values["radius_mm"] = one.label.radius_mm
            values["outside"] = [numbers[0] for numbers in one.label.outside()]
            arrays += [field[(0, *box)].numpy() for field in one.label.fields()]
        things.append(values)
    rest = {"seed": plans.seed, "why_not": plans.why_not, "passed_on": plans.passed_on}
    line = json.dumps({"things": things, **rest}).encode()
    parts = (np.ascontiguousarray(array).tobytes() for array in arrays)
    return b"".join((_LENGTH.pack(len(line)), line, *parts))


def _thing(
    values: Any, arrays: _Arrays, shape_of: Callable[[TumorRecipe], LabelShape]
) -> Plan | LeftOut:
    if isinstance(values, list):
        reason, kind, satellite, failed = values
        return LeftOut(reason, kind, satellite, RuntimeError(reason) if failed else None)
    recipe = TumorRecipe.from_dict(values["recipe"], values["spacing"])
    free = None
    if values["free"]:
        size = recipe.window.region_shape
        bits = arrays.next(np.uint8, -(-int(np.prod(size)) // 8))
        flat = np.unpackbits(bits, count=int(np.prod(size))).astype(bool)
        free = torch.from_numpy(flat).view(size)
    try:
        drawn = values["box"] is None
        label = shape_of(recipe) if drawn else _shape(values, recipe, arrays)
    except FAILURES as error:
        return LeftOut(failure_reason(error), recipe.kind, values["satellite"], error)
    plain = {name: values[name] for name in _PLAIN}
    plan = Plan(recipe, label, **plain)
    return replace(plan, spare_seeds=tuple(plan.spare_seeds), free=free)


def _shape(values: Mapping[str, Any], recipe: TumorRecipe, arrays: _Arrays) -> LabelShape:
    d, h, w = (slice(start, stop) for start, stop in values["box"])
    size = [s.stop - s.start for s in (d, h, w)]
    fields = []
    # Distance, depth and outline, the last one where there is one.
    for outside, kind in zip(values["outside"], (np.float32, np.float32, np.float16)):
        inside = torch.from_numpy(arrays.next(kind, int(np.prod(size))).copy()).view(size)
        field = torch.full((1, *recipe.window.shape), outside, dtype=inside.dtype)
        field[0, d, h, w] = inside
        fields.append(field)
    return LabelShape(fields[0], fields[1], tuple(values["radius_mm"]), *fields[2:])


def _voxels(one: Plan | LeftOut) -> int:
    """Of the part of a shape that travels."""
    if isinstance(one, LeftOut):
        return 0
    return int(np.prod([s.stop - s.start for s in one.label.boxes()[0]]))
