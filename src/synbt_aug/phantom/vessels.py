"""Blood vessels as random walks from the edge of the breast towards the nipple."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage, signal
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness, blur
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Torso

STEP_MM = 0.5


def splat(grid: Grid, points_mm: np.ndarray, weight: np.ndarray) -> Tensor:
    """Write each point's weight into its voxel; where several meet, the largest stays."""
    volume = np.zeros(grid.shape, np.float32)
    index = np.round(grid.index(points_mm)).astype(int)
    ok = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
    np.maximum.at(volume, tuple(index[ok].T), np.asarray(weight, np.float32)[ok])
    return torch.from_numpy(volume)


def grow_vessels(torso: Torso, labels: Tensor, rnd: Randomness) -> Tensor:
    """Draw vessels into `labels`; returns their partial volume, shape of the grid."""
    points: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for breast in torso.breasts:
        for _ in range(int(rnd.numbers.integers(5, 11))):
            angle = rnd.uniform(0, 2 * np.pi)
            start = np.array(
                [
                    breast.center[0] + 0.88 * breast.radii[0] * np.cos(angle),
                    breast.base_y - rnd.uniform(-2, 12),
                    breast.center[1] + 0.88 * breast.radii[1] * np.sin(angle),
                ]
            )
            goal = np.array(breast.nipple)
            goal[1] += rnd.uniform(6, 30)
            goal += rnd.numbers.normal(0, 10, 3)
            stop = start + (goal - start) * rnd.uniform(0.5, 0.95)
            _walk(start, stop, rnd.uniform(0.35, 1.0), 0, points, weights, rnd)
    if not points:
        return torch.zeros(torso.grid.shape)
    lines = splat(torso.grid, np.concatenate(points), np.concatenate(weights))
    tissue = (labels == Tissue.FAT) | (labels == Tissue.GLAND)
    weight = (blur(lines, (0.8, 0.8, 0.8)) * 4.2).clamp(0, 1)
    weight = weight * (tissue & (torso.skin_depth > 1))
    labels[weight > 0.5] = Tissue.VESSEL
    return weight


def _walk(
    start: np.ndarray,
    stop: np.ndarray,
    radius: float,
    generation: int,
    points: list[np.ndarray],
    weights: list[np.ndarray],
    rnd: Randomness,
) -> None:
    """One wavering vessel and, at random, its branches (two generations)."""
    length = float(np.linalg.norm(stop - start))
    count = int(length / STEP_MM)
    if count < 8:
        return
    wobble = ndimage.gaussian_filter1d(rnd.numbers.normal(size=(count, 3)), 8, axis=0) * 1.8
    target = (stop - start) / length
    # Heading: 88 % of the one before, 12 % of the target's, plus a slow wobble.
    heading = target + signal.lfilter([0.2], [1, -0.88], wobble, axis=0)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    path = start + STEP_MM * np.cumsum(heading, axis=0)
    points.append(path)
    weights.append(radius * (1 - 0.55 * np.arange(count) / count))
    if generation == 2:
        return
    for i in np.flatnonzero(rnd.numbers.random(count) < 0.018):
        branch = (rnd.numbers.normal(size=3) * 0.7 + heading[i]) * rnd.uniform(10, 26)
        _walk(path[i], path[i] + branch, 0.65 * radius, generation + 1, points, weights, rnd)
