"""Tumors: where they grow, what shape they take and how they take up contrast.

A shape is a soft field on a box of the grid (1 tumor, 0 not); necrosis is a second field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.lesion_nonmass import ductal_shape
from synbt_aug.phantom.lesion_shape import draw_margin, mass_shape
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Grid, Randomness
from synbt_aug.phantom.tissue import Tissue

Box = tuple[slice, slice, slice]

MULTIFOCAL_SHARE = 0.40
# Masses, those that enhance at the rim apart, are three in four, non-mass lesions 20-35 %, in
# MAMA-MIA's kind of cohort.
CATEGORY_SHARE = {"mass": 0.56, "rim": 0.19, "nonmass": 0.25}
# Washout, plateau, persistent.
CURVES = ("washout", "plateau", "persistent")
CURVE_SHARE = {
    "mass": (0.13, 0.81, 0.06),
    "rim": (0.16, 0.80, 0.04),
    "nonmass": (0.06, 0.82, 0.12),
}
MEDIAN_DIAMETER_MM, DIAMETER_SIGMA = 30.0, 0.38
DIAMETER_RANGE_MM = (8.0, 75.0)
UNEVENNESS, HETEROGENEOUS_FROM = (0.17, 0.7), 0.32


@dataclass(frozen=True)
class Lesion:
    """One tumor as a reader would report it.

    `diameter_mm` is the diameter of the sphere with the mask's volume; `center_voxel` the
    mask's centre of mass.
    """

    category: str  # 'mass', 'rim' or 'nonmass'
    diameter_mm: float
    margin: str  # 'spiculated', 'irregular', 'circumscribed'; '' of a non-mass lesion
    internal: str  # 'homogeneous', 'heterogeneous', 'rim'; 'clumped' of a non-mass lesion
    curve: str  # 'washout', 'plateau' or 'persistent'
    center_voxel: tuple[float, float, float]


@dataclass(frozen=True)
class Growth:
    """A lesion on the grid: tensors have the shape of `box`."""

    lesion: Lesion
    box: Box
    weight: Tensor  # 0..1, partial volume of tumor
    core: Tensor  # 0..1, part of it that is necrotic
    unevenness: float  # of its uptake: SD of the logarithm over 1.6, where it is small


@dataclass(frozen=True)
class Seed:
    """Where a lesion will grow, before it does."""

    site: np.ndarray  # mm, shape (3,)
    diameter_mm: float
    category: str
    margin: str  # '' of a non-mass lesion


def plan_lesions(anatomy: Anatomy, settings: PhantomSettings, rnd: Randomness) -> tuple[Seed, ...]:
    """Where one or several lesions will grow, index lesion first.

    Returns:
        Empty only where the field of view shows no breast.
    """
    count = int(rnd.numbers.integers(2, 5)) if rnd.chance(MULTIFOCAL_SHARE) else 1
    room = 0.60 * min(min(b.height, 2 * min(b.radii)) for b in anatomy.torso.breasts)
    diameter = min(settings.diameter_mm or _draw_diameter(rnd), room)
    category = settings.category or _draw(CATEGORY_SHARE, rnd)
    first = _likely_site(anatomy, diameter, rnd)
    if first is None:
        return ()
    seeds = [Seed(first, diameter, category, "" if category == "nonmass" else draw_margin(rnd))]
    for _ in range(count - 1):
        diameter = rnd.uniform(5, 13)
        near = first + rnd.numbers.normal(0, 17, 3)
        if _may_grow(anatomy, near):
            seeds.append(Seed(near, diameter, "mass", draw_margin(rnd)))
    return tuple(seeds)


def grow_lesions(
    anatomy: Anatomy, seeds: tuple[Seed, ...], settings: PhantomSettings, rnd: Randomness
) -> tuple[tuple[Growth, ...], Tensor]:
    """Grow the planned lesions.

    Returns:
        The growths, index lesion first, and the instance labels (uint8, shape of the grid;
        where lesions overlap, the one that fills more of the voxel).
    """
    instances = torch.zeros(settings.shape, dtype=torch.uint8)
    strongest = torch.full(settings.shape, 0.5)
    growths: list[Growth] = []
    for seed in seeds:
        growth = _grow(anatomy, seed, rnd)
        view, best = instances[growth.box], strongest[growth.box]
        mine = growth.weight > best
        if int(mine.sum()) < 3:
            continue
        view[mine] = len(growths) + 1
        best[mine] = growth.weight[mine]
        growths.append(growth)
    growths = [
        _measured(growth, instances, number + 1, settings.spacing)
        for number, growth in enumerate(growths)
        if bool((instances == number + 1).any())
    ]
    return tuple(growths), instances


def _draw(shares: dict[str, float], rnd: Randomness) -> str:
    return str(rnd.numbers.choice(list(shares), p=list(shares.values())))


def _draw_diameter(rnd: Randomness) -> float:
    low, high = DIAMETER_RANGE_MM
    return min(max(rnd.lognormal(MEDIAN_DIAMETER_MM, DIAMETER_SIGMA), low), high)


def _likely_site(anatomy: Anatomy, diameter: float, rnd: Randomness) -> np.ndarray | None:
    """A point (mm) drawn by the amount of gland around it, off skin and chest wall."""
    torso = anatomy.torso
    step = [max(1, round(4 / s)) for s in torso.grid.spacing]
    coarse = tuple(slice(s // 2, None, s) for s in step)
    deep = torso.chest_depth - anatomy.fascia
    gland = anatomy.gland_weight()[coarse].numpy()
    # Amid gland rather than at a strand of it: by the share within 8 mm, too.
    around = ndimage.uniform_filter(gland, size=5)
    likely = gland * (0.03 + around) + 0.003
    for skin, wall in ((max(8.0, 0.5 * diameter), -3.0), (3.0, -1.0), (0.0, 0.0)):
        free = (torso.radial < 0.93) & (deep < wall) & (torso.skin_depth > skin)
        free &= anatomy.labels != Tissue.AIR
        chance = likely * free[coarse].numpy().astype(np.float64)
        total = np.cumsum(chance.ravel())
        if total[-1] > 0:
            flat = int(np.searchsorted(total, rnd.numbers.random() * total[-1], side="right"))
            index = np.array(np.unravel_index(min(flat, chance.size - 1), chance.shape))
            voxel = index * np.array(step) + np.array([s // 2 for s in step])
            return voxel * np.array(torso.grid.spacing) + np.array(torso.grid.origin_mm)
    return None


def _may_grow(anatomy: Anatomy, point_mm: np.ndarray) -> bool:
    torso = anatomy.torso
    i, j, k = np.round(torso.grid.index(point_mm)).astype(int)
    if not all(0 <= v < n for v, n in zip((i, j, k), torso.grid.shape)):
        return False
    return bool(
        torso.radial[i, j, k] < 0.95
        and anatomy.labels[i, j, k] != Tissue.AIR
        and torso.chest_depth[i, j, k] < anatomy.fascia[i, 0, k]
        and torso.skin_depth[i, j, k] > 5
    )


def _grow(anatomy: Anatomy, seed: Seed, rnd: Randomness) -> Growth:
    """One lesion of about the planned diameter, kept inside the breast."""
    site, diameter, category = seed.site, seed.diameter_mm, seed.category
    torso = anatomy.torso
    reach = diameter * (1.4 if category == "nonmass" else 0.95) + 16
    box = _box_around(torso.grid, site, reach)
    grid = torso.grid.crop(box)
    fascia = anatomy.fascia[box[0], :, box[2]]
    allowed = (torso.chest_depth[box] < fascia + 2) & (torso.skin_depth[box] > 0.8)
    allowed &= anatomy.labels[box] != Tissue.AIR
    host = anatomy.gland_weight()[box]
    nipples = [np.asarray(b.nipple) for b in torso.breasts]
    nipple = min(nipples, key=lambda n: float(np.linalg.norm(n - site)))
    room = torch.minimum(fascia + 1 - torso.chest_depth[box], torso.skin_depth[box])
    beside = min(min(b.radii) for b in torso.breasts)
    room = torch.minimum(room, (1.05 - torso.radial[box]) * beside)
    if category == "nonmass":
        shape = ductal_shape(grid, site, diameter, host, nipple, allowed, room, rnd)
    else:
        shape = mass_shape(
            grid, site, diameter, host, nipple,
            room=room, margin=seed.margin, rim=category == "rim", rnd=rnd,
        )  # fmt: skip
    # Cut the sigmoid's tail: a healthy voxel stays bitwise what it was.
    weight = shape.weight * (allowed & (shape.weight > 1e-3))
    curve = str(rnd.numbers.choice(CURVES, p=CURVE_SHARE[category]))
    unevenness = rnd.uniform(*UNEVENNESS)
    internal = {"nonmass": "clumped", "rim": "rim"}.get(category) or (
        "heterogeneous" if unevenness > HETEROGENEOUS_FROM else "homogeneous"
    )
    lesion = Lesion(category, diameter, shape.margin, internal, curve, (0.0, 0.0, 0.0))
    return Growth(lesion, box, weight, shape.core * weight, unevenness)


def _box_around(grid: Grid, site: np.ndarray, reach_mm: float) -> Box:
    low = np.floor(grid.index(site - reach_mm)).astype(int)
    high = np.ceil(grid.index(site + reach_mm)).astype(int) + 1
    bounds = [(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, grid.shape)]
    return slice(*bounds[0]), slice(*bounds[1]), slice(*bounds[2])


def _measured(
    growth: Growth, instances: Tensor, number: int, spacing: tuple[float, float, float]
) -> Growth:
    """The growth with size and centre read off its mask."""
    voxels = torch.nonzero(instances == number).double().numpy()
    volume = len(voxels) * math.prod(spacing)
    center = tuple(float(c) for c in voxels.mean(axis=0))
    measured = replace(
        growth.lesion,
        diameter_mm=(6 * volume / math.pi) ** (1 / 3),
        center_voxel=center,  # type: ignore[arg-type]
    )
    return replace(growth, lesion=measured)
