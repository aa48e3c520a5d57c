"""How a lesion takes up contrast, voxel by voxel: uneven, with septa, rims and clip voids."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.lesion import Growth
from synbt_aug.phantom.texture import Grid, Randomness, bounding_box, foam, grain

# kep (per min) and ve by curve type: kep sets when the curve turns, ve how high it gets.
KEP_RANGE = {"washout": (0.45, 1.2), "plateau": (0.19, 0.33), "persistent": (0.05, 0.11)}
VE_RANGE = {"washout": (0.25, 0.50), "plateau": (0.38, 0.65), "persistent": (0.55, 0.90)}

# Factor on the uptake, lognormal: weakly enhancing tumors as often as patients have them.
LEVEL_MEDIAN, LEVEL_SIGMA, LEVEL_RANGE = 0.64, 0.40, (0.15, 1.8)
LEVEL_APART = 0.15

# Cells of the uptake's unevenness in mm and how strong each is, and the same of its grain.
UNEVEN_MM = ((20.0, 0.75), (7.0, 0.45))
# Patients have dark spots rather than bright ones: x SD become (1 - exp(-p x)) / p, this is p of
# both cells and of the grain, whose spots would be pepper if they were as dark.
DARKER, DARKER_FINE = 1.3, 0.4
# Ridges between nodules of this size, and how strong they are.
RIDGES_MM, RIDGED = 4.5, 0.2
FINE_MM, FINE_UNEVENNESS = 0.9, 0.4

# What varies before contrast as after it: how strong, how dark its spots are, and where it ends,
# in SD: beyond, spots would be pepper.
MOTTLED, DARKER_MOTTLE, MOTTLE_MOST = (0.04, 0.10), 0.35, 2.5
# Patients' tumors have edges that are darker before contrast than after it: a stand-in for what
# lies between their outermost cells. By which share T1 is longer at the surface, and outside of it,
# and how fast that falls inside.
EDGE_T1, EDGE_MM = (0.12, 0.6), 1.0

MIDDLE_LESS = 0.45  # of the logarithm, 10 mm deep

MIN_OVER_GLAND = 4.5  # of the uptake

CLIP_SHARE = 0.35
CLIP_RADIUS_MM = (1.0, 2.2)


def draw_level(rnd: Randomness) -> float:
    """How strongly a patient's tumor takes up contrast, as a factor."""
    return min(max(rnd.lognormal(LEVEL_MEDIAN, LEVEL_SIGMA), LEVEL_RANGE[0]), LEVEL_RANGE[1])


class LesionUptake:
    """Uptake and signal of one lesion; tensors have the shape of its box.

    `ktrans` is per minute; `ve` and `vp` are shares of a voxel; `t1_factor` multiplies the tumor's
    T1 before contrast, `mottle` its signal; `void` is the share of signal that a clip takes, None
    without clips.

    Args:
        growth: The lesion.
        anatomy: The patient it grows in.
        gland_ktrans: Of the patient's gland, per minute.
        level: See `draw_level`; companions of a tumor differ from it a little.
        rnd: Source of randomness.
    """

    def __init__(
        self,
        growth: Growth,
        anatomy: Anatomy,
        gland_ktrans: float,
        level: float,
        rnd: Randomness,
    ):
        grid = anatomy.torso.grid.crop(growth.box)
        curve, g = growth.lesion.curve, rnd.fields
        self.box, self.weight, self.core = growth.box, growth.weight, growth.core
        ve, kep = rnd.uniform(*VE_RANGE[curve]), rnd.uniform(*KEP_RANGE[curve])
        level = level * rnd.lognormal(1.0, LEVEL_APART)
        coarse = sum((w * grid.smooth_noise(c, generator=g) for c, w in UNEVEN_MM), torch.zeros(1))
        ridges = 1 - 1.6 * grid.smooth_noise(RIDGES_MM, generator=g).abs()
        fine = RIDGED * ridges + FINE_UNEVENNESS * grain(grid, FINE_MM, generator=g)
        # Some regions are coarse, others smooth.
        fine = fine * torch.exp(0.5 * grid.smooth_noise(14, generator=g)).clamp(0.3, 2)
        # A tumor that the gland outshines would not have been found.
        level = max(level, MIN_OVER_GLAND * gland_ktrans / (ve * kep))
        septa = _septa(growth, grid, rnd)
        depth = _depth(growth, grid)
        edge = _edge(depth, grid, rnd)
        uneven = _darker(coarse, DARKER) + _darker(fine, DARKER_FINE)
        relief = torch.exp((growth.unevenness * uneven + edge).clamp(-0.9, 0.9)) * (1 - septa)
        inside = growth.weight > 0.5
        relief = relief / relief[inside].mean().clamp_min(0.3) if inside.any() else relief
        # Weak and strong parts differ in how much they hold; how fast it turns over stays theirs.
        held = ve * level * relief
        self.ve = (held * (1 + 0.15 * grid.smooth_noise(6, generator=g))).clamp(0.03, 0.95)
        self.ktrans = kep * held * (1 - 0.95 * growth.core)
        self.vp = rnd.uniform(0.02, 0.08) * level * (1 - 0.95 * growth.core) * (1 - septa)
        spots = grid.smooth_noise(2.6, generator=g, octaves=2, persistence=1.2)
        spots = spots.clamp(-MOTTLE_MOST, MOTTLE_MOST)
        self.mottle = 1 + rnd.uniform(*MOTTLED) * _darker(spots, DARKER_MOTTLE)
        self.t1_factor = 1 + 0.4 * growth.core + rnd.uniform(*EDGE_T1) * torch.exp(-depth / EDGE_MM)
        self.void = _clips(growth, grid, rnd)


