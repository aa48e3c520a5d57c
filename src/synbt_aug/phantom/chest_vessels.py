"""Vessels of the chest wall, and long ones that run from it and from the armpit into the breast.

Behind the muscle beside the sternum (internal mammary), between the ribs, in the muscle, and from
both sides towards the nipple: tubes that one sees along their length as well as in section.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.strands import STEP_MM, follow, tube_weight
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.torso import Breast, Torso

#: Number (upper end not included), radius in mm and length in mm of each kind, per breast.
TRUNKS, TRUNK_RADIUS_MM, TRUNK_MM = (4, 11), (0.65, 0.3, (0.35, 1.4)), (35.0, 110.0)
IN_MUSCLE, MUSCLE_RADIUS_MM, MUSCLE_MM = (2, 7), (0.45, 1.1), (12.0, 50.0)
INTERCOSTAL, INTERCOSTAL_RADIUS_MM = (1, 4), (0.5, 1.2)
MAMMARY_RADIUS_MM, MAMMARY_SHARE = (0.5, 1.4), 0.6

Tubes = list[tuple[np.ndarray, np.ndarray]]


def grow_chest_vessels(torso: Torso, fascia: Tensor, rnd: Randomness) -> Tensor:
    """Partial volume (0..1) of these vessels, shape of the grid.

    Args:
        torso: The body.
        fascia: Where muscle begins, mm below the chest's surface, shape `(X, 1, Z)`.
        rnd: Source of randomness.
    """
    tubes: Tubes = []
    for breast in torso.breasts:
        tubes += _behind_muscle(torso, breast, fascia, rnd)
        tubes += _in_muscle(torso, breast, fascia, rnd)
        tubes += _trunks(torso, breast, fascia, rnd)
    paths, radii = zip(*tubes)
    weight = tube_weight(torso.grid, np.concatenate(paths), np.concatenate(radii))
    return weight * (torso.skin_depth > 1)


def below_fascia(
    torso: Torso, fascia: Tensor, x: np.ndarray, z: np.ndarray, depth_mm: float
) -> np.ndarray:
    """Points (mm) that lie so far below the muscle's surface (negative: in front), `(N, 3)`.

    Args:
        torso: The body.
        fascia: See `grow_chest_vessels`.
        x: Positions in mm, shape `(N,)`; outside the field its edge counts.
        z: Likewise.
        depth_mm: Depth below the surface.
    """
    grid = torso.grid
    index = np.round(grid.index(np.stack([x, 0 * x, z], axis=1))).astype(int)
    i, k = (np.clip(index[:, d], 0, grid.shape[d] - 1) for d in (0, 2))
    deep = torso.chest_depth.numpy()[i, :, k] >= fascia.numpy()[i, 0, k, None] + depth_mm
    j = np.where(deep.any(axis=1), deep.argmax(axis=1), grid.shape[1])
    y = ndimage.gaussian_filter1d(j * grid.spacing[1] + grid.origin_mm[1], 4.0, mode="nearest")
    return np.stack([x, y, z], axis=1)


def _winding(count: int, amplitude_mm: float, rnd: Randomness) -> np.ndarray:
    """A slow wave along a path, shape `(count,)`."""
    wave = ndimage.gaussian_filter1d(rnd.numbers.normal(size=count), 12.0, mode="nearest")
    return amplitude_mm * wave / (wave.std() + 1e-6)


def _behind_muscle(torso: Torso, breast: Breast, fascia: Tensor, rnd: Randomness) -> Tubes:
    """Artery and vein beside the sternum, and a few vessels along the ribs."""
    tubes: Tubes = []
    reach_x, reach_z = 0.5 * torso.grid.extent_mm[0], 0.5 * torso.grid.extent_mm[2]
    middle_x = torso.grid.origin_mm[0] + reach_x
    z = np.arange(-reach_z, reach_z, STEP_MM)
    beside, deep = breast.side * rnd.uniform(13, 24), rnd.uniform(10, 20)
    for apart in (0.0, rnd.uniform(3, 8)):
        # What lies behind bone or outside the coil's reach is not seen in every patient.
        if not rnd.chance(MAMMARY_SHARE):
            continue
        x = beside + breast.side * apart + _winding(len(z), 1.0, rnd)
        path = below_fascia(torso, fascia, x, z, deep)
        tubes.append((path, rnd.uniform(*MAMMARY_RADIUS_MM) * np.exp(_winding(len(z), 0.15, rnd))))
    for _ in range(int(rnd.numbers.integers(*INTERCOSTAL))):
        x = middle_x + np.arange(-reach_x, reach_x, STEP_MM)
        level = rnd.uniform(-reach_z, reach_z) - rnd.uniform(0.3, 0.6) * np.abs(x)
        path = below_fascia(torso, fascia, x, level + _winding(len(x), 1.5, rnd), deep + 3)
        radius = rnd.uniform(*INTERCOSTAL_RADIUS_MM) * np.exp(_winding(len(x), 0.3, rnd))
        tubes.append((path, radius))
    return tubes


def _in_muscle(torso: Torso, breast: Breast, fascia: Tensor, rnd: Randomness) -> Tubes:
    """Branches that run within the muscle, or on it."""
    tubes: Tubes = []
    for _ in range(int(rnd.numbers.integers(*IN_MUSCLE))):
        steps = np.arange(0, rnd.uniform(*MUSCLE_MM), STEP_MM)
        angle = rnd.uniform(0, 2 * np.pi)
        x = breast.center[0] + rnd.normal(0, 0.6) * breast.radii[0] + steps * np.cos(angle)
        z = breast.center[1] + rnd.normal(0, 0.6) * breast.radii[1] + steps * np.sin(angle)
        across = _winding(len(steps), 1.5, rnd)
        x, z = x - across * np.sin(angle), z + across * np.cos(angle)
        path = below_fascia(torso, fascia, x, z, rnd.uniform(-2, 8))
        radius = rnd.uniform(*MUSCLE_RADIUS_MM) * np.linspace(1, 0.5, len(path))
        tubes.append((path, radius))
    return tubes


def _trunks(torso: Torso, breast: Breast, fascia: Tensor, rnd: Randomness) -> Tubes:
    """Long vessels from beside the sternum or from the armpit, with a branch or two."""
    tubes: Tubes = []
    nipple = np.asarray(breast.nipple)
    for _ in range(int(rnd.numbers.integers(*TRUNKS))):
        outer = breast.side if rnd.chance(0.6) else -breast.side
        x = breast.center[0] + outer * rnd.uniform(0.75, 1.05) * breast.radii[0]
        z = breast.center[1] + rnd.uniform(-0.5, 0.9) * breast.radii[1]
        start = below_fascia(torso, fascia, np.array([x]), np.array([z]), rnd.uniform(-6, 2))[0]
        goal = nipple + np.array([0, rnd.uniform(5, 40), 0]) + rnd.numbers.normal(0, 14, 3)
        ahead = (goal - start) / (np.linalg.norm(goal - start) + 1e-6)
        heading = ahead + rnd.numbers.normal(0, 0.35, 3)
        (path,) = follow(
            start, heading, np.array([rnd.uniform(*TRUNK_MM)]), rnd, wobble=0.06, lean=ahead
        )
        radius = rnd.lognormal(*TRUNK_RADIUS_MM) * np.linspace(1.0, 0.5, len(path))
        tubes.append((path, radius))
        forks = rnd.numbers.integers(8, len(path) - 5, int(rnd.numbers.integers(0, 3)))
        if len(forks):
            turned = path[forks + 4] - path[forks] + rnd.numbers.normal(0, 1.2, (len(forks), 3))
            branches = follow(path[forks], turned, 0.5 * len(path) * STEP_MM * np.ones(len(forks)),
                              rnd, wobble=0.08)  # fmt: skip
            tubes += [
                (b, 0.75 * radius[f] * np.linspace(1, 0.45, len(b)))
                for f, b in zip(forks, branches)
            ]
    return tubes
