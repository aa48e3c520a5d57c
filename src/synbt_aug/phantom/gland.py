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
    """Gland in the box `box` of the volume; every tensor has the box's shape."""

    box: Box
    weight: Tensor  # 0 fat .. 1 gland
    lobes: Tensor  # unit-variance blobs of about 22 mm
    grain: Tensor  # unit-variance fine texture
    fraction: float


def grow_gland(
    torso: Torso, labels: Tensor, fascia: Tensor, density: str, rnd: Randomness
) -> Gland | None:
    """Fill the breasts with gland and septa; `None` where no breast is in view."""
    inside = (
        (torso.radial < 1.0)
        & (labels == Tissue.FAT)
        & (torso.chest_depth < fascia)
        & (torso.skin_depth > 2.5)
    )
    box = bounding_box(inside)
    if box is None:
        return None
    grid, inside = torso.grid.crop(box), inside[box]
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
    small = walls(rnd.uniform(4.2, 6.0), 1.2, 2)
    cross = walls(rnd.uniform(9, 15), 2.0, 1)
    holes = rnd.uniform(0.25, 0.75)
    lobes = grid.smooth_noise(22, generator=g, octaves=2)
    grain = grid.smooth_noise((3, 4, 3), generator=g, octaves=2, persistence=0.6)
    foam_part = (
        0.75 * torch.exp(-(large / 1.5))
        - 0.55 * (large / 5).clamp_max(1.2)
        + 0.45 * torch.exp(-middle)
        - 0.30 * (middle / 3).clamp_max(1)
        + holes * (torch.exp(-small / 0.7) - 0.9 * (small / 1.6).clamp_max(1))
        + 0.14 * grain
        + 0.5 * lobes
    )
    ligaments = (
        1.5 * torch.exp(-(large**2 + cross**2) / 1.7)
        + 1.0 * torch.exp(-(middle**2 + cross**2) / 1.1)
    )  # fmt: skip

    potential = torch.full(grid.shape, -9.0)
    septa = torch.zeros(grid.shape)
    for breast in torso.breasts:
        here = breast.radial[box] < 1
        strand, rho = _strands(grid, breast, warp, rnd)
        envelope = _envelope(grid, breast)
        value = foam_part + 1.9 * envelope + 0.45 * strand + 0.6 * torch.exp(-rho / 16)
        potential = torch.where(here, torch.maximum(potential, value), potential)
        sheet = 0.55 * torch.exp(-large / 0.7) * (0.3 + 0.7 * strand.clamp(0, 1))
        gate = torch.sigmoid((envelope + 0.5) * 5) * here
        septa = torch.maximum(septa, (sheet + ligaments).clamp_max(1) * gate)

    depth, skin = torso.chest_depth[box], torso.skin_depth[box]
    potential -= 1.6 * torch.exp(-skin / 4.5)
    potential -= 1.5 * torch.sigmoid((depth - fascia[box[0], :, box[2]] + 5) / 2.5)
    potential -= 9 * (torso.radial[box] - 0.85).clamp_min(0)
    fraction = rnd.uniform(*GLAND_FRACTION[density])
    values = potential[inside]
    level = torch.quantile(values[:: max(1, len(values) // 100_000)], 1 - fraction)
    weight = torch.sigmoid((potential - level) / rnd.uniform(0.06, 0.13))
    weight = torch.maximum(weight, rnd.uniform(0.35, 0.8) * septa) * inside
    labels[box][weight > 0.5] = Tissue.GLAND
    return Gland(box, weight, lobes, grain, fraction)


def _strands(
    grid: Grid, breast: Breast, warp: list[Tensor], rnd: Randomness
) -> tuple[Tensor, Tensor]:
    """Ridges that radiate from the nipple, and the distance from the nipple in mm."""
    x, y, z = grid.axes()
    dx = x - breast.nipple[0] + warp[0]
    dy = (y - breast.nipple[1]).expand(grid.shape)
    dz = z - breast.nipple[2] + warp[2]
    rho = (dx**2 + dy**2 + dz**2).clamp_min(4).sqrt()
    knots = torch.randn(40, 40, 7, generator=rnd.fields)
    return 1 - 1.7 * sample(knots, dx / rho, dz / rho, rho / 80 - 1).abs(), rho


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
