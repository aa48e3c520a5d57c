"""Glandular tissue and Cooper's ligaments inside the breast.

A potential (lobes about the duct system, fat lobules between septa, fine grain) is cut at
the level that gives the wanted glandular fraction; thin septa and strands towards the
nipple are added on top as partial volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness, bounding_box, foam, sample
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Breast, Torso

Box = tuple[slice, slice, slice]

# Share of the breast, by BI-RADS density, that looks right (not the measured means).
GLAND_FRACTION = {"a": (0.02, 0.08), "b": (0.07, 0.20), "c": (0.18, 0.42), "d": (0.40, 0.72)}


@dataclass(frozen=True)
class Gland:
    """Gland of one breast, in the box `box` of the volume; tensors have the box's shape."""

    box: Box
    weight: Tensor  # 0 fat .. 1 gland or septum; 0 outside this breast
    lobule: Tensor  # 0 septum or fat .. 1 gland: septa hardly enhance
    lobes: Tensor  # unit-variance blobs of about 22 mm
    grain: Tensor  # unit-variance fine texture


def grow_glands(
    torso: Torso, labels: Tensor, fascia: Tensor, fraction: float, rnd: Randomness
) -> tuple[Gland, ...]:
    """Fill each breast in view with gland and septa; marks gland in `labels`."""
    inside = (
        (torso.radial < 1.0)
        & (labels == Tissue.FAT)
        & (torso.chest_depth < fascia)
        & (torso.skin_depth > 2.5)
    )
    glands = []
    for breast in torso.breasts:
        nearest = inside & (breast.radial == torso.radial)
        box = bounding_box(nearest)
        if box is not None:
            share = min(0.9, fraction * rnd.uniform(0.85, 1.15))
            glands.append(_grow(torso, breast, box, nearest[box], labels, fascia, share, rnd))
    return tuple(glands)


