"""A tumor's shape in its window, with all distances that painting needs, found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.joint_window import widened
from synbt_aug.grid.mask import around, equivalent_diameter_mm, signed_distance_mm
from synbt_aug.grid.window import Shape
from synbt_aug.support.device import sent

#: Distances are cut off here, in mm: nothing that is painted or measured looks farther.
FARTHEST_MM = 10.0

#: Distances from the outline are cut off here, in mm, on both sides: the blend needs 1 mm of them
#: and resampling to coarse grids some more.
OUTLINE_MM = 4.0

#: Of a ragged edge, so much is not judged, in mm.
_EDGE_MM = 0.5

#: Where the depth of voxels outside is cut off, in mm.
LEAST_DEPTH_MM = -8.0


@dataclass(frozen=True)
class LabelShape:
    """B shapes.

    Args:
        distance: Signed distance to the smooth surface of the body, which a network paints and
            which is measured, in mm, negative inside, at most `FARTHEST_MM`, `(B, d, h, w)`.
        depth: Exact depth of the body's voxels, in mm, negative outside, at least
            `LEAST_DEPTH_MM`, same shape.
        radius_mm: Of the sphere with the body's volume, one a row; 0 without a label.
        outline: Signed distance to the surface of what will be labelled, with teeth, notches,
            strands and nodules that a network cannot paint, at most `OUTLINE_MM`, float16, same
            shape; None: the body's own.
    """

    distance: Tensor
    depth: Tensor
    radius_mm: tuple[float, ...]
    outline: Tensor | None = None

    @property
    def labelled(self) -> Tensor:
        """Signed distance to the surface of what will be labelled, float32, `(B, d, h, w)`."""
        return self.distance if self.outline is None else self.outline.to(torch.float32)

    @property
    def judged(self) -> Tensor:
        """Where a body is looked at to tell whether it shows, boolean, `(B, d, h, w)`.

        Strands are as faint as they are thin, and the outermost half millimetre of a ragged edge
        is half host by the blend, and less when it is smoothed.
        """
        body = self.distance <= 0
        return body if self.outline is None else body & (self.outline <= -_EDGE_MM)

    @classmethod
    def of(cls, distance: Tensor, outline: Tensor | None = None) -> LabelShape:
        """Measure one shape.

        Args:
            distance: Of the body, as above, shape `(d, h, w)`; measured on the CPU wherever it is.
            outline: As above, float32, shape `(d, h, w)`; None: the body's own.
        """
        label = (distance <= 0).cpu()
        depth = -signed_distance_mm(label)
        box = around(label, 1)
        if box is not None:
            inside = ndimage.distance_transform_edt(label[box].numpy())
            exact = torch.from_numpy(inside).to(torch.float32) - 0.5
            depth[box] = torch.where(label[box], exact, depth[box])
        radius_mm = equivalent_diameter_mm(int(label.sum())) / 2
        depth = depth[None].clamp_min(LEAST_DEPTH_MM).to(distance.device)
        if outline is not None:
            outline = outline[None].clamp(-OUTLINE_MM, OUTLINE_MM).to(torch.float16)
        return cls(distance[None].clamp_max(FARTHEST_MM), depth, (radius_mm,), outline)

    def to(self, device: torch.device) -> LabelShape:
        """The same on another device; what is all farthest outside is not copied there."""
        if device == self.distance.device or self.distance.device.type != "cpu":
            outline = None if self.outline is None else self.outline.to(device)
            moved = [self.distance.to(device), self.depth.to(device)]
            return LabelShape(moved[0], moved[1], self.radius_mm, outline)
        moved, boxes = [], self.boxes()
        for values, outside in zip(self.fields(), self.outside(), strict=True):
            there = torch.empty(values.shape, dtype=values.dtype, device=device)
            for row, (box, number) in enumerate(zip(boxes, outside, strict=True)):
                there[row].fill_(number)
                there[(row, *box)] = sent(values[(row, *box)], device)
            moved.append(there)
        return LabelShape(moved[0], moved[1], self.radius_mm, *moved[2:])

    def fields(self) -> list[Tensor]:
        """Distance, depth and outline, the last one where there is one."""
        return [self.distance, self.depth, *(() if self.outline is None else (self.outline,))]

    def outside(self) -> list[list[float]]:
        """What each of the fields is farthest outside, a number a row; on the CPU.

        Shapes cut their distances off at the limit that they need, each at its own.
        """
        far = [self.distance.flatten(1).amax(1), self.depth.flatten(1).amin(1)]
        if self.outline is not None:
            far.append(self.outline.flatten(1).amax(1))
        return [numbers.tolist() for numbers in far]

    def boxes(self) -> list[tuple[slice, slice, slice]]:
        """The part of each window beyond which everything is farthest outside; on the CPU."""
        boxes = []
        for row, far in enumerate(zip(*self.outside(), strict=True)):
            shaped = [f[row] != number for f, number in zip(self.fields(), far, strict=True)]
            boxes.append(_box_of(torch.stack(shaped).any(0)))
        return boxes

    def laid_out(self, place: Sequence[slice], shape: Shape) -> LabelShape:
        """The same inside larger windows; on the CPU.

        Args:
            place: Of the windows in the larger ones.
            shape: Of the larger ones.
        """
        distance, _, *outline = self.outside()
        # A small window ends before the depth does.
        ends = [distance, [LEAST_DEPTH_MM] * len(distance), *outline]
        fields = [
            torch.stack(
                [widened(row, place, shape, far) for row, far in zip(field, end, strict=True)]
            )
            for field, end in zip(self.fields(), ends, strict=True)
        ]
        return LabelShape(fields[0], fields[1], self.radius_mm, *fields[2:])

    def within(self, free: Tensor) -> LabelShape:
        """The part of the labels that lies where the host is free, boolean, `(B, d, h, w)`."""
        return replace(
            self,
            distance=torch.where(free, self.distance, self.distance.abs() + 1),
            depth=torch.where(free, self.depth, -self.depth.abs() - 1),
        )

    def where(self, has_label: Sequence[bool]) -> LabelShape:
        """The same with no radius, which means no label, in some rows."""
        radii = zip(self.radius_mm, has_label, strict=True)
        return replace(self, radius_mm=tuple(r if has else 0.0 for r, has in radii))

    @classmethod
    def join(cls, shapes: Sequence[LabelShape]) -> LabelShape:
        """One batch of several."""
        outline = None
        if any(s.outline is not None for s in shapes):
            outline = torch.cat(
                [
                    s.distance.clamp(-OUTLINE_MM, OUTLINE_MM).to(torch.float16)
                    if s.outline is None
                    else s.outline
                    for s in shapes
                ]
            )
        return cls(
            torch.cat([s.distance for s in shapes]),
            torch.cat([s.depth for s in shapes]),
            tuple(radius for s in shapes for radius in s.radius_mm),
            outline,
        )


def _box_of(near: Tensor) -> tuple[slice, slice, slice]:
    """Of a boolean mask, empty where nothing is True."""
    mask, box = near.numpy(), []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, 0))
    return box[0], box[1], box[2]
