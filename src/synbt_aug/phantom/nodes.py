"""Lymph nodes: small ovals that enhance as fast as tumors do and are none.

Most lie in the armpit, between breast and chest wall; a few inside the breast. They keep a
fatty hilum, so they are shells.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Breast, Torso

INTRAMAMMARY_SHARE = 0.06


def grow_nodes(torso: Torso, labels: Tensor, fascia: Tensor, rnd: Randomness) -> Tensor:
    """Partial volume of nodes over the grid; marks them as `VESSEL` in `labels`."""
    weight = torch.zeros(torso.grid.shape)
    for breast in torso.breasts:
        for _ in range(int(rnd.numbers.integers(0, 4))):
            _add_node(torso, labels, fascia, weight, _armpit(torso, breast, fascia, rnd), rnd)
        if rnd.chance(INTRAMAMMARY_SHARE):
            offset = np.array([0.5 * breast.side * breast.radii[0], 0, 0.4 * breast.radii[1]])
            center = np.array([breast.center[0], breast.base_y - 0.3 * breast.height, 0])
            center += offset + rnd.numbers.normal(0, 6, 3)
            _add_node(torso, labels, fascia, weight, center, rnd)
    return weight


def _armpit(torso: Torso, breast: Breast, fascia: Tensor, rnd: Randomness) -> np.ndarray:
    """A point (mm) lateral and superior, in the fat just in front of the muscle."""
    x = breast.side * rnd.uniform(0.68, 0.92) * torso.half_width
    z = rnd.uniform(0.15, 0.5) * torso.grid.extent_mm[2]
    grid = torso.grid
    column = np.round(grid.index((x, 0, z))).astype(int)
    i, k = (int(np.clip(column[d], 0, grid.shape[d] - 1)) for d in (0, 2))
    depth = torso.chest_depth[i, :, k] - (fascia[i, 0, k] - rnd.uniform(3, 8))
    j = int(torch.argmin(depth.abs()))
    return np.array([x, j * grid.spacing[1] + grid.origin_mm[1], z])


def _add_node(
    torso: Torso, labels: Tensor, fascia: Tensor, weight: Tensor, center: np.ndarray,
    rnd: Randomness,
) -> None:  # fmt: skip
    grid = torso.grid
    radius = rnd.uniform(1.8, 4.5)
    low = np.maximum(np.floor(grid.index(center - 2 * radius)).astype(int), 0)
    high = np.minimum(np.ceil(grid.index(center + 2 * radius)).astype(int) + 1, grid.shape)
    if (high <= low).any():
        return
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    node = _oval(grid.crop(box), center, radius, rnd)
    fat = (labels[box] == Tissue.FAT) & (torso.chest_depth[box] < fascia[box[0], :, box[2]])
    node = node * (fat & (torso.skin_depth[box] > 4))
    weight[box] = torch.maximum(weight[box], node)
    labels[box][node > 0.5] = Tissue.VESSEL


def _oval(grid: Grid, center: np.ndarray, radius: float, rnd: Randomness) -> Tensor:
    offsets = [c - float(m) for c, m in zip(grid.axes(), center)]
    stretch = np.exp(rnd.numbers.normal(0, 0.35, 3))
    r2 = sum((o / float(s)) ** 2 for o, s in zip(offsets, stretch))
    uneven = 0.18 * radius * grid.smooth_noise(1.2 * radius, generator=rnd.fields)
    toward = rnd.numbers.normal(size=3)
    toward *= 0.55 * radius / np.linalg.norm(toward)
    hilum = sum((o - float(t)) ** 2 for o, t in zip(offsets, toward))
    solid = torch.sigmoid((radius + uneven - torch.sqrt(torch.as_tensor(r2))) / 0.5)
    hollow = torch.sigmoid((0.6 * radius + uneven - torch.sqrt(torch.as_tensor(hilum))) / 0.5)
    return solid * (1 - 0.85 * hollow)
