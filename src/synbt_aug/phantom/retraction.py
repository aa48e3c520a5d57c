"""Retraction: the host's gland, ligaments and vessels pulled towards the place of a tumor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.gland import Gland
from synbt_aug.phantom.texture import Grid, Randomness, sample
from synbt_aug.phantom.tissue import Tissue

#: How far tissue at the tumor's border has come, over the distance from its middle.
PULL = (0.08, 0.32)

#: Reach of the pull beyond the tumor's radius, in mm.
BEYOND_MM = (3.0, 9.0)

#: Nothing moves in the skin and less than this far below it, in mm.
SKIN_MM = 8.0


def retract(anatomy: Anatomy, site: np.ndarray, radius_mm: float, rnd: Randomness) -> Anatomy:
    """The patient whose tissue is drawn in around a site, unevenly to different sides.

    Args:
        anatomy: Left as it is.
        site: In mm, shape `(3,)`.
        radius_mm: Of the tumor that will grow there.
        rnd: Source of randomness.
    """
    torso = anatomy.torso
    reach = radius_mm + rnd.uniform(*BEYOND_MM)
    strength = rnd.uniform(*PULL)
    folds = torch.randn(14, 14, 14, generator=rnd.fields)
    low = np.maximum(np.floor(torso.grid.index(site - 3 * reach)).astype(int), 0)
    high = np.minimum(np.ceil(torso.grid.index(site + 3 * reach)).astype(int) + 1, torso.grid.shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    box = (x, y, z)
    grid = torso.grid.crop(box)
    still = (torso.skin_depth[box] / SKIN_MM - 0.3).clamp(0, 1)
    still = still * (torso.chest_depth[box] < anatomy.fascia[box[0], :, box[2]] - 3)
    pull = _pull(grid, site, reach, strength, still, folds)

    glands = tuple(_pulled(gland, box, pull) for gland in anatomy.glands)
    vessels = anatomy.vessel_weight.clone()
    vessels[box] = pull.of(vessels[box])
    labels = anatomy.labels.clone()
    soft = torch.tensor([int(t) for t in (Tissue.FAT, Tissue.GLAND, Tissue.VESSEL)])
    there = labels[box]
    moved = pull.of(there.float(), mode="nearest").to(labels.dtype)
    both = torch.isin(there, soft) & torch.isin(moved, soft)
    labels[box] = torch.where(both, moved, there)
    return replace(anatomy, glands=glands, vessel_weight=vessels, labels=labels)


@dataclass(frozen=True)
class _Pull:
    """Which voxels of a box change, and where their tissue comes from.

    Args:
        voxels: Index into the flattened box, shape `(N,)`.
        source: Position as `grid_sample` wants it, shape `(N, 3)`.
    """

    voxels: Tensor
    source: Tensor

    def of(self, field: Tensor, mode: str = "bilinear") -> Tensor:
        """A field of the box after the pull; a new tensor."""
        read = F.grid_sample(
            field[None, None], self.source[None, None, None],
            mode=mode, padding_mode="border", align_corners=True,
        )  # fmt: skip
        after = field.clone(memory_format=torch.contiguous_format)
        after.view(-1)[self.voxels] = read.reshape(-1)
        return after


def _pull(
    grid: Grid, site: np.ndarray, reach: float, strength: float, still: Tensor, folds: Tensor
) -> _Pull:
    """`still` is 0 where nothing moves, 1 where nothing holds; shape of the grid."""
    voxels = torch.nonzero(still.reshape(-1) > 0)[:, 0]
    offsets = torch.stack(
        [(c - float(s)).expand(still.shape).reshape(-1)[voxels] for c, s in zip(grid.axes(), site)],
        dim=-1,
    )
    away = offsets.norm(dim=-1).clamp_min(1e-3)
    direction = offsets / away[:, None]
    uneven = (1 + 0.7 * sample(folds, *direction.unbind(-1))).clamp(0, 2)
    share = (strength * uneven).clamp_max(0.6) * torch.exp(0.5 - 0.5 * (away / reach) ** 2)
    from_mm = offsets * (share * still.reshape(-1)[voxels])[:, None]
    size = torch.tensor([float(max(n - 1, 1) * s) for n, s in zip(grid.shape, grid.spacing)])
    first = torch.tensor([float(c.reshape(-1)[0]) - float(s) for c, s in zip(grid.axes(), site)])
    here = 2 * (offsets - first) / size - 1
    return _Pull(voxels, (here + 2 * from_mm / size).flip(-1))


def _pulled(gland: Gland, box: tuple[slice, slice, slice], pull: _Pull) -> Gland:
    """The gland of one breast; what lies outside its box counts as nothing."""
    shared = [
        (max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(gland.box, box, strict=True)
    ]
    if any(stop <= start for start, stop in shared):
        return gland
    mine = tuple(slice(s - g.start, e - g.start) for (s, e), g in zip(shared, gland.box))
    theirs = tuple(slice(s - b.start, e - b.start) for (s, e), b in zip(shared, box))

    def pulled(field: Tensor) -> Tensor:
        whole = torch.zeros([b.stop - b.start for b in box])
        whole[theirs] = field[mine]
        after = field.clone()
        after[mine] = pull.of(whole)[theirs]
        return after

    return replace(gland, weight=pulled(gland.weight), lobule=pulled(gland.lobule))
