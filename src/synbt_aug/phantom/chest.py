"""Behind the breasts: chest muscle, ribs, lung, heart, liver and the great vessels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synbt_aug.phantom.texture import Grid, Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Torso


def label_chest(torso: Torso, rnd: Randomness) -> tuple[Tensor, Tensor]:
    """Label everything deeper than the breasts.

    Returns:
        labels: int8 volume: air, fat, and the tissues of the chest.
        fascia: Depth (mm below the chest's surface) where the pectoral muscle begins,
            shape `(X, 1, Z)`. Breast tissue lies in front of it.
    """
    grid = torso.grid
    x, _, z = grid.axes()
    across = (x / torso.half_width).abs()
    midline = torch.exp(-((across / 0.17) ** 2))
    fascia = (rnd.uniform(7, 18) + _relief(grid, 2.0, rnd)) * (1 - 0.45 * midline)
    fascia = fascia.clamp_min(2.5)
    muscle = (
        rnd.uniform(10, 26)
        * torch.sigmoid((across - 0.10) * 40)
        * torch.exp(-(((z - 15) / 75) ** 2))
        * (1 - 1.2 * (across - 0.5).clamp(0, 0.5))
        * torch.exp(0.18 * _relief(grid, 1.4, rnd)).clamp(0.35, 2.2)
    )
    labels = torch.where(torso.body, int(Tissue.FAT), int(Tissue.AIR)).to(torch.int8)

    # Only the slab behind the foremost chest wall needs any further work.
    first = int(max(0, math.floor(float(grid.index((0, torso.chest_y, 0))[1])) - 2))
    if first >= grid.shape[1]:
        return labels, fascia
    box = (slice(0, grid.shape[0]), slice(first, grid.shape[1]), slice(0, grid.shape[2]))
    view = labels[box]
    depth, body = torso.chest_depth[box], torso.body[box]
    ribs_from = fascia + muscle + 1.5
    ribs_to = ribs_from + rnd.uniform(9, 13) + _relief(grid, 0.8, rnd)
    view[(depth > fascia) & (depth < ribs_from) & body] = Tissue.MUSCLE
    _label_ribs(view, grid.crop(box), torso, depth, ribs_from, ribs_to, rnd)
    for share in (rnd.uniform(0.35, 0.75), 1.0):
        plane = fascia + share * (ribs_from - fascia) + 0.5 * _relief(grid, 1.0, rnd)
        thick = rnd.uniform(0.1, 0.7) * (grid.smooth_noise(24, generator=rnd.fields, flat=1) + 0.3)
        near = (depth - plane).abs() < thick
        view[near & (view == Tissue.MUSCLE)] = Tissue.FAT
    inside = (depth >= ribs_to) & body
    view[inside] = Tissue.LUNG
    if inside.any():
        _label_organs(view, grid.crop(box), torso, inside, rnd)
    return labels, fascia


def _relief(grid: Grid, size_mm: float, rnd: Randomness) -> Tensor:
    """Broad and fine ups and downs of a layer, SD of about `size_mm`, shape `(X, 1, Z)`."""
    cells = ((34.0, 0.85), (13.0, 0.45), (6.0, 0.25))
    layers = [w * grid.smooth_noise(c, generator=rnd.fields, flat=1) for c, w in cells]
    return size_mm * torch.stack(layers).sum(dim=0)


def _label_ribs(
    view: Tensor,
    grid: Grid,
    torso: Torso,
    depth: Tensor,
    start: Tensor,
    stop: Tensor,
    rnd: Randomness,
) -> None:
    """Muscle from `start` to `stop`, and in it ribs that are ovals in section."""
    x, y, z = grid.axes()
    wall = (depth >= start) & (depth < stop) & torso.body[:, -grid.shape[1] :, :]
    view[wall] = Tissue.MUSCLE
    # Ribs run down and outwards; their spacing, depth and thickness wander.
    wander = grid.smooth_noise(40, generator=rnd.fields, flat=1)
    thickness = torch.exp(0.2 * grid.smooth_noise(30, generator=rnd.fields, flat=1))
    period = rnd.uniform(24, 31)
    along = z + rnd.uniform(0.3, 0.6) * x.abs() + 0.2 * y + 5 * wander + rnd.uniform(-13, 13)
    off = (along / period - (along / period).round()) * period
    tall, deep = rnd.uniform(5.0, 7.5) * thickness, rnd.uniform(3.2, 4.6) * thickness
    middle = (start + stop) / 2 + 0.7 * _relief(grid, 1.0, rnd)
    rib = (off / tall) ** 2 + ((depth - middle) / deep) ** 2 < 1
    view[wall & rib] = Tissue.BONE
    sternum = (x / torso.half_width).abs() < 0.085
    view[wall & sternum & (depth > start + 1)] = Tissue.BONE


def _label_organs(view: Tensor, grid: Grid, torso: Torso, inside: Tensor, rnd: Randomness) -> None:
    x, y, z = grid.axes()
    y0 = torso.chest_y
    coarse = grid.smooth_noise(36, generator=rnd.fields, octaves=2, persistence=0.4)

    heart = (
        ((x - rnd.uniform(10, 26)) / rnd.uniform(48, 62)) ** 2
        + ((y - y0 - rnd.uniform(74, 86)) / rnd.uniform(36, 46)) ** 2
        + ((z - rnd.uniform(-30, 5)) / rnd.uniform(45, 58)) ** 2
        + 0.16 * coarse
    )
    view[inside & (heart < rnd.uniform(1.10, 1.4))] = Tissue.FAT
    in_heart = inside & (heart < 1)
    view[in_heart] = Tissue.BLOOD
    # The septum and the left ventricle's thick wall; the right ventricle's is thin.
    septum = (x - 16 + 0.6 * (y - y0 - 80) + 9 * coarse).abs() < 4.5
    left = x - 16 + 0.6 * (y - y0 - 80) > 0
    wall = (left & (heart > 0.60)) | (~left & (heart > 0.90)) | septum
    view[in_heart & wall] = Tissue.MUSCLE

    lung = inside & (view == Tissue.LUNG)
    first, second = (grid.smooth_noise(18, generator=rnd.fields, octaves=2) for _ in range(2))
    view[lung & (first**2 + second**2 < 0.012)] = Tissue.BLOOD
    liver = (
        ((x + 75) / 95) ** 2
        + ((y - y0 - 100) / 80) ** 2
        + ((z + rnd.uniform(72, 98)) / rnd.uniform(50, 66)) ** 2
        + 0.08 * coarse
    )
    view[lung & (liver < 1)] = Tissue.LIVER
    aorta = (x - 14) ** 2 + (y - y0 - 165) ** 2 < rnd.uniform(10, 13) ** 2
    view[inside & aorta] = Tissue.BLOOD
