"""Shapes of tumors: lobulated masses with spicules and necrosis, and clumped non-mass.

Sizes in mm; a shape is drawn on any grid around `site`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness, blur, foam, sample
from synbt_aug.phantom.vessels import splat

SPICULATED_SHARE = 0.55


@dataclass(frozen=True)
class Shape:
    """Soft tumor and necrosis fields (0..1) on a grid."""

    weight: Tensor
    core: Tensor
    spiculated: bool


def _rotated_offsets(grid: Grid, site: np.ndarray, rnd: Randomness) -> Tensor:
    """Offsets from `site` in a randomly turned frame, mm, shape `(X, Y, Z, 3)`."""
    offsets = torch.stack(
        torch.broadcast_tensors(*(c - float(s) for c, s in zip(grid.axes(), site))), dim=-1
    )
    q, r = np.linalg.qr(rnd.numbers.normal(size=(3, 3)))
    turn = torch.tensor(q * np.sign(np.diag(r)), dtype=torch.float32)
    return torch.stack([(offsets * turn[:, k]).sum(-1) for k in range(3)], dim=-1)


def mass_shape(
    grid: Grid, site: np.ndarray, diameter_mm: float, *, rim: bool, rnd: Randomness
) -> Shape:
    """A lobulated ellipsoid, with spicules in about half of all masses."""
    radius = diameter_mm / 2
    # Sorted axis ratios of real tumors: 0.70 : 0.83 : 1.
    axes = np.exp(rnd.numbers.normal(0, 0.17, 3))
    axes /= axes.prod() ** (1 / 3)
    scaled = _rotated_offsets(grid, site, rnd) / torch.tensor(axes, dtype=torch.float32)
    r = scaled.norm(dim=-1)
    direction = scaled / r.clamp_min(1e-3)[..., None]

    def lobes(knots: int) -> Tensor:
        texture = torch.randn(knots, knots, knots, generator=rnd.fields)
        return sample(texture, *direction.unbind(-1))

    rough = rnd.uniform(0.03, 0.20) * lobes(4) + rnd.uniform(0.02, 0.13) * lobes(9)
    rough = rough + 0.05 * grid.smooth_noise(4, generator=rnd.fields)
    surface = r - radius * (1 + rough)
    weight = torch.sigmoid(-surface / 0.5)
    spiculated = rnd.chance(SPICULATED_SHARE)
    if spiculated:
        weight = torch.maximum(weight, 0.9 * _spicules(grid, site, radius, rnd))
    core = torch.zeros_like(weight)
    if rim:
        wall = min(rnd.uniform(2.5, 5.5), 0.55 * radius)
        wavy = 1.6 * grid.smooth_noise(7, generator=rnd.fields)
        core = torch.sigmoid((-surface - wall + min(1.0, radius / 10) * wavy) / 0.9)
    return Shape(weight, core, spiculated)


def _spicules(grid: Grid, site: np.ndarray, radius: float, rnd: Randomness) -> Tensor:
    """Thin bent strands that leave the surface and taper off."""
    points, weights = [], []
    for _ in range(int(rnd.numbers.integers(8, 32))):
        direction = rnd.numbers.normal(size=3)
        direction /= np.linalg.norm(direction)
        length = radius * (0.25 + float(rnd.numbers.gamma(2, 0.22)))
        along = np.arange(0.75 * radius, radius + length, 0.5)
        bend = ndimage.gaussian_filter1d(rnd.numbers.normal(size=(len(along), 3)), 5, axis=0)
        points.append(np.asarray(site) + direction * along[:, None] + 0.12 * bend.cumsum(axis=0))
        weights.append(1.5 * (1 - 0.75 * (along - along[0]) / (along[-1] - along[0] + 1e-3)))
    lines = splat(grid, np.concatenate(points), np.concatenate(weights))
    return (blur(lines, (0.84, 0.84, 0.84)) * 3.2).clamp(0, 1)


def clumped_shape(
    grid: Grid,
    site: np.ndarray,
    diameter_mm: float,
    gland: Tensor,
    allowed: Tensor,
    rnd: Randomness,
) -> Shape:
    """Non-mass: clumps in the cells of a foam, in a long ragged region that follows gland.

    The clumps grow until they hold the volume of a sphere of `diameter_mm`, or fill a third
    of what is `allowed`.
    """
    radius = 1.15 * diameter_mm / 2
    offsets = _rotated_offsets(grid, site, rnd)
    axes = torch.tensor([rnd.uniform(1.2, 2.0), rnd.uniform(0.6, 1.0), rnd.uniform(0.55, 0.9)])
    ragged = 0.2 * grid.smooth_noise(12, generator=rnd.fields, octaves=2)
    envelope = (offsets / axes).norm(dim=-1) / radius + ragged
    cell = rnd.uniform(6, 11)
    u, v, w = (offsets[..., k] + 2 * grid.smooth_noise(9, generator=rnd.fields) for k in range(3))
    walls = foam(int(rnd.numbers.integers(3)), cell, u, v, w, np.zeros(3)) / cell
    # Ducts and lobules enhance, fat does not; beyond 1.3 of the envelope nothing does.
    surface = -11 * (walls - 0.24) + 3.5 * (envelope - 0.9) + 2.5 * (gland < 0.25)
    surface = torch.maximum(surface, 8 * (envelope - 1.3))
    possible = surface[allowed]
    if len(possible) == 0:
        return Shape(torch.zeros(grid.shape), torch.zeros(grid.shape), False)
    wanted = math.pi / 6 * diameter_mm**3 / math.prod(grid.spacing)
    count = int(min(max(wanted, 3), max(1, len(possible) // 3)))
    level = float(torch.kthvalue(possible, count).values)
    weight = torch.sigmoid(-(surface - level).clamp(-8, 9) / 0.5)
    return Shape(weight, torch.zeros_like(weight), False)
