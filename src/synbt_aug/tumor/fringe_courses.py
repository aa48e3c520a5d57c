"""Where strands and nodules run around a tumor's body, and how thick they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.tumor.fringe import Fringe

#: Step along a strand, in mm.
STEP_MM = 0.6

#: Strands begin so far below the surface, in mm.
_BELOW_MM = 1.5

#: Free margin of a window that nothing reaches into, in mm: the support ends 2 mm from a label.
_FREE_MM = 4.0

#: Strands that end before this length are left out, in mm.
_SHORTEST_MM = 3.0

#: How many strands widen towards the body, as tissue does that is drawn in; by how much where they
#: leave it, and over which length that fades, in mm.
_TENT_SHARE, _TENT_MM, _TENT_FADES_MM = 0.5, (0.2, 1.2), (1.0, 3.0)

#: Radius of the thickest places, in mm.
_THICKEST_MM, _THICKEST_NODULE_MM = 2.6, 1.7

#: Half the width of a strand where it leaves the body, in mm: strands are ribbons, as the sheets
#: are that a tumor draws in. Of a thread a slice hardly ever shows more than a dot.
_HALF_WIDTH_MM = (0.6, 2.4)

#: Of the body's volume, no more leaves it. Strands come first: small bodies keep few nodules.
_LARGEST_SHARE = 0.35

#: Strands and nodules gather around so many points of a surface: patients' tumors are smooth on one
#: side and frayed on another. The share that gathers nowhere, and how wide they gather, over the
#: body's mean radius.
_POLES, _ANYWHERE, _GATHERED = 3, 0.5, 0.6


class Courses(NamedTuple):
    """Where strands and nodules run in their window.

    Args:
        points: Positions `STEP_MM` apart, in voxels of 1 mm, one array `(steps, 3)` each.
        radii: In mm, one array `(steps,)` each. Empty where it would be too much for the body.
        sides: From the middle of a ribbon to its side, in voxels, one array `(steps, 3)` each.
    """

    points: list[np.ndarray]
    radii: list[np.ndarray]
    sides: list[np.ndarray]


def courses_of(fringe: Fringe, body: Tensor) -> Courses:
    """Where what leaves a body runs; the same for the same body and seed.

    Args:
        fringe: How much.
        body: Signed distance to the body's surface in its window, in mm, shape `(d, h, w)`, CPU.
    """
    near = (body.abs() < 0.75).nonzero().numpy().astype(float)
    if fringe.strands + fringe.nodules == 0 or len(near) == 0:
        return Courses([], [], [])
    draws = _Draws(fringe.seed)
    paths, out = _paths(fringe, body, near, draws)
    thickness = _thickness(fringe, paths, out, draws)
    found = Courses([], [], [])
    left_mm3 = _LARGEST_SHARE * float((body <= 0).sum())
    for path, (radius, side) in zip(paths, thickness, strict=True):
        across_mm = np.pi * radius + 4 * np.linalg.norm(side, axis=1)
        mm3 = STEP_MM * float((across_mm * radius).sum())
        fits = mm3 <= left_mm3
        left_mm3 -= mm3 if fits else 0.0
        for kept, one in zip(found, (path, radius, side), strict=True):
            kept.append(one if fits else one[:0])
    return found


def within(
    fringe: Fringe, courses: Courses, body: Tensor, may_lie: Callable[[np.ndarray], np.ndarray]
) -> Fringe:
    """The same as far as it may go.

    Args:
        fringe: What was drawn.
        courses: Where it runs.
        body: As for `courses_of`.
        may_lie: Tells of positions in the window, shape `(n, 3)`, whether tumor may lie there.

    Returns:
        With `reach_mm`: strands end before the first place where they may not lie, and nodules
        that would touch one are left out.
    """
    last = np.array(body.shape) - 1
    inner = body.numpy()
    reach = []
    for k, (middle, side) in enumerate(zip(courses.points, courses.sides, strict=True)):
        fits = np.ones(len(middle), dtype=bool)
        for points in (middle, middle - side, middle + side) if side.any() else (middle,):
            inside = ((points >= _FREE_MM) & (points <= last - _FREE_MM)).all(axis=1)
            voxel = np.rint(points).astype(int).clip(0, last)
            fits &= inside & (may_lie(points) | (inner[tuple(voxel.T)] < 0))
        if k < fringe.strands:
            ends = len(fits) if fits.all() else int(np.argmin(fits))
            reach.append(round(ends * STEP_MM, 1) if ends * STEP_MM > _SHORTEST_MM else 0.0)
        else:
            reach.append(round(len(fits) * STEP_MM, 1) if fits.all() else 0.0)
    return replace(fringe, reach_mm=tuple(reach))


class _Draws:
    """Random numbers of a seed, the same everywhere."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, *shape: int) -> np.ndarray:
        """From 0 to 1."""
        drawn = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return np.asarray(drawn.numpy())

    def normal(self, *shape: int) -> np.ndarray:
        """Of mean 0 and SD 1."""
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return np.asarray(drawn.numpy())

    def exponential(self, *shape: int) -> np.ndarray:
        """Of mean 1."""
        return np.asarray(-np.log(self.uniform(*shape).clip(1e-6)))

    def between(self, ends: tuple[float, float], count: int) -> np.ndarray:
        """Evenly, shape `(count,)`."""
        return np.asarray(ends[0] + (ends[1] - ends[0]) * self.uniform(count))


