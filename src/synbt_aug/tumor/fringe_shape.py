"""The surface of a tumor's body together with the strands and nodules that leave it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.grid.mask import around
from synbt_aug.grid.support import islets, touched
from synbt_aug.tumor.fringe import Fringe
from synbt_aug.tumor.fringe_courses import STEP_MM, Courses, unit

#: How far apart the lines are that a ribbon is drawn by, in mm.
_LINES_MM = 0.8

#: Pitches of the noise that roughens a surface, in mm, and their shares of its power.
_PITCHES = ((2, 0.5), (6, 0.5))

#: Farther out than this nothing is roughened, in mm.
_ROUGHENED_MM = 4.0

#: The same of the noise by which an edge is softer here than there.
_SOFT_PITCHES = ((8, 1.0),)

#: SD along a surface of `Fringe.soft`, before it is cut off at 0 and 1.
_SOFT_SD = 0.35

#: A distance is a blend's width: where the edge is softest it is this share of itself, which makes
#: the blend 3.3 mm wide in place of 2. Wider ones would leave the support, 2 mm beyond the label.
_SOFTEST = 0.6

#: Tell these noises from the courses, of the same seed.
_ROUGHNESS_STREAM, _SOFT_STREAM = 0x50F7, 0x50F8

#: Pieces of fewer voxels are noise to the eye.
_SPECK_VOXELS = 7

#: Enclosed holes of fewer voxels are pinholes to the eye; filled, they lie so deep in the body.
_PINHOLE_VOXELS, _FILLED_MM = 30, 1.0

#: Distances from strands are drawn up to here, in mm.
_NEAR_MM = 3.0

#: So far beside a strand its distance is exact, in mm.
_BESIDE_MM = 1.5


def joined(body: Tensor, fringe: Fringe, courses: Courses) -> Tensor:
    """Signed distance to the surface of a body with what leaves it.

    Args:
        body: As for `courses_of`.
        fringe: With its reach.
        courses: Where it runs.

    Returns:
        Same shape, in mm; as many voxels inside as the body had alone.
    """
    points, radii = _lines(fringe, courses)
    if not len(points) and not fringe.rough_mm:
        return softened(body, fringe)
    target = int((body <= 0).sum())
    if fringe.rough_mm:
        body = _roughened(body, fringe)
    tubes = torch.full_like(body, _NEAR_MM)
    if len(points):
        tubes = torch.from_numpy(_tubes(points, radii, tuple(body.shape)))
    specks = islets(torch.minimum(body, tubes) <= 0, _SPECK_VOXELS, 1.0, corners=True)
    if specks is not None:
        tubes = torch.where(touched(specks[None])[0], _NEAR_MM, tubes)
    body = body - _level_beside(body, tubes, target)
    pinholes = islets(torch.minimum(body, tubes) > 0, _PINHOLE_VOXELS, 1.0)
    if pinholes is not None:
        body = torch.where(pinholes, -_FILLED_MM, body)
        body = body - _level_beside(body, tubes, target)
    return torch.minimum(softened(body, fringe), tubes)


def _level_beside(body: Tensor, tubes: Tensor, target: int) -> float:
    """At which a body and the tubes hold `target` voxels; tubes stay, for thinner ones break."""
    left = target - int((tubes <= 0).sum())
    beside = body[tubes > 0]
    return float(beside.kthvalue(min(max(left, 1), len(beside))).values)


def softened(surface: Tensor, fringe: Fringe) -> Tensor:
    """The same surface with distances by which the blend is wider in parts: softer edges.

    Args:
        surface: Signed distance, in mm, shape `(d, h, w)`.
        fringe: With its `soft`.

    Returns:
        Same shape, of the same sign everywhere.
    """
    box = around(surface < _ROUGHENED_MM, 0)
    if box is None or not fringe.soft:
        return surface
    surface = surface.clone()
    part = surface[box]
    waves = _waves(tuple(part.shape), _SOFT_PITCHES, fringe.seed ^ _SOFT_STREAM)
    share = (fringe.soft + _SOFT_SD * waves).clamp_(0, 1)
    part *= 1 - (1 - _SOFTEST) * share
    return surface


def _roughened(body: Tensor, fringe: Fringe) -> Tensor:
    """A distance whose zero goes up and down by noise of several mm; far from it as it was."""
    box = around(body < _ROUGHENED_MM, 0)
    if box is None:
        return body
    body = body.clone()
    part = body[box]
    waves = _waves(tuple(part.shape), _PITCHES, fringe.seed ^ _ROUGHNESS_STREAM)
    part += fringe.rough_mm * waves
    return body


def _waves(shape: tuple[int, ...], pitches: Sequence[tuple[int, float]], seed: int) -> Tensor:
    """Noise of SD 1 with these pitches, in voxels, and shares of its power."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.zeros(shape)
    d, h, w = shape
    for pitch, share in pitches:
        coarse = torch.randn([1, 1, *(n // pitch + 2 for n in shape)], generator=generator)
        fine = F.interpolate(coarse, scale_factor=pitch, mode="trilinear", align_corners=False)
        # Between its points, an interpolated field of SD 1 has a variance of 2/3 for each axis.
        waves += math.sqrt(share * 1.5**3) * fine[0, 0, :d, :h, :w]
    return waves


def _lines(fringe: Fringe, courses: Courses) -> tuple[np.ndarray, np.ndarray]:
    """All points that are drawn, shape `(n, 3)`, and their radii, shape `(n,)`."""
    reach = fringe.reach_mm or (math.inf,) * len(courses.points)
    points, radii = [np.empty((0, 3))], [np.empty(0)]
    for path, sizes, side, mm in zip(*courses, reach, strict=True):
        n = min(round(min(mm, 1e3) / STEP_MM), len(path))
        points.append(path[:n])
        radii.append(sizes[:n])
        half = np.linalg.norm(side[:n], axis=1)
        for off in np.arange(_LINES_MM, half.max(initial=0.0), _LINES_MM):
            wide = half > off
            beside = off * unit(side[:n][wide])
            points += [path[:n][wide] + beside, path[:n][wide] - beside]
            radii += [sizes[:n][wide]] * 2
    return np.concatenate(points), np.concatenate(radii)


def _tubes(points: np.ndarray, radii: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Signed distance to a union of balls, at most `_NEAR_MM`, shape `shape`, float32."""
    margin = math.ceil(float(radii.max()) + _BESIDE_MM)
    # In an array with that much around, no ball of a point inside ends beyond it.
    wide = np.full([n + 2 * margin for n in shape], _NEAR_MM, np.float32)
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
        voxels = ((middles[which] + margin) @ steps)[:, None] + ball @ steps
        np.minimum.at(wide.reshape(-1), voxels.ravel(), away.ravel().astype(np.float32))
    inner = (slice(margin, -margin),) * 3
    return np.ascontiguousarray(wide[inner])
