"""Where a tumor may go, as numbers on a grid of about 2 mm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.tissue.landmarks import Landmarks
from synbt_aug.volume import Spacing


@dataclass(frozen=True)
class SiteMap:
    """Likely sites on a working grid, which covers the host's box exactly.

    Args:
        weight: Unnormalised probability of a tumor's centre, shape `(d, h, w)`, float32, CPU.
        depth_mm: Distance to the edge of the allowed tissue, same shape, CPU; 0 outside it. The
            end of the volume is no edge.
        allowed: Where tumor may lie, boolean, same shape, CPU.
        factors: Host voxels a grid voxel, along each axis; host voxel i lies in grid voxel
            `floor((i + .5) / factor)`.
        spacing: The host's voxel size, in mm.
        reason: Why the weight is zero everywhere, "no site: ..."; None where it is not.
        landmarks: How its places lie in the breast; None where tissues are not known.
    """

    weight: Tensor
    depth_mm: Tensor
    allowed: Tensor
    factors: tuple[float, float, float]
    spacing: Spacing
    reason: str | None = None
    landmarks: Landmarks | None = None

    @property
    def grid_mm(self) -> tuple[float, float, float]:
        """Size of the grid's voxels, in mm."""
        d, h, w = (f * mm for f, mm in zip(self.factors, self.spacing, strict=True))
        return d, h, w

    def to_host(self, shape: tuple[int, int, int]) -> Tensor:
        """`allowed` on the host's grid, boolean, shape `shape`."""
        return self._at_host(self.allowed, shape)

    def weight_at_host(self, shape: tuple[int, int, int]) -> Tensor:
        """`weight` on the host's grid, float32, shape `shape`."""
        return self._at_host(self.weight, shape)

    def _at_host(self, fine: Tensor, shape: tuple[int, int, int]) -> Tensor:
        for axis, (factor, length) in enumerate(zip(self.factors, shape, strict=True)):
            index = ((torch.arange(length) + 0.5) / factor).floor().to(torch.long)
            fine = fine.index_select(axis, index.clamp_max(fine.shape[axis] - 1))
        return fine

    @classmethod
    def nowhere(
        cls,
        grid: tuple[int, int, int],
        factors: tuple[float, float, float],
        spacing: Spacing,
        reason: str,
    ) -> SiteMap:
        """A map without a site, and why."""
        nothing = torch.zeros(grid)
        return cls(nothing, nothing, nothing > 0, factors, spacing, reason)
