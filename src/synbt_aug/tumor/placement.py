"""What tumor, how it lies, and where: the random part of painting, as plain numbers.

Everything drawn here ends in a `Placement`, which goes into the recipe. `shape.rasterize` turns
pose and size into a shape, the same one every time; `choosing_place.py` finds its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.grid.window import Window
from synbt_aug.support.ranges import Range, at
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.choosing_place import draw_place
from synbt_aug.tumor.place_density import weighing
from synbt_aug.tumor.pose import Pose, rotation_and_displacement
from synbt_aug.tumor.room import largest_mm, room_of
from synbt_aug.tumor.shape import Raster, rasterize, rasterized
from synbt_aug.tumor.sizes import LARGEST_MM, SMALLEST_MM, Sizes, sizes_of

__all__ = [
    "Placement",
    "Pose",
    "Raster",
    "draw_pose",
    "draw_seed",
    "elastic_mm",
    "place_tumor",
    "rasterize",
    "rasterized",
    "rotation_and_displacement",
]

#: SD of the elastic displacement over the tumor's diameter.
_ELASTIC = 0.04

#: Templates and poses tried at one size.
_POSES = 8

#: Of the largest ellipsoid that a breast holds, the size that a real tumor's shape reaches there.
_REACHED = 0.9

#: Where no pose of a size finds room, the limit falls to this share of that size, so often.
_LOWERED = 0.85
_TIMES_LOWERED = 4


@dataclass(frozen=True)
class Placement:
    """A tumor's shape and place.

    Args:
        pose: Of a template.
        diameter_mm: Equivalent-sphere diameter.
        window: Where.
        distance: What `rasterize` makes of it, shape `(d, h, w)`.
        outline: The same with teeth and notches, as in `Raster`.
        max_mm: Where the distribution of sizes was cut off; None for one size that was asked for.
        rank: The size's place in the distribution so cut off, in [0, 1): the
            probability-integral transform; None likewise.
        poses: Templates and poses tried until one found room.
        sites: Sites tried for the last of them.
    """

    pose: Pose
    diameter_mm: float
    window: Window
    distance: Tensor
    outline: Tensor
    max_mm: float | None = None
    rank: float | None = None
    poses: int = 1
    sites: int = 1


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def draw_seed(generator: torch.Generator) -> int:
    """A seed for something of its own, below 2^31."""
    return int(torch.randint(2**31 - 1, (), generator=generator))


def elastic_mm(diameter_mm: float) -> float:
    """SD of the elastic displacement of a tumor of this size, in mm."""
    return _ELASTIC * diameter_mm


def draw_pose(
    bank: TumorBank,
    diameter_mm: float,
    generator: torch.Generator,
    category: str | None = None,
    among: Sequence[int] = (),
) -> Pose:
    """A template near the wanted size, and how it lies.

    Args:
        bank: Where from.
        diameter_mm: Wanted; templates within about 25 % of it are likely.
        generator: On the CPU.
        category: Only templates of this category, where the bank has any.
        among: Only these templates, where there are any.
    """
    candidates = _candidates(bank, category, among)
    sizes = torch.tensor([bank.diameters_mm[k] for k in candidates], dtype=torch.float64)
    ratio = (sizes / diameter_mm).log()
    # The nearest keeps a chance however far it is.
    weight = torch.exp(-0.5 * ((ratio.abs() - ratio.abs().min()) / 0.25) ** 2)
    chosen = int(torch.multinomial(weight, 1, generator=generator))
    quaternion = _normal(generator, 4)
    w, x, y, z = (quaternion / quaternion.norm()).tolist()
    return Pose(
        template=candidates[chosen],
        quaternion=(w, x, y, z),
        flip=_uniform(generator) < 0.5,
        elastic_mm=elastic_mm(diameter_mm),
        elastic_seed=draw_seed(generator),
    )


def _candidates(bank: TumorBank, category: str | None, among: Sequence[int]) -> Sequence[int]:
    """The templates that are named, those of the category, or all."""
    named = among or (bank.of_category(category) if category else ())
    return named or range(len(bank))


def _diameters_mm(bank: TumorBank, candidates: Sequence[int]) -> tuple[float, ...]:
    """Of the largest lesions of their cases; of all where there are none among them."""
    largest = [k for k in candidates if k not in bank.further]
    return tuple(bank.diameters_mm[k] for k in largest or candidates)


def place_tumor(
    sites: SiteMap,
    shape: tuple[int, int, int],
    bank: TumorBank,
    hole_margin_mm: float,
    generator: torch.Generator,
    diameter_mm: float | Range | None = None,
    category: str | None = None,
    among: Sequence[int] = (),
) -> Placement | None:
    """Draw a size, a template near it, a pose, and a place among those where it fits.

    A size that is not asked for is drawn once and kept: from the distribution of the templates that
    may be taken and are the largest of their cases (`Sizes`), or evenly from the range that was
    given, cut off at what this breast holds. Smaller lesions beside them come with groups alone.
    Where a pose finds no room, another template and pose of the same size is tried. What the breast
    holds is nine tenths of the largest ellipsoid with the cohort's ratio of axes that fits around a
    site (`largest_mm`), which depends on the breast alone. Only where eight poses find no room,
    the breast is taken to hold no more than .85 times that size, and the size is the one of the
    same rank below that: so the rank is uniform whatever the breast. `max_mm` of the result is the
    limit in force. Of the places where a shape fits one is drawn as the bank's tumors lay
    (`PlaceDensity`), or by the site map's weights where tissues are not known.

    Args:
        sites: Of the host.
        shape: The host's shape.
        bank: Templates.
        hole_margin_mm: As for `rasterize`.
        generator: On the CPU.
        diameter_mm: Exactly this size; a range or None draws one. Where the breast holds less
            than the smaller end of a range, that end is what is tried.
        category: As for `draw_pose`.
        among: As for `draw_pose`.

    Returns:
        A placement; None where nothing found room.
    """
    room = room_of(sites, shape)
    sizes = sizes_of(_diameters_mm(bank, _candidates(bank, category, among)))
    if not len(room.places):
        return None
    weigh = weighing(bank.place_density, sites)
    rank = _uniform(generator)
    drawn = diameter_mm is None or isinstance(diameter_mm, tuple)
    most = min(_REACHED * largest_mm(sites), LARGEST_MM) if drawn else 0.0
    if drawn and most == 0:
        return None
    tried = 0
    smallest = diameter_mm[0] if isinstance(diameter_mm, tuple) else SMALLEST_MM
    for _ in range(1 + _TIMES_LOWERED if drawn else 1):
        size = _size_at(sizes, rank, most, diameter_mm)
        for _ in range(_POSES):
            tried += 1
            how = draw_pose(bank, size, generator, category, among)
            raster = rasterized(bank, how, size, hole_margin_mm)
            found = (
                None if raster is None else draw_place(room, raster.filled, generator, weigh=weigh)
            )
            if raster is None or found is None:
                continue
            return Placement(
                how,
                size,
                found.window,
                raster.distance,
                raster.outline,
                most if drawn else None,
                rank if drawn else None,
                tried,
                found.tries,
            )
        if size <= smallest:
            break
        most = max(_LOWERED * size, smallest)
    return None


def _size_at(sizes: Sizes, rank: float, max_mm: float, asked: float | Range | None) -> float:
    """The size of a rank below a limit; one that was asked for whatever these are."""
    if asked is None:
        return sizes.at(rank, max_mm)
    if not isinstance(asked, tuple):
        return asked
    low, high = asked
    return at((low, max(low, min(high, max_mm))), rank)
