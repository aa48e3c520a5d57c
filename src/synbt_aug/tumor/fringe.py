"""What leaves a tumor's body: strands that set out from its surface, and nodules beside it.

Too thin for a 4 mm latent cell: a network cannot paint them. Their shape is drawn at 1 mm, in the
free margin of the body's window; what they look like is the body's edge carried on
(`paint/carried_on.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.support import islets, touched
from synbt_aug.support.number import check_number, check_seed, check_whole

#: Step along a strand, in mm.
_STEP_MM = 0.6

#: Most of either that a recipe may ask for.
MAX_STRANDS = 256

#: Free margin of a window that nothing reaches into, in mm: the support ends 2 mm from a label.
_FREE_MM = 4.0

#: Longest strand, in mm: a window has 12 mm around the hole.
LONGEST_MM = 14.0

#: A body of this diameter has as many of both as its margin says, smaller ones fewer. Strands go on
#: to grow in number with the body, at this power of its diameter: its surface does with the square.
_FULL_FROM_MM, _STRANDS_GROW = 16.0, 1.5

#: How many strands widen towards the body, as tissue does that is drawn in; by how much where they
#: leave it, and over which length that fades, in mm.
_TENT_SHARE, _TENT_MM, _TENT_FADES_MM = 0.5, (0.2, 1.2), (1.0, 3.0)

#: Radius of the thickest places, in mm.
_THICKEST_MM, _THICKEST_NODULE_MM = 2.6, 1.7

#: Of the body's volume, no more leaves it.
_LARGEST_SHARE = 0.35

#: Pieces of fewer voxels are noise to the eye.
_SPECK_VOXELS = 7

#: Half the width of a strand where it leaves the body, and how far apart the lines are that it is
#: drawn by, in mm: strands are ribbons, as the sheets are that a tumor draws in. Of a thread a
#: slice hardly ever shows more than a dot.
_HALF_WIDTH_MM, _LINES_MM = (0.6, 2.4), 0.8

#: Strands and nodules gather around so many points of a surface: patients' tumors are smooth on one
#: side and frayed on another. The share that gathers nowhere, and how wide they gather, over the
#: body's mean radius.
_POLES, _ANYWHERE, _GATHERED = 3, 0.5, 0.6

#: Distances from strands are drawn up to here, in mm.
_NEAR_MM = 3.0

#: So far beside a strand its distance is exact, in mm.
_BESIDE_MM = 1.5


class _Margin(NamedTuple):
    """How often a kind of margin is met, its strands, the mean of its nodules."""

    share: float
    strands: tuple[int, int]
    length_mm: tuple[float, float]
    nodules: float


#: Spiculated, irregular and circumscribed masses, as phantoms have them; beside clumps of a
#: non-mass lesion lie clumps.
_MARGINS = {
    "mass": (
        _Margin(0.5, (14, 56), (3.0, LONGEST_MM), 14.0),
        _Margin(0.35, (6, 28), (2.5, 12.0), 11.0),
        _Margin(0.15, (0, 4), (2.0, 8.0), 3.0),
    ),
    "non-mass": (_Margin(1.0, (3, 14), (3.0, 12.0), 14.0),),
}


@dataclass(frozen=True)
class Fringe:
    """Strands and nodules of one tumor.

    Args:
        seed: Of their courses.
        strands: How many set out from the surface.
        nodules: How many lie beside it.
        length_mm: Range of the strands' lengths.
        reach_mm: How far each goes, strands first, where what may hold a tumor ends before it
            does; 0 leaves it out. Empty: all go to their ends.
    """

    seed: int
    strands: int
    nodules: int
    length_mm: tuple[float, float] = (4.0, LONGEST_MM)
    reach_mm: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "seed": self.seed,
            "strands": self.strands,
            "nodules": self.nodules,
            "length_mm": list(self.length_mm),
            "reach_mm": list(self.reach_mm),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fringe:
        """Read what `to_dict` wrote.

        Raises:
            KeyError: If something is missing.
            TypeError: If something is of another kind.
            ValueError: If a number is out of range.
        """
        strands = check_whole("strands", values["strands"], 0, MAX_STRANDS)
        nodules = check_whole("nodules", values["nodules"], 0, MAX_STRANDS)
        low, high = (check_number("length_mm", v, 0.5, LONGEST_MM) for v in values["length_mm"])
        reach = tuple(check_number("reach_mm", v, 0, 3 * LONGEST_MM) for v in values["reach_mm"])
        if len(reach) not in (0, strands + nodules):
            raise ValueError(f"reach_mm needs {strands + nodules} numbers, got {len(reach)}")
        return cls(check_seed(values["seed"], "seed"), strands, nodules, (low, high), reach)


def draw_fringe(diameter_mm: float, category: str | None, generator: torch.Generator) -> Fringe:
    """How much leaves a body of this size and category.

    Args:
        diameter_mm: Equivalent-sphere diameter of the body.
        category: "mass", "rim" or "non-mass"; None is taken for a mass.
        generator: On the CPU.
    """
    first, second, third, fourth = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    margins = _MARGINS["non-mass" if category == "non-mass" else "mass"]
    bounds = np.cumsum([margin.share for margin in margins])
    margin = margins[min(int(np.searchsorted(bounds, first)), len(margins) - 1)]
    over = (diameter_mm / _FULL_FROM_MM) ** _STRANDS_GROW
    full = min(1.0, over)
    low, high = margin.strands
    strands = round(over * (low + second * (high - low)))
    # Few as a rule, many at times.
    nodules = round(full * margin.nodules * -math.log(max(third, 1e-6)) * (0.5 + fourth))
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    return Fringe(seed, min(strands, MAX_STRANDS), min(nodules, MAX_STRANDS), margin.length_mm)


class Courses(NamedTuple):
    """Where strands and nodules run in their window.

    Args:
        points: Positions a step apart, in voxels of 1 mm, one array `(steps, 3)` each.
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
    count = fringe.strands + fringe.nodules
    near = (body.abs() < 0.75).nonzero().numpy().astype(float)
    if count == 0 or len(near) == 0:
        return Courses([], [], [])
    generator = torch.Generator().manual_seed(fringe.seed)

    def uniform(*shape: int) -> np.ndarray:
        return np.asarray(torch.rand(shape, generator=generator, dtype=torch.float64).numpy())

    def normal(*shape: int) -> np.ndarray:
        return np.asarray(torch.randn(shape, generator=generator, dtype=torch.float64).numpy())

    starts = near[_uneven(near, uniform(count), uniform(_POLES))]
    out = _outward(body, starts)
    own = np.arange(count) < fringe.strands
    heading = _unit(out + np.where(own, 0.35, 0.5)[:, None] * normal(count, 3))
    low, high = fringe.length_mm
    length = np.minimum(low + (high - low) / 5 * -np.log(uniform(count).clip(1e-6)), high)
    length = np.where(own, length, 2.5 + 8.0 * uniform(count))
    # Nodules begin some mm off the surface and go anywhere.
    off = np.where(own, -1.5, 2.5 + 2.5 * -np.log(uniform(count).clip(1e-6)))
    starts = starts + off[:, None] * out
    wander = normal(count, 3)
    heading = np.where(own[:, None], heading, _unit(wander))
    steps = np.maximum((length + np.where(own, 1.5, 0.0)) / _STEP_MM, 2).astype(int)
    turns = normal(int(steps.max()), count, 3)
    turns = ndimage.gaussian_filter1d(turns, 3, axis=0) * np.where(own, 0.2, 0.5)[None, :, None]
    thick = np.where(
        own, 0.55 + 0.35 * uniform(count), 0.85 + 0.3 * -np.log(uniform(count).clip(1e-6))
    )
    tents = np.where(uniform(count) < _TENT_SHARE, _between(_TENT_MM, uniform(count)), 0.0)
    fades = _between(_TENT_FADES_MM, uniform(count))
    across = normal(count, 3)
    across = _unit(across - (across * out).sum(1, keepdims=True) * out)
    across *= np.where(own, _between(_HALF_WIDTH_MM, uniform(count)), 0.0)[:, None]
    knots = np.exp(0.4 * ndimage.gaussian_filter1d(normal(count, int(steps.max())), 1.5, axis=1))
    trail = []
    for turn in turns:
        heading = _unit(heading + turn)
        starts = starts + _STEP_MM * heading
        trail.append(starts)
    whole = np.stack(trail, axis=1)
    points, radii, sides = [], [], []
    left_mm3 = _LARGEST_SHARE * float((body <= 0).sum())
    for k, n in enumerate(steps):
        if own[k]:
            tent = tents[k] * np.exp(-_STEP_MM * np.arange(n) / fades[k])
            radius = thick[k] * np.linspace(1.0, 0.5, n) + tent
        else:
            radius = np.minimum(thick[k] * knots[k, :n], _THICKEST_NODULE_MM)
        radius = np.minimum(radius, _THICKEST_MM)
        side = np.linspace(1.0, 0.0, n)[:, None] * across[k]
        thick_mm = np.pi * radius + 4 * np.linalg.norm(side, axis=1)
        mm3 = _STEP_MM * float((thick_mm * radius).sum())
        if mm3 > left_mm3:
            radius = radius[:0]
        else:
            left_mm3 -= mm3
        points.append(whole[k, : len(radius)])
        radii.append(radius)
        sides.append(side[: len(radius)])
    return Courses(points, radii, sides)


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
            reach.append(round(ends * _STEP_MM, 1) if ends * _STEP_MM > 3.0 else 0.0)
        else:
            reach.append(round(len(fits) * _STEP_MM, 1) if fits.all() else 0.0)
    return replace(fringe, reach_mm=tuple(reach))


