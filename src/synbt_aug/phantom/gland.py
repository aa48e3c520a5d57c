"""Glandular tissue and Cooper's ligaments inside the breast.

Both are built on the walls between fat lobules, which are long towards the nipple. Where the
breast is glandular the walls are thick and fill what lies between, up to a solid lobe; further
out they thin to ligaments, sheets that run on into the fat. A potential is cut at the level
that gives the wanted glandular fraction; sheets and strands are added as partial volume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.stroma import long_strands
from synbt_aug.phantom.texture import Randomness, bounding_box, foam, sample
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Breast, Torso

Box = tuple[slice, slice, slice]
Noise = Callable[[float], Tensor]

# Share of the breast, by BI-RADS density, that looks right (not the measured means).
GLAND_FRACTION = {"a": (0.015, 0.05), "b": (0.033, 0.105), "c": (0.095, 0.245), "d": (0.27, 0.54)}


# How far the gland's border runs out in wisps along the ducts, and how soft it is, in units of
# the potential (which falls by 1 from the middle of the gland to its border).
WISPS = (0.08, 0.45)
# Partial volume of gland in thin sheets and in long strands of the fat.
SHEETS, LONG_STRANDS = (0.15, 0.55), (0.45, 1.0)
SOFTNESS = (0.11, 0.45)


@dataclass(frozen=True)
class Gland:
    """Gland of one breast, in the box `box` of the volume; tensors have the box's shape."""

    box: Box
    weight: Tensor  # 0 fat .. 1 gland or ligament; 0 outside this breast
    lobule: Tensor  # 0 ligament or fat .. 1 gland: ligaments hardly enhance
    lobes: Tensor  # unit-variance blobs of about 22 mm
    grain: Tensor  # unit-variance fine texture


@dataclass(frozen=True)
class _Places:
    """Positions in mm of the N voxels that may hold gland, and noise of a cell size there."""

    x: Tensor
    y: Tensor
    z: Tensor
    noise: Noise


@dataclass(frozen=True)
class _Flow:
    """Coordinates that follow the ducts, shape `(N,)`; `scale` times a length across is mm."""

    across: tuple[Tensor, Tensor]  # unit of mm half way into the breast
    along: Tensor  # distance from the nipple, mm
    scale: Tensor  # mm per unit across: small at the nipple, where ducts converge


