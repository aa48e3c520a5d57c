"""Strands of any kind: wavering paths that follow the host's structures, and tubes around them.

Spicules, ducts, satellites and vessels are all paths with a radius. Positions in mm.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness

STEP_MM = 0.6

#: Classes of radii of tubes thinner than a voxel, in voxels.
THIN = (0.0, 0.2, 0.3, 0.4, 0.5)

#: Depth of a voxel that no tube reaches, in mm.
FAR_MM = -9.0


def guide_field(host: Tensor, grid: Grid, blur_mm: float = 1.2) -> np.ndarray:
    """Pull towards where the host has strands: gradient of its blurred weight.

    Args:
        host: Partial volume of gland and ligaments, shape of `grid`.
        grid: What it lies on.
        blur_mm: SD of the blur: how far a strand is felt.

    Returns:
        Shape `(3, X, Y, Z)`; a length of about 0.25 on average, and 0 where there is nothing.
    """
    soft = ndimage.gaussian_filter(host.numpy(), [blur_mm / s for s in grid.spacing])
    pull = np.stack(np.gradient(soft, *grid.spacing))
    mean = np.sqrt((pull**2).sum(axis=0)).mean(dtype=np.float64)
    return (pull / (4 * mean + 1e-3)).astype(np.float32)


def follow(
    starts: np.ndarray,
    headings: np.ndarray,
    lengths_mm: np.ndarray,
    rnd: Randomness,
    *,
    grid: Grid | None = None,
    guide: np.ndarray | None = None,
    pull: float = 0.3,
    wobble: float = 0.16,
    lean: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Grow wavering paths, all at once.

    Args:
        starts: Where they begin, mm, shape `(N, 3)`.
        headings: Where they set out to, shape `(N, 3)`.
        lengths_mm: Shape `(N,)`.
        rnd: Source of randomness.
        grid: What `guide` lies on.
        guide: See `guide_field`; None: nothing pulls.
        pull: Strength of the guide.
        wobble: SD of the turn in each step.
        lean: A direction that all paths bend to slowly, shape `(3,)`.

    Returns:
        One array `(steps, 3)` a path, in mm, a step of `STEP_MM` apart.
    """
    starts, headings = np.atleast_2d(starts).astype(float), np.atleast_2d(headings).astype(float)
    counts = np.maximum(np.asarray(lengths_mm) / STEP_MM, 3).astype(int)
    turns = rnd.numbers.normal(size=(int(counts.max()), len(starts), 3))
    turns = ndimage.gaussian_filter1d(turns, 3, axis=0) * 3 * wobble
    position, heading = starts, _unit(headings)
    trail = []
    for turn in turns:
        heading = heading + turn
        if lean is not None:
            heading = heading + 0.06 * lean
        if guide is not None and grid is not None:
            voxel = np.round(grid.index(position)).astype(int)
            i, j, k = np.clip(voxel, 0, np.array(grid.shape) - 1).T
            heading = heading + pull * guide[:, i, j, k].T
        heading = _unit(heading)
        position = position + STEP_MM * heading
        trail.append(position)
    whole = np.stack(trail, axis=1)
    return [path[:count] for path, count in zip(whole, counts)]


def tube_depth(grid: Grid, points: np.ndarray, radius_mm: np.ndarray) -> Tensor:
    """Depth in mm inside the union of balls; `FAR_MM` where none is near.

    Args:
        grid: What to draw on.
        points: Middles of the balls in mm, shape `(N, 3)`.
        radius_mm: Shape `(N,)`.
    """
    depth = np.full(math.prod(grid.shape), FAR_MM, np.float32)
    spacing, counts = np.array(grid.spacing), np.array(grid.shape)
    at = grid.index(points)
    near = np.round(at).astype(int)
    # Balls of about one size at a time, so that thin strands stay cheap beside thick ones.
    size = np.ceil(np.asarray(radius_mm)).astype(int)
    for largest in np.unique(size):
        mine = size == largest
        reach = np.ceil((largest + spacing.max()) / spacing).astype(int)
        cube = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
        cube = cube[np.linalg.norm(cube * spacing, axis=1) <= largest + 1.5 * spacing.max()]
        away2 = np.zeros((int(mine.sum()), len(cube)), np.float32)
        flat = np.zeros(away2.shape, np.int64)
        inside = np.ones(away2.shape, bool)
        # What belongs to one axis is worked out for its 2 n + 1 voxels, then read for the cube.
        for dim, n in enumerate(reach):
            voxel = near[mine, dim, None] + np.arange(-n, n + 1)
            off = ((voxel - at[mine, dim, None]) * spacing[dim]).astype(np.float32) ** 2
            read = cube[:, dim] + n
            away2 += off[:, read]
            inside &= ((voxel >= 0) & (voxel < counts[dim]))[:, read]
            flat = flat * counts[dim] + voxel[:, read]
        value = np.asarray(radius_mm, np.float32)[mine, None] - np.sqrt(away2)
        np.maximum.at(depth, flat[inside], value[inside])
    return torch.from_numpy(depth.reshape(grid.shape))


def tube_weight(grid: Grid, points: np.ndarray, radius_mm: np.ndarray) -> Tensor:
    """Partial volume (0..1) of tubes; one thinner than a voxel fills it by its section."""
    voxel = math.prod(grid.spacing) ** (1 / 3)
    radius = np.asarray(radius_mm)
    thick = radius >= 0.5 * voxel
    weight = (tube_depth(grid, points[thick], radius[thick]) / voxel + 0.5).clamp(0, 1)
    for low, high in itertools.pairwise(THIN):
        some = (radius >= low * voxel) & (radius < high * voxel)
        if some.any():
            section = math.pi * float(np.mean(radius[some] ** 2)) / voxel**2
            # Shared by the voxels on both sides of the line.
            near = 1 + tube_depth(grid, points[some], np.zeros(int(some.sum()))) / voxel
            weight = torch.maximum(weight, section * near.clamp(0, 1))
    return weight


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-6)
