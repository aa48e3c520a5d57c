"""The shape of a label in its window, with all distances that painting needs, found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import around, equivalent_diameter_mm, signed_distance_mm

#: Distances are cut off here, in mm: nothing that is painted or measured looks farther.
FARTHEST_MM = 10.0

#: Where the depth of voxels outside is cut off, in mm.
LEAST_DEPTH_MM = -8.0


@dataclass(frozen=True)
class LabelShape:
    """B shapes.

    Args:
        distance: Signed distance to the smooth surface of what will be labelled, in mm, negative
            inside, at most `FARTHEST_MM`, shape `(B, d, h, w)`.
        depth: Exact depth of the label's voxels, in mm, negative outside, at least
            `LEAST_DEPTH_MM`, same shape.
        radius_mm: Of the sphere with the label's volume, one a row; 0 without a label.
    """

    distance: Tensor
    depth: Tensor
    radius_mm: tuple[float, ...]

    @classmethod
    def of(cls, distance: Tensor) -> LabelShape:
        """Measure one shape.

        Args:
            distance: As above, shape `(d, h, w)`; measured on the CPU wherever it is.
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
        return cls(distance[None].clamp_max(FARTHEST_MM), depth, (radius_mm,))

    def to(self, device: torch.device) -> LabelShape:
        """The same on another device; what is all farthest outside is not copied there."""
        if device == self.distance.device or self.distance.device.type != "cpu":
            return replace(self, distance=self.distance.to(device), depth=self.depth.to(device))
        moved = []
        box = (slice(None), *self.box())
        for values, outside in ((self.distance, FARTHEST_MM), (self.depth, LEAST_DEPTH_MM)):
            there = torch.full(values.shape, outside, device=device)
            there[box] = values[box].contiguous().to(device, non_blocking=True)
            moved.append(there)
        return LabelShape(moved[0], moved[1], self.radius_mm)

    def box(self) -> tuple[slice, slice, slice]:
        """The part of the windows beyond which everything is farthest outside; on the CPU."""
        near = ((self.distance < FARTHEST_MM) | (self.depth > LEAST_DEPTH_MM)).any(0).numpy()
        box = []
        for axis in range(3):
            there = np.flatnonzero(near.any(axis=tuple(k for k in range(3) if k != axis)))
            box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, 0))
        return box[0], box[1], box[2]

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
        return cls(
            torch.cat([s.distance for s in shapes]),
            torch.cat([s.depth for s in shapes]),
            tuple(radius for s in shapes for radius in s.radius_mm),
        )
