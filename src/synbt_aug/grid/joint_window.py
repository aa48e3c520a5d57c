"""A window enlarged to a larger shape, so that windows of different shapes go through as one batch.

The larger window begins a whole number of host voxels before the smaller one, which is a whole
number of its own voxels of 1 mm, too: what was drawn in the smaller is not resampled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from synbt_aug.grid.window import Shape, Window

#: A host voxel's corner lies this near to one of 1 mm, in mm, or the two grids do not meet there.
_SAME_MM = 1e-3


def joint_shape(shapes: Sequence[Shape]) -> Shape:
    """The smallest shape that holds each; of listed sides, if theirs are."""
    d, h, w = (max(sides) for sides in zip(*shapes, strict=True))
    return d, h, w


def enlarged(window: Window, shape: Shape) -> Window:
    """A window of another shape around this one, which lies in its middle where grids allow it.

    Args:
        window: As it was decided.
        shape: At least as long along each axis.
    """
    origin = []
    for first, side, more, mm in zip(
        window.origin, window.shape, shape, window.spacing, strict=True
    ):
        # With voxels of .7 mm, seven of them: at the end of the axis where there are none such.
        most = int((more - side) / 2 / mm + _SAME_MM)
        before = next(k for k in range(most, -1, -1) if _whole_mm(k * mm))
        origin.append(first - before)
    return Window((origin[0], origin[1], origin[2]), shape, window.spacing)


def place_in(inner: Window, outer: Window) -> tuple[slice, slice, slice] | None:
    """Voxels of the outer window, of 1 mm, that are the inner one's; None where it is not inside.

    Args:
        inner: As it was decided.
        outer: By `enlarged`, or read from a recipe.
    """
    if inner.spacing != outer.spacing:
        return None
    place = []
    for first, begins, side, more, mm in zip(
        inner.origin, outer.origin, inner.shape, outer.shape, inner.spacing, strict=True
    ):
        before_mm = (first - begins) * mm
        start = round(before_mm)
        if not _whole_mm(before_mm) or start < 0 or start + side > more:
            return None
        place.append(slice(start, start + side))
    return place[0], place[1], place[2]


def widened(field: Tensor, place: Sequence[slice], shape: Shape, outside: float) -> Tensor:
    """A field in a larger grid.

    Args:
        field: Shape `(..., d, h, w)`, float or boolean.
        place: Of the field in the larger grid.
        shape: Of the larger grid.
        outside: Value where nothing is known.

    Returns:
        Shape `(..., *shape)`, type and device of the field.
    """
    beyond = [
        gap
        for part, length in zip(reversed(place), reversed(shape), strict=True)
        for gap in (part.start, length - part.stop)
    ]
    return F.pad(field, beyond, value=outside)


def region_place(inner: Window, outer: Window) -> tuple[slice, slice, slice]:
    """Host voxels under the inner window, among those under the outer one."""
    d, h, w = (
        slice(first - begins, first - begins + length)
        for first, begins, length in zip(
            inner.origin, outer.origin, inner.region_shape, strict=True
        )
    )
    return d, h, w


def _whole_mm(mm: float) -> bool:
    return abs(mm - round(mm)) < _SAME_MM