def _paths(
    fringe: Fringe, body: Tensor, near: np.ndarray, draws: _Draws
) -> tuple[list[np.ndarray], np.ndarray]:
    """Walks of strands, then of nodules, `(steps, 3)` each, and normals where they begin."""
    count = fringe.strands + fringe.nodules
    own = np.arange(count) < fringe.strands
    starts = near[_uneven(near, draws.uniform(count), draws.uniform(_POLES))]
    out = _outward(body, starts)
    heading = unit(out + np.where(own, 0.35, 0.5)[:, None] * draws.normal(count, 3))
    low, high = fringe.length_mm
    length = np.minimum(low + (high - low) / 3 * draws.exponential(count), high)
    length = np.where(own, length, 3.0 + 11.0 * draws.uniform(count))
    # Nodules begin some mm off the surface and go anywhere.
    off = np.where(own, -_BELOW_MM, 2.5 + 2.5 * draws.exponential(count))
    places = starts + off[:, None] * out
    heading = np.where(own[:, None], heading, unit(draws.normal(count, 3)))
    steps = np.maximum((length + np.where(own, _BELOW_MM, 0.0)) / STEP_MM, 2).astype(int)
    turns = draws.normal(int(steps.max()), count, 3)
    turns = ndimage.gaussian_filter1d(turns, 3, axis=0) * np.where(own, 0.2, 0.35)[None, :, None]
    trail = []
    for turn in turns:
        heading = unit(heading + turn)
        places = places + STEP_MM * heading
        trail.append(places)
    whole = np.stack(trail, axis=1)
    return [path[:n] for path, n in zip(whole, steps, strict=True)], out


def _thickness(
    fringe: Fringe, paths: list[np.ndarray], out: np.ndarray, draws: _Draws
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Radii and sides along paths, as in `Courses`."""
    count, longest = len(paths), max(len(path) for path in paths)
    strand, nodule = 0.55 + 0.35 * draws.uniform(count), 0.7 + 0.25 * draws.exponential(count)
    has_tent = draws.uniform(count) < _TENT_SHARE
    tents = np.where(has_tent, draws.between(_TENT_MM, count), 0.0)
    fades = draws.between(_TENT_FADES_MM, count)
    across = draws.normal(count, 3)
    across = unit(across - (across * out).sum(1, keepdims=True) * out)
    across *= draws.between(_HALF_WIDTH_MM, count)[:, None]
    knots = np.exp(0.4 * ndimage.gaussian_filter1d(draws.normal(count, longest), 1.5, axis=1))
    found = []
    for k, n in enumerate(len(path) for path in paths):
        if k < fringe.strands:
            tent = tents[k] * np.exp(-STEP_MM * np.arange(n) / fades[k])
            radius = np.minimum(strand[k] * np.linspace(1.0, 0.5, n) + tent, _THICKEST_MM)
            side = np.linspace(1.0, 0.0, n)[:, None] * across[k]
        else:
            radius = np.minimum(nodule[k] * knots[k, :n], _THICKEST_NODULE_MM)
            side = np.zeros((n, 3))
        found.append((radius, side))
    return found


def _uneven(surface: np.ndarray, at: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """Which points of a surface are set out from.

    Args:
        surface: Positions, shape `(n, 3)`.
        at: One number from 0 to 1 for each start.
        poles: Likewise for each point that they gather around.

    Returns:
        Rows of `surface`, one for each start.
    """
    middles = surface[(poles * len(surface)).astype(int)]
    width = _GATHERED * np.linalg.norm(surface - surface.mean(axis=0), axis=1).mean()
    away = np.linalg.norm(surface[:, None] - middles, axis=2) / max(width, 1e-6)
    weight = np.exp(-(away**2)).sum(axis=1)
    weight = weight / weight.sum() + _ANYWHERE / (1 - _ANYWHERE) / len(surface)
    cumulative = np.cumsum(weight)
    return np.minimum(np.searchsorted(cumulative, at * cumulative[-1]), len(surface) - 1)


def _outward(body: Tensor, at: np.ndarray) -> np.ndarray:
    """Unit normals at voxels near the surface, shape `(n, 3)`."""
    values = body.numpy()
    i, j, k = at.astype(int).T
    d, h, w = values.shape
    slopes = np.stack(
        [
            values[np.minimum(i + 2, d - 1), j, k] - values[np.maximum(i - 2, 0), j, k],
            values[i, np.minimum(j + 2, h - 1), k] - values[i, np.maximum(j - 2, 0), k],
            values[i, j, np.minimum(k + 2, w - 1)] - values[i, j, np.maximum(k - 2, 0)],
        ],
        axis=1,
    )
    return unit(slopes.astype(float))


def unit(vectors: np.ndarray) -> np.ndarray:
    """The same directions with length 1, along the last axis."""
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-6))