def joined(body: Tensor, fringe: Fringe, courses: Courses) -> Tensor:
    """Signed distance to the surface of a body with what leaves it.

    Args:
        body: As for `courses_of`.
        fringe: With its reach.
        courses: Where it runs.

    Returns:
        Same shape, in mm; as many voxels inside as the body had alone.
    """
    reach = fringe.reach_mm or (math.inf,) * len(courses.points)
    points, radii = [], []
    for path, sizes, side, mm in zip(*courses, reach, strict=True):
        n = min(round(min(mm, 1e3) / _STEP_MM), len(path))
        points.append(path[:n])
        radii.append(sizes[:n])
        half = np.linalg.norm(side[:n], axis=1)
        for off in np.arange(_LINES_MM, half.max(initial=0.0), _LINES_MM):
            wide = half > off
            beside = off * _unit(side[:n][wide])
            points += [path[:n][wide] + beside, path[:n][wide] - beside]
            radii += [sizes[:n][wide]] * 2
    if not sum(len(p) for p in points):
        return body
    shape = tuple(body.shape)
    tubes = torch.from_numpy(_tubes(np.concatenate(points), np.concatenate(radii), shape))
    specks = islets(torch.minimum(body, tubes) <= 0, _SPECK_VOXELS, 1.0, corners=True)
    if specks is not None:
        tubes = torch.where(touched(specks[None])[0], _NEAR_MM, tubes)
    # The body alone gives way: strands made thinner would fall to pieces.
    left = int((body <= 0).sum()) - int((tubes <= 0).sum())
    beside = body[tubes > 0]
    level = float(beside.kthvalue(min(max(left, 1), len(beside))).values)
    return torch.minimum(body - level, tubes)


