"""What textures without networks read off a window: its surroundings, its structure, its grain.

Everything is in levels: `(to_linear(x) + 1) / 2`, 0 at the case's low reference and 1 at its high
one, before the knee. One window at a time: a tumor does not depend on its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.grid.mask import (
    BLEND_HALF_WIDTH_MM,
    blend_weight,
    gaussian,
    gaussian_mean,
    signed_distance_mm,
)
from synbt_aug.signal.hole import fill_hole
from synbt_aug.tumor.appearance import SHELL_MM

#: What varies within this many mm is the scan's grain, which stays.
GRAIN_SIGMA_MM = 0.8

#: Grain beyond this many robust SDs is structure: clipped where it is moved.
_GRAIN_SDS = 2.5


def level_of(linear: Tensor) -> Tensor:
    """Signal above `low` over the reference range, any shape."""
    return (linear + 1) / 2


def linear_of(level: Tensor) -> Tensor:
    """The inverse of `level_of`."""
    return level * 2 - 1


def smoothed(volume: Tensor, sigma: float, among: Tensor | None = None) -> Tensor:
    """A Gaussian mean, over the whole window or over the voxels of a mask.

    Args:
        volume: Shape `(2, d, h, w)`.
        sigma: In mm.
        among: What counts, boolean, not empty, shape `(d, h, w)`; far from it, its overall mean.

    Returns:
        Same shape.
    """
    if among is None:
        return gaussian_mean(volume, sigma)
    weight = among.to(volume.dtype)
    share = gaussian(weight, sigma)
    mean = gaussian(volume * weight, sigma) / share.clamp_min(1e-6)
    overall = volume[:, among].mean(1)[:, None, None, None]
    trust = (share / 1e-3).clamp(0, 1)
    return trust * mean + (1 - trust) * overall


class Surroundings:
    """One window's mask and what lies around it.

    Attributes:
        depth: Depth under the surface of the painted mask, in mm, negative outside; it is the
            label's plus 1 mm, shape `(d, h, w)`.
        label: What will be labelled, boolean.
        weight: The blend that painting ends in, in [0, 1].
        shell: Tissue 2-6 mm around the label, boolean.
    """

    def __init__(self, mask: Tensor, known: Tensor, reach_mm: float = 8.0) -> None:
        distance = signed_distance_mm(mask, limit_mm=max(reach_mm, SHELL_MM[1] + 1))
        # `Prepared.job` paints on the label and 1 mm around it.
        from_label = distance + BLEND_HALF_WIDTH_MM
        self.depth = -distance
        self.label = from_label <= 0
        if not bool(self.label.any()):
            self.label = mask
        self.weight = blend_weight(from_label)
        self.shell = (from_label >= SHELL_MM[0]) & (from_label <= SHELL_MM[1]) & known
        if int(self.shell.sum()) < 20:
            self.shell = known & ~mask if bool((known & ~mask).any()) else ~mask

    def mean_around(self, level: Tensor) -> Tensor:
        """Mean of the shell in each channel of a level, shape `(2, d, h, w)` -> `(2,)`."""
        return level[:, self.shell].mean(1)


def grain_of(level: Tensor) -> Tensor:
    """What varies from voxel to voxel, shape `(2, d, h, w)`."""
    return level - smoothed(level, GRAIN_SIGMA_MM)


def transplanted_grain(level: Tensor, hole: Tensor, known: Tensor) -> Tensor:
    """Grain for a hole, from healthy tissue of the same window: shifted, so that it stays grain.

    Args:
        level: Shape `(2, d, h, w)`.
        hole: What needs it, boolean, shape `(d, h, w)`.
        known: Healthy tissue outside the hole, boolean, shape `(d, h, w)`.

    Returns:
        Shape `(2, d, h, w)`, limited to what is grain; zero outside the hole.
    """
    healthy = known & ~hole
    grain = grain_of(level)
    among = grain[:, healthy if bool(healthy.any()) else ~hole]
    if among.shape[1] == 0 or not bool(hole.any()):
        return torch.zeros_like(level)
    middle = among.median(dim=1).values[:, None]
    spread = 1.4826 * (among - middle).abs().median(dim=1).values[:, None]
    best, moved = -1, grain
    for axis, side in enumerate(hole.shape):
        for shift in (side // 6, side // 4, side // 3, side // 2):
            for signed in (shift, -shift):
                there = torch.roll(healthy, signed, axis)
                count = int((there & hole).sum())
                if count > best:
                    best, moved = count, torch.roll(grain, signed, axis + 1)
    reach = (_GRAIN_SDS * spread)[..., None, None]
    limited = torch.maximum(torch.minimum(moved, reach), -reach)
    return torch.where(hole, limited, torch.zeros_like(limited))


def painted_away(level: Tensor, hole: Tensor, known: Tensor) -> Tensor:
    """A hole closed: filled smoothly from the tissue around, with the grain of that tissue.

    Args:
        level: Shape `(2, d, h, w)`.
        hole: Boolean, shape `(d, h, w)`.
        known: Tissue to fill from, boolean, shape `(d, h, w)`.
    """
    fill = fill_hole(level[None], hole[None], known[None])[0]
    return fill + transplanted_grain(level, hole, known)
