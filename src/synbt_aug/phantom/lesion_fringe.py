"""What leaves a tumor's body: spicules along the host's ligaments and satellites beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.strands import STEP_MM, follow, guide_field, tube_weight
from synbt_aug.phantom.texture import Grid, Randomness

#: Radius of a spicule where it leaves the body, mm.
SPICULE_RADIUS_MM = (0.45, 1.0)

#: How many spicules widen towards the body, and by how much at its surface, mm.
TENT_SHARE, TENT_MM = 0.6, (0.6, 2.6)

#: Radius of the thickest satellites and beads, mm.
THICKEST_MM = 1.5


@dataclass(frozen=True)
class Fringe:
    """How much leaves the body: ranges of spicules, the mean number of satellites."""

    spicules: tuple[int, int]
    length_mm: tuple[float, float]
    satellites: float
    duct_share: float  # chance of spread along ducts


def grow_fringe(
    grid: Grid, site: np.ndarray, surface: Tensor, host: Tensor, nipple: np.ndarray,
    fringe: Fringe, rnd: Randomness,
) -> Tensor:  # fmt: skip
    """Partial volume (0..1) of spicules, satellites and spread along ducts around a body.

    Args:
        grid: Box to draw on.
        site: The body's middle, mm.
        surface: Distance from the body's surface, mm, negative inside.
        host: Partial volume of gland and ligaments.
        nipple: Where the ducts lead, mm.
        fringe: How much.
        rnd: Source of randomness.
    """
    near = torch.nonzero(surface.abs() < 0.5 * max(1.4, *grid.spacing)).numpy()
    if len(near) < 5:
        return torch.zeros(grid.shape)
    guide = guide_field(host, grid)
    points, radii = _spicules(grid, site, near, guide, fringe, rnd)
    more, sizes = _satellites(grid, site, near, guide, fringe, rnd)
    points, radii = points + more, radii + sizes
    if rnd.chance(fringe.duct_share):
        more, sizes = _spread(grid, site, near, guide, nipple, rnd)
        points, radii = points + more, radii + sizes
    if not points:
        return torch.zeros(grid.shape)
    return tube_weight(grid, np.concatenate(points), np.concatenate(radii))


def _spicules(
    grid: Grid, site: np.ndarray, near: np.ndarray, guide: np.ndarray, fringe: Fringe,
    rnd: Randomness,
) -> tuple[list[np.ndarray], list[np.ndarray]]:  # fmt: skip
    """Paths that set out from the surface, bend towards ligaments, taper, and may fork once."""
    count = int(rnd.numbers.integers(*fringe.spicules, endpoint=True))
    if count == 0:
        return [], []
    starts, out = _leave(grid, site, near, count, rnd, spread=0.35)
    low, high = fringe.length_mm
    lengths = np.clip(low + rnd.numbers.gamma(1.5, (high - low) / 5, count), low, high)
    paths = follow(starts - 1.5 * out, out, lengths + 1.5, rnd, grid=grid, guide=guide)
    thick = rnd.numbers.uniform(*SPICULE_RADIUS_MM, count)
    # Some are the tip of a tent: tissue that is drawn in, wide at the body.
    tents = rnd.numbers.uniform(*TENT_MM, count) * (rnd.numbers.random(count) < TENT_SHARE)
    fall = rnd.numbers.uniform(1.5, 4.5, count)
    radii = [
        r * np.linspace(1.0, 0.4, len(path)) + tent * np.exp(-np.arange(len(path)) * STEP_MM / mm)
        for r, tent, mm, path in zip(thick, tents, fall, paths)
    ]
    forks = np.flatnonzero(rnd.numbers.random(count) < 0.35)
    if len(forks):
        half = np.array([paths[i][len(paths[i]) // 2] for i in forks])
        side = out[forks] + rnd.numbers.normal(0, 0.5, (len(forks), 3))
        branches = follow(half, side, 0.6 * lengths[forks], rnd, grid=grid, guide=guide)
        paths = paths + branches
        radii += [0.7 * thick[i] * np.linspace(1.0, 0.5, len(b)) for i, b in zip(forks, branches)]
    return paths, radii


def _satellites(
    grid: Grid, site: np.ndarray, near: np.ndarray, guide: np.ndarray, fringe: Fringe,
    rnd: Randomness,
) -> tuple[list[np.ndarray], list[np.ndarray]]:  # fmt: skip
    """Knotty strands of 2-11 mm and a few nodules, some mm off the surface."""
    count = int(rnd.numbers.poisson(fringe.satellites * rnd.numbers.gamma(1.5, 1 / 1.5)))
    if count == 0:
        return [], []
    starts, out = _leave(grid, site, near, count, rnd, spread=0.5)
    starts = starts + out * (4.0 + rnd.numbers.gamma(1.5, 4.0, (count, 1)))
    lengths = rnd.numbers.uniform(3.0, 13, count)
    paths = follow(
        starts, rnd.numbers.normal(size=(count, 3)), lengths, rnd, grid=grid, guide=guide,
        wobble=0.25,
    )  # fmt: skip
    sizes = 0.55 + rnd.numbers.gamma(1.2, 0.28, count)
    radii = []
    for size, path in zip(sizes, paths):
        knots = ndimage.gaussian_filter1d(rnd.numbers.normal(size=len(path)), 1.5)
        # Thicker ones are seen as balls.
        radii.append(np.clip(size * np.exp(0.7 * knots), 0.35, THICKEST_MM))
    return paths, radii


def _spread(
    grid: Grid, site: np.ndarray, near: np.ndarray, guide: np.ndarray, nipple: np.ndarray,
    rnd: Randomness,
) -> tuple[list[np.ndarray], list[np.ndarray]]:  # fmt: skip
    """Beads along ducts towards the nipple, with gaps."""
    count = int(rnd.numbers.integers(1, 6))
    ahead = nipple - np.asarray(site)
    ahead = ahead / (np.linalg.norm(ahead) + 1e-6)
    starts, out = _leave(grid, site, near, count, rnd, spread=0.4)
    lengths = rnd.numbers.uniform(8, 32, count)
    paths = follow(
        starts, ahead + 0.6 * out, lengths, rnd, grid=grid, guide=guide, wobble=0.2, lean=ahead
    )
    points, radii = [], []
    for path in paths:
        beads = ndimage.gaussian_filter1d(rnd.numbers.normal(size=(2, len(path))), 4, axis=1) * 3.7
        seen = beads[0] > rnd.uniform(-0.8, 0.4)
        points.append(path[seen])
        radii.append(
            np.clip(rnd.uniform(0.55, 1.1) * np.exp(0.35 * beads[1][seen]), 0.5, THICKEST_MM)
        )
    return points, radii


def _leave(
    grid: Grid, site: np.ndarray, near: np.ndarray, count: int, rnd: Randomness, *, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surface and unit headings away from `site`, mm, each `(count, 3)`."""
    voxels = near[rnd.numbers.integers(len(near), size=count)]
    starts = voxels * np.array(grid.spacing) + np.array(grid.origin_mm)
    out = starts - site
    out = out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-6)
    out = out + rnd.numbers.normal(0, spread, (count, 3))
    return starts, out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-6)
