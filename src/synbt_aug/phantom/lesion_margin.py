"""How rough the margin of a mass is: bumps, teeth, and lobules with notches between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness, foam, grain, sample

#: Radius of a mass, in mm, below which it is a bent string of nodules rather than a body.
SMALL_MM = 7.0

#: How rough margins are beside each other.
ROUGHNESS = {"spiculated": 1.0, "irregular": 0.7, "circumscribed": 0.4}

#: Lobules over the mass's radius, their least and most size in mm, and how far they stand out.
LOBULE, LOBULE_MM = (0.4, 0.9), (6.0, 16.0)
CIRCUMSCRIBED_LOBULES, OTHER_LOBULES = (0.3, 1.0), (0.5, 1.7)

#: Depth of a foam's cells over their size, about the mean of what lies in one.
_MIDDLE = 0.2


def offsets_from(grid: Grid, site: np.ndarray) -> Tensor:
    """Offsets of the voxels from `site`, mm, shape `(X, Y, Z, 3)`."""
    parts = (c - float(s) for c, s in zip(grid.axes(), site))
    return torch.stack(torch.broadcast_tensors(*parts), dim=-1)


def roughness(grid: Grid, site: np.ndarray, radius: float, margin: str, rnd: Randomness) -> Tensor:
    """How far the margin moves outwards, mm: bumps of 3-7 mm, and teeth of 2-3 mm.

    Args:
        grid: What it lies on.
        site: Middle of the mass, mm.
        radius: Of the mass, mm.
        margin: A key of `ROUGHNESS`.
        rnd: Source of randomness.
    """
    strength = ROUGHNESS[margin] * rnd.lognormal(0.7, 0.45) * min(max(radius, 7.0), 18.0) / 10
    bumps = 0.6 * grid.smooth_noise(7.5, generator=rnd.fields)
    bumps = bumps + 0.25 * grid.smooth_noise(3.2, generator=rnd.fields)
    bumps = bumps + 0.2 * grain(grid, 0.9, generator=rnd.fields)
    if radius < SMALL_MM:
        # A smooth companion is a ball, which patients' satellites are not.
        return bumps
    offsets = offsets_from(grid, site)
    direction = offsets / offsets.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    knots = int(min(max(2 * radius / rnd.uniform(1.7, 3.0), 6), 32))
    texture = torch.randn(knots, knots, knots, generator=rnd.fields)
    teeth = sample(texture, *direction.unbind(-1)).clamp_min(0)
    return strength * (bumps + rnd.uniform(0.2, 1.6) * teeth)


def lobules(grid: Grid, surface: Tensor, radius: float, margin: str, rnd: Randomness) -> Tensor:
    """How far lobules move the margin outwards, mm; the notches between them, inwards.

    Large masses without them are plates with straight sides, which patients' are not.

    Args:
        grid: What it lies on.
        surface: Distance from the surface, mm, negative inside; shape of `grid`.
        radius: Of the mass, mm.
        margin: A key of `ROUGHNESS`.
        rnd: Source of randomness.
    """
    low, high = LOBULE_MM
    cell_mm = min(max(radius * rnd.uniform(*LOBULE), low), high)
    near = surface.abs() < cell_mm
    warp = [grid.smooth_noise(0.7 * cell_mm, generator=rnd.fields) for _ in range(3)]
    x, y, z = ((c + 0.2 * cell_mm * w)[near] for c, w in zip(grid.axes(), warp))
    variant = int(rnd.numbers.integers(3))
    walls = foam(variant, cell_mm, x, y, z, rnd.numbers.uniform(-0.5, 0.5, 3))
    # Some sides are lobulated, others plain.
    here = torch.sigmoid(2 * grid.smooth_noise(1.5 * cell_mm, generator=rnd.fields) + 0.5)[near]
    most = CIRCUMSCRIBED_LOBULES if margin == "circumscribed" else OTHER_LOBULES
    moved = torch.zeros_like(surface)
    # They fade from half a cell on to nothing: at a step necrosis would see a depth.
    fading = (2 - 2 * surface[near].abs() / cell_mm).clamp_max(1)
    moved[near] = rnd.uniform(*most) * here * fading * (walls - _MIDDLE * cell_mm)
    return moved