def grow_glands(
    torso: Torso, labels: Tensor, fascia: Tensor, fraction: float, rnd: Randomness
) -> tuple[Gland, ...]:
    """Fill each breast in view with gland and ligaments; marks gland in `labels`."""
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
    """Gland of one breast, in the box around it.

    All but `lobes` and `grain` is worked out for the voxels `inside` alone, as lists.
    """
    grid = torso.grid.crop(box)
    g = rnd.fields
    voxels = torch.nonzero(inside.reshape(-1))[:, 0]

    def listed(field: Tensor) -> Tensor:
        return field.expand(inside.shape).reshape(-1)[voxels]

    def noise(cell_mm: float) -> Tensor:
        return listed(grid.smooth_noise(cell_mm, generator=g))

    x, y, z = (listed(c) for c in grid.axes())
    places = _Places(x, y, z, noise)
    flow = _flow(places, breast)

    def walls(cell_mm: float, stretch: float) -> Tensor:
        """Distance in mm to the walls of lobules stretched along the ducts."""
        distance = foam(
            int(rnd.numbers.integers(3)),
            cell_mm,
            flow.across[0],
            flow.along / stretch,
            flow.across[1],
            rnd.numbers.uniform(-0.5, 0.5, 3),
        )
        return distance * flow.scale

    large = walls(rnd.uniform(15, 24), rnd.uniform(1.6, 2.6))
    small = walls(rnd.uniform(5, 9), rnd.uniform(1.8, 3.0))
    first, second = _tracts(flow, g, knots=28, count=2)
    wisp, streak, fine_sheet, fibres = _tracts(flow, g, knots=64, count=4)
    teeth, finest_sheet = _tracts(flow, g, knots=100, count=2)
    lobes = grid.smooth_noise(24, generator=g, octaves=2)
    # Finer octaves are the stronger ones: real tissue loses power only as k^-2.2.
    grain = grid.smooth_noise((5, 8, 5), generator=g, octaves=3, persistence=1.2)
    envelope = _envelope(places, breast)
    potential = (
        1.7 * envelope
        + rnd.uniform(0.45, 0.9) * listed(lobes)
        + 0.8 * torch.exp(-large / 2.2)
        - 0.55 * (large / 6).clamp_max(1.2)
        + rnd.uniform(0.1, 0.5) * (torch.exp(-small / 1.0) - 0.8 * (small / 2.5).clamp_max(1))
        + rnd.uniform(0.15, 0.5) * (1 - 2 * first.abs())
        + 0.6 * torch.exp(-flow.along / 16)
        + 0.07 * listed(grain)
        + rnd.uniform(*WISPS) * (wisp + 0.5 * teeth)
    )
    depth, skin = listed(torso.chest_depth[box]), listed(torso.skin_depth[box])
    potential -= 1.6 * torch.exp(-skin / 4.5)
    potential -= 1.5 * torch.sigmoid((depth - listed(fascia[box[0], :, box[2]]) + 5) / 2.5)
    potential -= 9 * (listed(breast.radial[box]) - 0.85).clamp_min(0)
    level = torch.quantile(potential[:: max(1, len(voxels) // 100_000)], 1 - fraction)
    softness = min(max(rnd.lognormal(*SOFTNESS), 0.06), 0.4)
    solid = torch.sigmoid((potential - level) / softness)
    lobule = solid
    # Fat between the ducts streaks the gland.
    streak = torch.sigmoid(2.5 * streak - rnd.uniform(0.5, 2.5))
    solid = solid * (1 - rnd.uniform(0.05, 0.5) * streak)

    ligaments = _ligaments(noise, flow, (large, small), (first, second), rnd)
    # Sparse in the fat under the skin, dense towards the gland.
    gate = 0.3 + 0.7 * torch.sigmoid((envelope + 0.5) * 5)
    # Fat holds fine stroma throughout.
    stroma = rnd.uniform(0.0, 0.08) * (1 + 0.9 * fibres).clamp_min(0)
    weight = torch.maximum(solid, rnd.uniform(0.25, 0.8) * gate * ligaments)
    sheets = torch.maximum(
        _sheet(noise, flow, fine_sheet, 64, rnd), _sheet(noise, flow, finest_sheet, 100, rnd)
    )
    weight = torch.maximum(weight, rnd.uniform(*SHEETS) * sheets)
    strands = listed(long_strands(grid, np.array(breast.nipple), inside, rnd))
    weight = torch.maximum(weight, rnd.uniform(*LONG_STRANDS) * strands)
    weight = weight + stroma * (1 - weight)

    def on_grid(values: Tensor) -> Tensor:
        field = torch.zeros(inside.shape, dtype=values.dtype)
        field.view(-1)[voxels] = values
        return field

    labels[box][on_grid(lobule > 0.5)] = Tissue.GLAND
    return Gland(box, on_grid(weight), on_grid(lobule), lobes, grain)


def _flow(places: _Places, breast: Breast) -> _Flow:
    """Ducts converge on the nipple and run almost side by side deep in the breast."""
    warp = [3.5 * places.noise(30) + 1.2 * places.noise(11) for _ in range(2)]
    dx, dz = places.x - breast.nipple[0] + warp[0], places.z - breast.nipple[2] + warp[1]
    dy = places.y - breast.nipple[1]
    rho = (dx**2 + dy**2 + dz**2).clamp_min(4).sqrt()
    scale = ((rho + 45) / 100).clamp_min(0.55)
    return _Flow((dx / scale, dz / scale), rho, scale)


def _tracts(flow: _Flow, generator: torch.Generator, knots: int, count: int) -> Tensor:
    """Unit-variance noise that is drawn out along the ducts, shape `(count, N)`.

    There are `knots` over 200 units across.
    """
    texture = torch.randn(count, knots, knots, 9, generator=generator)
    across, along = flow.across, flow.along / 70 - 1
    return 1.8 * sample(texture, across[0] / 100, across[1] / 100, along)


def _ligaments(
    noise: Noise,
    flow: _Flow,
    walls: tuple[Tensor, Tensor],
    tracts: tuple[Tensor, Tensor],
    rnd: Randomness,
) -> Tensor:
    """Sheets between lobules, sheets along the ducts, and strands where two of these meet.

    Args:
        noise: Of a cell size in mm.
        flow: Coordinates along the ducts.
        walls: Distance in mm to the walls of large and of small lobules.
        tracts: Noise drawn out along the ducts; sheets lie where it is 0.
        rnd: Source of randomness.
    """
    large, small = walls

    def patchy(cell_mm: float, share: float) -> Tensor:
        return torch.sigmoid(5 * (noise(cell_mm) + share))

    thick = rnd.uniform(0.45, 0.85)
    # One knot of the tracts spans 200 / 28 units, so a step of 1 in the noise is about 4 of them.
    off = [4.0 * flow.scale * field.abs() for field in tracts]
    sheets = torch.exp(-((large / thick) ** 2)) * patchy(24, rnd.uniform(-0.6, 0.4))
    along = torch.exp(-((off[1] / thick) ** 2)) * patchy(20, rnd.uniform(-1.2, 0.0))
    net = torch.exp(-((small / 0.5) ** 2)) * patchy(16, rnd.uniform(-1.2, 0.0))
    strands = torch.exp(-(off[0] ** 2 + off[1] ** 2) / (1.3 * thick) ** 2)
    crossings = torch.exp(-(large**2 + off[0] ** 2) / (1.4 * thick) ** 2)
    total = torch.maximum(sheets, torch.maximum(0.4 * along, rnd.uniform(0.2, 0.7) * net))
    return torch.maximum(total, torch.maximum(strands, crossings))


def _sheet(noise: Noise, flow: _Flow, tracts: Tensor, knots: int, rnd: Randomness) -> Tensor:
    """Thin sheets along the ducts, through fat and gland: long fine lines in any slice."""
    off = 4.0 * 28 / knots * flow.scale * tracts.abs()
    here = torch.sigmoid(4 * (noise(26) - rnd.uniform(-1.2, 0.2)))
    return torch.exp(-((off / rnd.uniform(0.4, 0.8)) ** 2)) * here


def _envelope(places: _Places, breast: Breast) -> Tensor:
    """1 in the middle of the gland, 0 at its usual border, negative outside."""
    x, y, z = places.x, places.y, places.z
    mid_x = 0.55 * breast.nipple[0] + 0.45 * breast.center[0] + 7 * breast.side
    mid_z = 0.55 * breast.nipple[2] + 0.45 * breast.center[1] + 7
    return 1 - torch.sqrt(
        ((x - mid_x) / (0.80 * breast.radii[0])) ** 2
        + ((z - mid_z) / (0.80 * breast.radii[1])) ** 2
        + ((y - breast.nipple[1] - 0.47 * breast.height) / (0.60 * breast.height)) ** 2
    )
