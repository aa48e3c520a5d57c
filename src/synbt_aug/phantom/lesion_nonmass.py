"""Non-mass enhancement: clumps and branches along a tree of ducts."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.lesion_shape import Shape, enclosing_level, turned_away
from synbt_aug.phantom.strands import STEP_MM, follow, guide_field, tube_depth
from synbt_aug.phantom.texture import Grid, Randomness, grain

MAX_BRANCHES = 420
#: How softly branches end.
SOFT_MM = 0.55
#: Gaps close where branches fill this share of what lies within so many mm.
FILLED_SHARE, FILLED_MM = 0.48, 1.7


def ductal_shape(
    grid: Grid,
    site: np.ndarray,
    diameter_mm: float,
    host: Tensor,
    nipple: np.ndarray,
    allowed: Tensor,
    room: Tensor,
    rnd: Randomness,
) -> Shape:
    """Beaded branches with lobules at their ends, as far as ducts and gland reach.

    Args:
        grid: Box to draw on.
        site: Middle of the lesion, mm.
        diameter_mm: Branches are added until they hold about this sphere's volume.
        host: Partial volume of gland and ligaments.
        nipple: From where the ducts come, mm.
        allowed: Where tumor may be, boolean.
        room: Distance to skin and chest muscle, mm.
        rnd: Source of randomness.
    """
    points, radii = _tree(grid, site, diameter_mm, host, nipple, rnd)
    depth = tube_depth(grid, points, radii)
    surface = -depth + 0.7 * grain(grid, (0.9, 1.3, 0.9), generator=rnd.fields)
    surface = surface + 1.0 * grid.smooth_noise(8, generator=rnd.fields) + 1.8 * (0.5 - host)
    surface = surface + 0.8 * grid.smooth_noise(3.5, generator=rnd.fields)
    surface = grown_together(turned_away(surface, room, grid, rnd), grid, rnd)
    # Last: what grows together may not do so where no tumor is, and volume is counted after it.
    surface = torch.where(allowed, surface, 20.0)
    level = min(max(enclosing_level(surface, diameter_mm, grid), -1.5), 1.2)
    weight = torch.sigmoid(-(surface - level) / SOFT_MM) * (depth > -3.5)
    return Shape(weight, torch.zeros_like(weight), "")


def grown_together(surface: Tensor, grid: Grid, rnd: Randomness) -> Tensor:
    """A surface whose branches grow together where they are close: clumps, not a net."""
    sigma = [FILLED_MM / s for s in grid.spacing]
    share = ndimage.gaussian_filter(torch.sigmoid(-surface / SOFT_MM).numpy(), sigma, truncate=2.5)
    closed = 6.0 * (FILLED_SHARE - torch.from_numpy(share))
    return torch.minimum(surface, closed + 0.6 * grain(grid, 0.9, generator=rnd.fields))


def _tree(
    grid: Grid,
    site: np.ndarray,
    diameter_mm: float,
    host: Tensor,
    nipple: np.ndarray,
    rnd: Randomness,
) -> tuple[np.ndarray, np.ndarray]:
    """Balls along ducts that fan out from the nipple's side: middles and radii in mm."""
    away = np.asarray(site) - nipple
    away = away / (np.linalg.norm(away) + 1e-6)
    guide = guide_field(host, grid)
    reach = 0.75 * diameter_mm
    base, beads = rnd.uniform(0.8, 1.5), rnd.uniform(0.2, 0.5)
    root = np.asarray(site) - away * reach * rnd.uniform(0.3, 0.8)
    points, radii = [], []
    wanted, volume, grown = math.pi / 6 * diameter_mm**3, 0.0, 0
    starts = np.zeros((0, 3))
    headings, lengths, sizes = np.zeros((0, 3)), np.zeros(0), np.zeros(0)
    while volume < 0.9 * wanted and grown < MAX_BRANCHES:
        if len(starts) == 0:
            count = int(rnd.numbers.integers(2, 6))
            starts = root + rnd.numbers.normal(0, 0.22, (count, 3)) * reach
            headings = away + rnd.numbers.normal(0, 0.5, (count, 3))
            lengths = reach * rnd.numbers.uniform(0.5, 1.6, count)
            sizes = np.full(count, base)
        paths = follow(
            starts, headings, lengths, rnd, grid=grid, guide=guide, pull=0.35, wobble=0.2,
            lean=away,
        )  # fmt: skip
        grown += len(paths)
        forks: list[tuple[np.ndarray, np.ndarray, float, float]] = []
        for path, size, length in zip(paths, sizes, lengths):
            waves = ndimage.gaussian_filter1d(rnd.numbers.normal(size=len(path)), 2.5) * 2.8
            radius = np.clip(size * np.exp(beads * waves), 0.6, 3.5)
            points.append(path)
            radii.append(radius)
            volume += 0.7 * math.pi * STEP_MM * float((radius**2).sum())
            if rnd.chance(0.3):
                lobule, balls = _lobule(path[-1], rnd)
                points.append(lobule)
                radii.append(balls)
                volume += 12.0 * len(balls)
            if size > 0.75 * base:
                forks += _forks(path, size, length, rnd)
        starts = np.array([f[0] for f in forks]).reshape(-1, 3)
        headings = np.array([f[1] for f in forks]).reshape(-1, 3)
        lengths = np.array([f[2] for f in forks])
        sizes = np.array([f[3] for f in forks])
    return np.concatenate(points), np.concatenate(radii)


def _lobule(end: np.ndarray, rnd: Randomness) -> tuple[np.ndarray, np.ndarray]:
    """A cluster of acini at the end of a duct."""
    count = int(rnd.numbers.integers(3, 9))
    return end + rnd.numbers.normal(0, 2.4, (count, 3)), rnd.numbers.uniform(0.7, 1.5, count)


def _forks(
    path: np.ndarray, size: float, length: float, rnd: Randomness
) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Start, heading, length and radius of up to two branches of a duct."""
    found = []
    for _ in range(int(rnd.numbers.integers(0, 3))):
        at = int(rnd.numbers.integers(len(path) // 3, len(path)))
        ahead = path[at] - path[max(at - 3, 0)] + 1e-3
        heading = ahead / np.linalg.norm(ahead) + rnd.numbers.normal(0, 0.6, 3)
        found.append((path[at], heading, 0.65 * length, max(0.75, 0.87 * size)))
    return found
