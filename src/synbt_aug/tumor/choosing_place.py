"""Which of the places where a shape fits it takes: drawn by weight, or the nearest to a wanted one.

A place that exists is found, and where none does, that is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synbt_aug.grid.window import Window, window_around
from synbt_aug.tumor.room import (
    Footprint,
    Room,
    fits,
    fitting_sites,
    footprint_of,
    shape_of,
    site_window,
)

#: About so many sites are drawn at first, from evenly drawn grid voxels, at most so many of them.
#: All sites are looked at where none of those has room, and where so few of them could have that
#: weights would say little.
_FIRST = 512
_MOST_DRAWN = 2**18
_FEWEST_WEIGHED = 64


class Place(NamedTuple):
    """A window for a shape.

    Args:
        window: Where.
        tries: Sites whose fit was checked voxel by voxel until one passed.
    """

    window: Window
    tries: int


#: Relative weights of sites, flat indices, for a shape.
Weighs = Callable[["Footprint", np.ndarray], np.ndarray]


def draw_place(
    room: Room,
    mask: Tensor,
    generator: torch.Generator,
    tries: int = 24,
    weigh: Weighs | None = None,
) -> Place | None:
    """A place for a shape, drawn by weight among those where it fits.

    A network's tissues differ by rounding from one machine to the next, and so do weights and what
    is a site. So numbers are drawn for voxels of the grid, whatever tissue they hold: the site of a
    seed stays the same unless another one comes as near to it by chance as rounding moves either.

    Args:
        room: Of the host.
        mask: The tumor in the middle of its window, boolean, shape `(d, h, w)`.
        generator: On the CPU.
        tries: Sites that are checked voxel by voxel.
        weigh: Gives the weights of sites for this very shape; None takes the site map's.

    Returns:
        The place, or None where the shape fits nowhere.
    """
    jitter = torch.rand(3, generator=generator).tolist()
    numbers = _streams(generator)
    footprint = footprint_of(room, mask, jitter)
    if not len(room.places):
        return None
    drawn, times = _drawn(room, next(numbers), by_weight=weigh is None)
    could = footprint.could_hold(room, drawn)
    drawn, times = drawn[could], times[could]
    if weigh is None or len(drawn) >= _FEWEST_WEIGHED:
        if weigh is not None:
            times = times / weigh(footprint, drawn)
        place = _first_fitting(room, mask, footprint, drawn, times, tries)
        if place is not None:
            return place
    # Room is rare here: all sites, then.
    candidates = room.places[footprint.could_hold(room, room.places)]
    if not len(candidates):
        return None
    weight = room.weight[candidates] if weigh is None else weigh(footprint, candidates)
    times = _times(_uniform(next(numbers), len(room.weight))[candidates]) / weight
    return _first_fitting(room, mask, footprint, candidates, times, tries)


def _drawn(
    room: Room, generator: torch.Generator, *, by_weight: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Some sites, flat indices, and times.

    Args:
        room: Of the host; it has sites.
        generator: Of this alone.
        by_weight: Sites are drawn by the site map's weights, and times are their order; otherwise
            each is as likely as the other, and times are exponential: divided by weights, in rising
            order, they are draws by these weights.
    """
    size = len(room.weight)
    among = float(room.weight.sum()) if by_weight else len(room.places)
    # In steps: where there are a few sites more or fewer, the same numbers are drawn.
    count = min(_FIRST * 2 ** math.ceil(math.log2(size / among)), _MOST_DRAWN)
    where, chance = _uniform(generator, count, 2).T
    index = (where * size).astype(np.int64)
    weight = room.weight[index]
    taken = chance < weight if by_weight else weight > 0
    times = np.arange(count, dtype=float) if by_weight else _times(chance)
    return index[taken], times[taken]


def _streams(generator: torch.Generator) -> Iterator[torch.Generator]:
    """Two generators; from this one as much is taken whether one of them is used or both."""
    seeds = torch.randint(2**31 - 1, (2,), generator=generator).tolist()
    return (torch.Generator().manual_seed(seed) for seed in seeds)


def _uniform(generator: torch.Generator, *shape: int) -> np.ndarray:
    """From 0 to 1."""
    return np.asarray(torch.rand(shape, generator=generator, dtype=torch.float64).numpy())


def _times(chances: np.ndarray) -> np.ndarray:
    """Exponential: divided by weights, in rising order, they are draws without replacement."""
    return np.asarray(-np.log1p(-chances))


def nearest_place(
    room: Room, mask: Tensor, wanted: tuple[float, float, float], among: np.ndarray, tries: int = 24
) -> Place | None:
    """The place for a shape that is nearest to a wanted one.

    Args:
        room: Of the host.
        mask: As for `draw_place`.
        wanted: Where the window's middle should lie, in host voxels.
        among: Grid voxels that may hold its middle, boolean, shape `(d, h, w)`.
        tries: As for `draw_place`.

    Returns:
        The place, or None where the shape fits nowhere among them.
    """
    sites = room.sites
    window = window_around(wanted, shape_of(mask), sites.spacing)
    cell = [
        min(max(math.floor((v + 0.5) / f), 0), n - 1)
        for v, f, n in zip(wanted, sites.factors, among.shape, strict=True)
    ]
    if among[tuple(cell)] and fits(room, window, mask):
        return Place(window, 1)
    footprint = footprint_of(room, mask, [0.5] * 3)
    inside = np.flatnonzero(among)
    candidates = inside[footprint.could_hold(room, inside)]
    index = np.stack(np.unravel_index(candidates, among.shape))
    at_mm = [
        ((row + 0.5) * f - 0.5 - v) * mm
        for row, f, v, mm in zip(index, sites.factors, wanted, sites.spacing, strict=True)
    ]
    return _first_fitting(room, mask, footprint, candidates, sum(d**2 for d in at_mm), tries)


def _first_fitting(
    room: Room,
    mask: Tensor,
    footprint: Footprint,
    sites: np.ndarray,
    rank: np.ndarray,
    tries: int,
) -> Place | None:
    """The first of the sites, flat indices in the order of `rank`, where a shape fits."""
    fitting = itertools.islice(fitting_sites(room, footprint, sites, rank), tries)
    for tried, site in enumerate(fitting, 1):
        place = tuple(int(i) for i in np.unravel_index(site, room.kind.shape))
        window = site_window(room, place, footprint.jitter, shape_of(mask))
        if fits(room, window, mask):
            return Place(window, tried)
    return None