def _septa(growth: Growth, grid: Grid, rnd: Randomness) -> Tensor:
    """Share (0..1) of uptake missing in thin walls between nodules of 5-11 mm."""
    tumor = growth.weight > 0
    warp = [1.5 * grid.smooth_noise(8, generator=rnd.fields) for _ in range(3)]
    x, y, z = ((c + w)[tumor] for c, w in zip(grid.axes(), warp))
    variant, cell_mm = int(rnd.numbers.integers(3)), rnd.uniform(5, 11)
    walls = foam(variant, cell_mm, x, y, z, rnd.numbers.uniform(-0.5, 0.5, 3))
    here = torch.sigmoid(2 * grid.smooth_noise(14, generator=rnd.fields))[tumor]
    thick = rnd.uniform(0.6, 1.3)
    share = torch.zeros(grid.shape)
    share[tumor] = rnd.uniform(0.0, 0.4) * here * torch.exp(-((walls / thick) ** 2))
    return share


def _darker(varies: Tensor, pits: float) -> Tensor:
    """What varies, with dark spots rather than bright ones."""
    return (1 - torch.exp(-pits * varies)) / pits


def _depth(growth: Growth, grid: Grid) -> Tensor:
    """Distance from the surface in mm, 0 outside: half a voxel in the outermost ones.

    The end of the grid is no surface: there the tumor goes on.
    """
    depth = torch.zeros(grid.shape)
    box = bounding_box(growth.weight > 0.5)
    if box is not None:
        # A margin of one voxel, so that there is an outside.
        wider = tuple(
            slice(max(b.start - 1, 0), min(b.stop + 1, n)) for b, n in zip(box, grid.shape)
        )
        inside = growth.weight[wider].numpy() > 0.5
        found, nearest = ndimage.distance_transform_edt(
            inside, sampling=grid.spacing, return_indices=True
        )
        # From voxel to voxel, and the surface is half a voxel nearer, along the way to it.
        spacing = np.array(grid.spacing)[:, None, None, None]
        way = (np.indices(inside.shape) - nearest) * spacing
        half = 0.5 * (way**2 * spacing).sum(0) / np.maximum(found, 1e-6) ** 2
        depth[wider] = torch.from_numpy((found - half).clip(0).astype(np.float32))
    return depth


def _edge(depth: Tensor, grid: Grid, rnd: Randomness) -> Tensor:
    """Log of the uptake near the surface over that deep inside: mostly brighter outside."""
    here = 1 + 0.8 * grid.smooth_noise(12, generator=rnd.fields)
    near = rnd.normal(0.11, 0.24) * here * torch.exp(-depth / 2.0)
    # The middle of a large tumor is often fed less.
    return near - rnd.uniform(0, MIDDLE_LESS) * here * (depth / 10).clamp_max(1.2)


def _clips(growth: Growth, grid: Grid, rnd: Randomness) -> Tensor | None:
    """Signal voids (0..1) of one or two biopsy clips inside some lesions; None without."""
    inner = torch.nonzero(growth.weight > 0.8).numpy()
    if not rnd.chance(CLIP_SHARE) or len(inner) == 0:
        return None
    void = torch.zeros(grid.shape)
    for _ in range(1 + int(rnd.chance(0.3))):
        voxel = inner[rnd.numbers.integers(len(inner))]
        middle = voxel * np.array(grid.spacing) + np.array(grid.origin_mm)
        stretch = np.exp(rnd.numbers.normal(0, 0.2, 3))
        offsets = [(c - float(m)) / float(s) for c, m, s in zip(grid.axes(), middle, stretch)]
        away = torch.sqrt(torch.as_tensor(sum(o**2 for o in offsets)))
        radius = rnd.uniform(*CLIP_RADIUS_MM)
        void = torch.maximum(void, 0.93 * torch.sigmoid((radius - away) / 0.35))
    return void * (void > 1e-3)
