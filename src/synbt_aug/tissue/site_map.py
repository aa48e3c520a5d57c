"""Where a tumor may go, as numbers on a grid of about 2 mm."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synbt_aug.tissue.landmarks import Landmarks
from synbt_aug.tissue.masks import box_of, within
from synbt_aug.volume import Spacing

#: Tissue kept around tumors that are there already, in mm.
CLEARANCE_MM = 6.0


@dataclass(frozen=True)
class SiteMap:
    """Likely sites on a working grid, which covers the host's box exactly.

    Args:
        weight: Unnormalised probability of a tumor's centre, shape `(d, h, w)`, float32, CPU.
        allowed: Where tumor may lie, boolean, same shape, CPU.
        factors: Host voxels a grid voxel, along each axis; host voxel i lies in grid voxel
            `floor((i + .5) / factor)`.
        spacing: The host's voxel size, in mm.
        reason: Why the weight is zero everywhere, "no site: ..."; None where it is not.
        landmarks: How its places lie in the breast; None where tissues are not known.
    """

    weight: Tensor
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

    @property
    def gland_share(self) -> float | None:
        """Share of fibroglandular tissue where tumor may lie; None where tissues are not known."""
        if self.landmarks is None:
            return None
        gland, start = self.landmarks.gland, self.landmarks.start
        allowed = self.allowed[tuple(slice(s, s + n) for s, n in zip(start, gland.shape))]
        count = int(allowed.sum())
        return float((gland * allowed).float().sum()) / count if count else None

    def without(self, taken: Tensor) -> SiteMap:
        """The same away from what is taken, as from tumors that are there.

        Args:
            taken: On the host's grid, boolean, shape `(D, H, W)`, CPU.
        """
        if self.reason is not None or not bool(taken.any()):
            return self
        at = [
            ((index + 0.5) / factor).floor().long().clamp_max(n - 1)
            for index, factor, n in zip(
                taken.nonzero(as_tuple=True), self.factors, self.allowed.shape, strict=True
            )
        ]
        there = torch.zeros_like(self.allowed)
        there[at[0], at[1], at[2]] = True
        allowed = self.allowed & ~torch.from_numpy(near(there.numpy(), self.grid_mm))
        weight = torch.where(allowed, self.weight, 0.0)
        if not bool((weight > 0).any()):
            d, h, w = self.allowed.shape
            reason = "no site: existing tumors and forbidden places leave no room"
            return SiteMap.nowhere((d, h, w), self.factors, self.spacing, reason)
        return replace(self, weight=weight, allowed=allowed)

    def may_lie(self, place: np.ndarray) -> np.ndarray:
        """Whether tumor may lie at positions in host voxels, shape `(n, 3)` -> boolean `(n,)`."""
        cell = np.floor((np.rint(place) + 0.5) / np.array(self.factors)).astype(np.int64)
        grid = np.array(self.allowed.shape)
        inside = ((cell >= 0) & (cell < grid)).all(axis=1)
        d, h, w = cell.clip(0, grid - 1).T
        return np.asarray(inside & self.allowed.numpy()[d, h, w])

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
        return cls(nothing, nothing > 0, factors, spacing, reason)


def near(mask: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Voxels no farther than `CLEARANCE_MM` from a mask, which is not empty."""
    reach = [math.ceil(CLEARANCE_MM / mm) for mm in grid_mm]
    box = tuple(
        slice(max(s.start - r, 0), s.stop + r) for s, r in zip(box_of(mask), reach, strict=True)
    )
    found = np.zeros_like(mask)
    found[box] = within(mask[box], math.nextafter(CLEARANCE_MM, math.inf), grid_mm)
    return found
