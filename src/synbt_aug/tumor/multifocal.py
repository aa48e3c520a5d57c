"""Multifocal groups: the further lesions of one case, beside its largest.

A bank's group keeps how its lesions lay to each other; the largest is placed like any tumor, and
the others follow with its rotation, flip and zoom. A bank without groups, or a largest lesion
that has none, gets one to three small lesions around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from synbt_aug.grid.window import Window
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.choosing_place import nearest_place
from synbt_aug.tumor.placement import (
    Placement,
    Pose,
    draw_pose,
    draw_seed,
    elastic_mm,
)
from synbt_aug.tumor.pose import rotation_and_displacement
from synbt_aug.tumor.room import room_of
from synbt_aug.tumor.shape import rasterized
from synbt_aug.tumor.sizes import SMALLEST_MM

#: Satellites that are drawn: how many at most, how large at most, and the SD of their distance
#: from the largest lesion along each axis, in mm.
_MOST_DRAWN = 3
_LARGEST_DRAWN_MM = 16.0
_SPREAD_MM = 17.0

#: How far around the largest lesion all counts as its breast, in mm: it splits none.
_AROUND_MM = 10.0


@dataclass(frozen=True)
class Satellite:
    """A further lesion of a group.

    Args:
        pose: Of its template.
        diameter_mm: Equivalent-sphere diameter.
        centre: Where its window's middle belongs, in host voxels.
        beside: The middle of the largest lesion's window, in host voxels.
        reach_mm: From there: what lies nearer belongs to the same breast.
    """

    pose: Pose
    diameter_mm: float
    centre: tuple[float, float, float]
    beside: tuple[float, float, float]
    reach_mm: float


def largest_of_groups(bank: TumorBank, category: str | None = None) -> list[int]:
    """The largest lesion of each group of two and more, of a category if one is given."""
    largest = [members[0] for members in bank.groups.values() if len(members) > 1]
    return [k for k in largest if category in (None, bank.templates[k].appearance.category)]


def satellites_of(
    bank: TumorBank,
    largest: Pose,
    diameter_mm: float,
    window: Window,
    generator: torch.Generator,
) -> list[Satellite]:
    """The further lesions of a group whose largest was placed.

    Args:
        bank: Templates.
        largest: The pose of the largest.
        diameter_mm: Its size.
        window: Its place.
        generator: On the CPU.

    Returns:
        In order of falling size: those of the template's group, zoomed as it was, at their
        places; or one to three drawn ones of 6-16 mm, no larger than the largest lesion.
    """
    members = bank.companions(largest.template)
    middle = window.centre
    reach_mm = diameter_mm / 2 + _AROUND_MM
    if len(members) > 1 and members[0] == largest.template:
        zoom = diameter_mm / bank.diameters_mm[largest.template]
        rotation, _ = rotation_and_displacement(largest)
        turned = rotation.double().numpy()
        found = []
        for k in members[1:]:
            size = max(zoom * bank.diameters_mm[k], SMALLEST_MM)
            shift = zoom * turned @ np.array(bank.templates[k].offset_mm)
            how = Pose(k, largest.quaternion, largest.flip, elastic_mm(size), draw_seed(generator))
            found.append(Satellite(how, size, _moved(window, shift), middle, reach_mm))
        return found
    count = 1 + int(torch.randint(_MOST_DRAWN, (), generator=generator))
    top = max(min(_LARGEST_DRAWN_MM, diameter_mm), SMALLEST_MM)
    sizes = SMALLEST_MM + (top - SMALLEST_MM) * torch.rand(count, generator=generator)
    drawn = []
    for size in sorted(sizes.tolist(), reverse=True):
        how = draw_pose(bank, size, generator)
        shift = _SPREAD_MM * torch.randn(3, generator=generator).double().numpy()
        drawn.append(Satellite(how, size, _moved(window, shift), middle, reach_mm))
    return drawn


def place_satellite(
    sites: SiteMap,
    shape: tuple[int, int, int],
    bank: TumorBank,
    hole_margin_mm: float,
    satellite: Satellite,
) -> Placement | None:
    """A satellite where it belongs, or at the nearest place with room in the same breast.

    Args:
        sites: Of the host, where the largest lesion is there already.
        shape: The host's shape.
        bank: Templates.
        hole_margin_mm: As for `rasterize`.
        satellite: What, and where.

    Returns:
        A placement; None where the breast has no room for it.
    """
    raster = rasterized(bank, satellite.pose, satellite.diameter_mm, hole_margin_mm)
    if raster is None:
        return None
    room = room_of(sites, shape)
    among = _same_breast(sites, satellite)
    found = nearest_place(room, raster.filled, satellite.centre, among)
    if found is None:
        return None
    return Placement(
        satellite.pose,
        satellite.diameter_mm,
        found.window,
        raster.distance,
        raster.outline,
        sites=found.tries,
    )


def _moved(window: Window, shift_mm: np.ndarray) -> tuple[float, float, float]:
    d, h, w = (
        v + float(s) / mm for v, s, mm in zip(window.centre, shift_mm, window.spacing, strict=True)
    )
    return d, h, w


def _same_breast(sites: SiteMap, satellite: Satellite) -> np.ndarray:
    """Allowed voxels of the grid that hang together with the largest lesion's place."""
    allowed = sites.allowed.numpy()
    squares = [
        (((np.arange(n) + 0.5) * f - 0.5 - v) * mm) ** 2
        for n, f, v, mm in zip(
            allowed.shape, sites.factors, satellite.beside, sites.spacing, strict=True
        )
    ]
    away = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    near = away <= satellite.reach_mm**2
    parts, _ = ndimage.label(allowed | near)
    here = np.unique(parts[near])
    return np.asarray(allowed & np.isin(parts, here[here > 0]))


def group_chance(probability: float, generator: torch.Generator) -> bool:
    """Whether a tumor comes as a group; draws a number only where it may."""
    return probability > 0 and float(torch.rand((), generator=generator)) < probability
