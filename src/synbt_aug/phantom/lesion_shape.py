"""The body of a mass: a heap of unequal lobes, a rough margin and necrosis.

Sizes in mm; a shape is drawn on any grid around `site`. What leaves the body is in
`lesion_fringe`, lesions that are no mass in `lesion_nonmass`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.lesion_fringe import Fringe, grow_fringe
from synbt_aug.phantom.lesion_margin import SMALL_MM, lobules, offsets_from, roughness
from synbt_aug.phantom.texture import Grid, Randomness

SPICULATED_SHARE = 0.45
HALO_MM = 9.0
#: How softly a body ends; a voxel of 1 mm averages over about .3.
SOFT_MM = (0.25, 0.6)
#: Distance to skin and muscle at which a body begins to turn away.
ROOM_MM = 5.0
LARGE_MM = 12.0  # radius
#: Corners between skin and muscle are rounded by this share of a body's radius.
ROUNDED = 0.20
IRREGULAR_SHARE = 0.35  # the rest is circumscribed


@dataclass(frozen=True)
class Shape:
    """Soft tumor and necrosis fields (0..1) on a grid, and the margin a reader would report."""

    weight: Tensor
    core: Tensor
    margin: str  # 'spiculated', 'irregular', 'circumscribed' or, of a non-mass lesion, ''


def draw_margin(rnd: Randomness) -> str:
    """'spiculated', 'irregular' or 'circumscribed'."""
    draw = rnd.numbers.random()
    if draw < SPICULATED_SHARE:
        return "spiculated"
    return "irregular" if draw < SPICULATED_SHARE + IRREGULAR_SHARE else "circumscribed"


def mass_shape(
    grid: Grid, site: np.ndarray, diameter_mm: float, host: Tensor, nipple: np.ndarray,
    *, room: Tensor, margin: str, rim: bool, rnd: Randomness,
) -> Shape:  # fmt: skip
    """A mass that creeps into the host's gland and sends strands along its ligaments.

    Args:
        grid: Box to draw on.
        site: Middle of the first lobe, mm, shape `(3,)`.
        diameter_mm: The body encloses the volume of a sphere of this diameter.
        host: Partial volume of gland and ligaments, shape of `grid`.
        nipple: Where the ducts lead, mm.
        room: Distance to skin, chest muscle and the breast's edge, mm, shape of `grid`; the body
            turns away from them.
        margin: See `draw_margin`.
        rim: Whether most of the inside is necrotic.
        rnd: Source of randomness.
    """
    radius = diameter_mm / 2
    surface = turned_away(_lobes(grid, site, radius, rnd), room, grid, rnd)
    surface = _rounded(surface, ROUNDED * radius, grid)
    surface = surface - enclosing_level(surface, diameter_mm, grid)
    surface = surface - roughness(grid, site, radius, margin, rnd)
    if radius >= SMALL_MM:
        surface = surface - lobules(grid, surface, radius, margin, rnd)
    creep = rnd.uniform(0.0, 1.0) if margin == "circumscribed" else rnd.lognormal(1.5, 0.6)
    surface = surface - min(creep, 5.0) * (host - 0.5)
    surface = surface - enclosing_level(surface, diameter_mm, grid)
    body = torch.sigmoid(-surface / rnd.uniform(*SOFT_MM))
    body = torch.maximum(body, _halo(grid, surface, rnd))
    core = _necrosis(grid, surface, radius, rim, rnd)
    fringe = FRINGE[margin]
    weight = torch.maximum(body, grow_fringe(grid, site, surface, host, nipple, fringe, rnd))
    return Shape(weight, core, margin)


#: How often a mass holds pockets of 2-6 mm that do not enhance.
POCKETS_SHARE = 0.85

#: What leaves the body, by margin: spicules, their lengths in mm, satellites, spread along ducts.
FRINGE = {
    "spiculated": Fringe((6, 24), (4.0, 26.0), satellites=44.0, duct_share=0.45),
    "irregular": Fringe((2, 12), (3.0, 18.0), satellites=36.0, duct_share=0.45),
    "circumscribed": Fringe((0, 4), (2.0, 12.0), satellites=12.0, duct_share=0.1),
}


def turned_away(surface: Tensor, room: Tensor, grid: Grid, rnd: Randomness) -> Tensor:
    """A surface that is rounded where it meets skin or muscle, in place of being cut.

    Args:
        surface: Distance from the surface, mm, negative inside; shape of `grid`.
        room: See `mass_shape`.
        grid: What both lie on.
        rnd: Source of randomness.
    """
    close = (ROOM_MM + 1.5 * grid.smooth_noise(12, generator=rnd.fields) - room).clamp_min(0)
    return surface + 0.12 * close**1.5


def _rounded(surface: Tensor, radius_mm: float, grid: Grid) -> Tensor:
    """A surface under a Gaussian of this SD, without its corners."""
    sigma = [radius_mm / s for s in grid.spacing]
    smooth = ndimage.gaussian_filter(surface.numpy(), sigma, mode="nearest", truncate=2.5)
    return torch.from_numpy(smooth)


def _halo(grid: Grid, surface: Tensor, rnd: Randomness) -> Tensor:
    """Scattered cells around the body, too few to count as tumor: gone 9 mm from the surface."""
    most = rnd.uniform(0.06, 0.30)
    share = most * (1 - surface.clamp_min(0) / HALO_MM).clamp_min(0) ** rnd.uniform(1.5, 3)
    # In nests and strands, not a glow; as much in every direction.
    nests = torch.exp(0.45 * grid.smooth_noise(4.0, generator=rnd.fields, octaves=2))
    return (share * nests / 1.1).clamp_max(0.40)


def enclosing_level(surface: Tensor, diameter_mm: float, grid: Grid) -> float:
    """Value that the field `surface` takes where it encloses a sphere's volume."""
    count = math.pi / 6 * diameter_mm**3 / math.prod(grid.spacing)
    kept = int(min(max(count, 3), surface.numel() // 2))
    return float(torch.kthvalue(surface.reshape(-1), kept).values)


def _lobes(grid: Grid, site: np.ndarray, radius: float, rnd: Randomness) -> Tensor:
    """Union of an ellipsoid in the middle and unequal ones around; mm, negative inside."""
    offsets = offsets_from(grid, site)
    # Small ones, such as companions, are bent strings of nodules rather than balls.
    small, large = radius < SMALL_MM, radius > LARGE_MM
    cell = max(4.5, radius) if small else max(9.0, 0.8 * radius)
    bend = [grid.smooth_noise(cell, generator=rnd.fields) for _ in range(3)]
    offsets = offsets + (0.35 if small else 0.14) * radius * torch.stack(bend, dim=-1)
    surface: Tensor | None = None
    # The larger, the more it is a heap of lobes rather than one with bumps.
    first = 0.5 if small else rnd.uniform(0.55, 0.85) if large else 0.85
    for lobe in range(int(rnd.numbers.integers(3 if small or large else 1, 11 if large else 6))):
        if lobe == 0:
            size, middle = first * radius, np.zeros(3)
        else:
            before, size = size, radius * rnd.uniform(0.2, 0.5 if small else 0.6)
            away = rnd.numbers.normal(size=3)
            away *= radius / np.linalg.norm(away)
            if small:
                middle = middle + away * 0.75 * (before + size) / radius
            else:
                middle = away * rnd.uniform(0.55, 1.05)
        # Sorted axis ratios of real tumors: 0.70 : 0.83 : 1.
        axes = np.exp(rnd.numbers.normal(0, 0.35 if small else 0.22, 3))
        axes /= axes.prod() ** (1 / 3)
        turn, _ = np.linalg.qr(rnd.numbers.normal(size=(3, 3)))
        into = torch.tensor(turn / axes, dtype=torch.float32)
        local = (offsets - torch.tensor(middle, dtype=torch.float32)) @ into
        distance = local.norm(dim=-1) - size
        surface = distance if surface is None else torch.minimum(surface, distance)
    assert surface is not None
    return surface


def _necrosis(grid: Grid, surface: Tensor, radius: float, rim: bool, rnd: Randomness) -> Tensor:
    """An uneven core, thick-walled and thin-walled in one lesion; without `rim` small pockets."""
    # Remains of living tissue cross the core.
    alive = 0.25 * torch.sigmoid(3 * grid.smooth_noise(4, generator=rnd.fields) - 1)
    pockets = torch.zeros_like(surface)
    if rnd.chance(POCKETS_SHARE if radius > SMALL_MM else 0.15):
        cell = rnd.uniform(4.0, 9.0)
        field = grid.smooth_noise(cell, generator=rnd.fields, octaves=2, persistence=0.35)
        deep = torch.sigmoid((-surface - rnd.uniform(1.5, 4.0)) / 0.8)
        here = torch.sigmoid((field - rnd.uniform(1.1, 2.3)) / 0.18)
        pockets = rnd.uniform(0.5, 1.0) * here * deep
    if not rim and not rnd.chance(0.35 if radius > SMALL_MM else 0.1):
        return pockets
    wall = radius * (rnd.uniform(0.13, 0.36) if rim else 0.75)
    thickness = wall * torch.exp(0.45 * grid.smooth_noise(9, generator=rnd.fields))
    ragged = min(2.2, 0.2 * radius) * grid.smooth_noise(5, generator=rnd.fields, octaves=2)
    share = rnd.uniform(0.9, 1.0) if rim else rnd.uniform(0.4, 0.9)
    core = torch.sigmoid((-surface + ragged - thickness) / 0.8) * share * (1 - alive)
    return torch.maximum(core, pockets)