def _grow(
    torso: Torso,
    breast: Breast,
    box: Box,
    inside: Tensor,
    labels: Tensor,
    fascia: Tensor,
    fraction: float,
    rnd: Randomness,
) -> Gland:
    """Gland of one breast, in the box around it."""
    grid = torso.grid.crop(box)
    x, y, z = grid.axes()
    g = rnd.fields
    warp = [grid.smooth_noise(18, generator=g, octaves=2) * 3.2 for _ in range(3)]

    def walls(cell_mm: float, stretch: float, turn: int) -> Tensor:
        """Distance to septa of cells stretched from nipple to chest wall."""
        return foam(
            int(rnd.numbers.integers(3)),
            cell_mm,
            x + warp[turn % 3],
            (y + warp[(turn + 1) % 3]) / stretch,
            z + warp[(turn + 2) % 3],
            rnd.numbers.uniform(-0.5, 0.5, 3),
        )

    large = walls(rnd.uniform(13, 20), 1.5, 0)
    middle = walls(rnd.uniform(7, 11), 1.4, 1)
    small = walls(rnd.uniform(3.2, 5.5), 1.3, 2)
    cross = walls(rnd.uniform(9, 15), 2.0, 1)
    lobes = grid.smooth_noise(22, generator=g, octaves=2)
    # Finer octaves are the stronger ones: real tissue loses power only as k^-2.2.
    grain = grid.smooth_noise((6, 8, 6), generator=g, octaves=3, persistence=1.2)
    foam_part = (
        0.75 * torch.exp(-(large / 1.5))
        - 0.55 * (large / 5).clamp_max(1.2)
        + 0.45 * torch.exp(-middle)
        - 0.30 * (middle / 3).clamp_max(1)
        + rnd.uniform(0.25, 0.75) * (torch.exp(-small / 0.7) - 0.9 * (small / 1.6).clamp_max(1))
        + 0.22 * grain
        + 0.5 * lobes
    )
    # Septa are sheets about 1 mm thin (power k^-2), where two meet they form a ligament.
    thin_small = torch.exp(-((small / 0.50) ** 2))
    thin_middle = torch.exp(-((middle / 0.55) ** 2))
    thin_large = torch.exp(-((large / 0.70) ** 2))
    meeting = 1.4 * torch.exp(-(large**2 + cross**2) / 1.7) + torch.exp(
        -(middle**2 + cross**2) / 1.0
    )
    seen = torch.sigmoid(2.5 * grid.smooth_noise(26, generator=g, octaves=2) - 0.3)
    net = (thin_large + 0.65 * thin_middle + 0.35 * thin_small) * seen + meeting

    ridge, fibres, rho = _strands(grid, breast, warp, rnd)
    envelope = _envelope(grid, breast)
    potential = foam_part + 1.9 * envelope + 0.45 * ridge + 0.6 * torch.exp(-rho / 16)
    # Sparse in the fat under the skin, dense towards the gland.
    gate = 0.35 + 0.65 * torch.sigmoid((envelope + 0.5) * 5)
    septa = (net + 1.1 * fibres).clamp_max(1) * gate

    depth, skin = torso.chest_depth[box], torso.skin_depth[box]
    potential -= 1.6 * torch.exp(-skin / 4.5)
    potential -= 1.5 * torch.sigmoid((depth - fascia[box[0], :, box[2]] + 5) / 2.5)
    potential -= 9 * (breast.radial[box] - 0.85).clamp_min(0)
    values = potential[inside]
    level = torch.quantile(values[:: max(1, len(values) // 100_000)], 1 - fraction)
    solid = torch.sigmoid((potential - level) / rnd.uniform(0.05, 0.11))
    labels[box][(solid > 0.5) & inside] = Tissue.GLAND
    # Gland is itself a foam of lobules and fat: hollow between its walls, by up to half.
    walls_seen = (thin_small + thin_middle).clamp_max(1)
    lobule = solid
    solid = solid * (1 - rnd.uniform(0.20, 0.65) * (1 - walls_seen))
    weight = torch.maximum(solid, rnd.uniform(0.45, 1.0) * septa) * inside
    return Gland(box, weight, lobule, lobes, grain)


def _strands(
    grid: Grid, breast: Breast, warp: list[Tensor], rnd: Randomness
) -> tuple[Tensor, Tensor, Tensor]:
    """Structures that radiate from the nipple, like ducts and the ligaments along them.

    Returns:
        Soft ridges (sheets), thin fibres (0..1), and the distance from the nipple in mm.
        A fibre runs where two ridge fields are both zero.
    """
    x, y, z = grid.axes()
    dx = x - breast.nipple[0] + 0.6 * warp[0]
    dy = (y - breast.nipple[1]).expand(grid.shape)
    dz = z - breast.nipple[2] + 0.6 * warp[2]
    rho = (dx**2 + dy**2 + dz**2).clamp_min(4).sqrt()
    knots = 40
    where = (dx / rho, dz / rho, rho / 80 - 1)
    first, second = (
        sample(torch.randn(knots, knots, 7, generator=rnd.fields), *where) for _ in range(2)
    )
    # One knot spans 2 / knots of the direction, so a step of 1 in a field is about that far.
    knot_mm = 2 / knots * rho
    off = (first**2 + second**2) * (knot_mm / rnd.uniform(0.5, 0.8)) ** 2
    return 1 - 1.7 * first.abs(), torch.exp(-off), rho


def _envelope(grid: Grid, breast: Breast) -> Tensor:
    """1 in the middle of the gland, 0 at its usual border, negative outside."""
    x, y, z = grid.axes()
    mid_x = 0.55 * breast.nipple[0] + 0.45 * breast.center[0] + 7 * breast.side
    mid_z = 0.55 * breast.nipple[2] + 0.45 * breast.center[1] + 7
    return 1 - torch.sqrt(
        ((x - mid_x) / (0.80 * breast.radii[0])) ** 2
        + ((z - mid_z) / (0.80 * breast.radii[1])) ** 2
        + ((y - breast.nipple[1] - 0.47 * breast.height) / (0.60 * breast.height)) ** 2
    )