def _tubes(points: np.ndarray, radii: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Signed distance to a union of balls, at most `_NEAR_MM`, shape `shape`, float32."""
    around = math.ceil(float(radii.max()) + _BESIDE_MM)
    # In an array with that much around, no ball of a point inside ends beyond it.
    wide = np.full([n + 2 * around for n in shape], _NEAR_MM, np.float32)
    steps = np.array([wide.shape[1] * wide.shape[2], wide.shape[2], 1])
    middles = np.rint(points).astype(int)
    inside = ((middles >= 0) & (middles < np.array(shape))).all(1)
    # Most are thin: they are not drawn by the balls that the few thick ones need.
    reaches = np.ceil(radii + _BESIDE_MM).astype(int)
    for reach in np.unique(reaches[inside]):
        which = inside & (reaches == reach)
        line = np.arange(-reach, reach + 1)
        ball = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
        ball = ball[(ball**2).sum(1) <= (reach + 0.5) ** 2]
        off = middles[which] - points[which]
        squares = (ball**2).sum(1) + (off**2).sum(1)[:, None] + 2 * off @ ball.T
        away = np.sqrt(squares.clip(min=0)) - radii[which][:, None]
        voxels = ((middles[which] + around) @ steps)[:, None] + ball @ steps
        np.minimum.at(wide.reshape(-1), voxels.ravel(), away.ravel().astype(np.float32))
    inner = (slice(around, -around),) * 3
    return np.ascontiguousarray(wide[inner])


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
    return _unit(slopes.astype(float))


def _between(ends: tuple[float, float], share: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * share


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-6))
