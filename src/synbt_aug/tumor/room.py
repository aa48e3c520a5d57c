"""How much room a site map has, and at which of its sites a shape fits.

Everything is exact on the site map's grid and for all sites at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import bounding_box
from synbt_aug.grid.window import Shape, Window, window_around
from synbt_aug.tissue.masks import dilated
from synbt_aug.tissue.sites import SiteMap

#: Share of a tumor's voxels that must lie on allowed tissue. The rest lies beside it, within one
#: voxel of the grid: small gaps, such as a node's edge, do not keep a large tumor away.
INSIDE = 0.97

#: Semi-axes of the cohort's tumors over the longest one.
AXIS_RATIOS = (0.70, 0.83, 1.0)

#: Grid voxels from which on the largest tumor is sought on every second one, if it is this large.
_FINE_VOXELS = 40_000
_COARSE_FROM_MM = 20.0

#: Sites looked at together, in the order in which they were drawn.
_CHUNK = 256

#: Voxels of a shape's surface that a first look at a site takes.
_FEW = 64

_ALLOWED, _BESIDE, _BEYOND = 0, 1, 2


class Room(NamedTuple):
    """A site map, seen as space for tumors.

    Args:
        sites: The site map.
        shape: The host's shape.
        kind: 0 where tumor may lie, 1 one grid voxel beside it, 2 beyond, uint8, `(d, h, w)`.
        depth_mm: Distance to what is beyond, or to the end of the host, same shape.
        places: Sites, as flat indices of the grid.
        weight: Of all voxels of the grid, over the largest, flat.
    """

    sites: SiteMap
    shape: tuple[int, int, int]
    kind: np.ndarray
    depth_mm: np.ndarray
    places: np.ndarray
    weight: np.ndarray


# Site maps are compared by identity: their hash is that of their tensors.
@lru_cache(maxsize=4)
def room_of(sites: SiteMap, shape: tuple[int, int, int]) -> Room:
    """Measure a site map once; the last few are remembered.

    Args:
        sites: Of the host.
        shape: The host's shape.
    """
    allowed = sites.allowed.numpy()
    kind = np.full(allowed.shape, _BEYOND, np.uint8)
    depth = np.zeros(allowed.shape, np.float32)
    if allowed.any():
        box = _grown(allowed)
        near = dilated(allowed[box])
        kind[box] = np.where(allowed[box], _ALLOWED, np.where(near, _BESIDE, _BEYOND))
        depth[box] = _depth(near, sites.grid_mm)
    weight = sites.weight.numpy().ravel()
    places = np.flatnonzero(weight)
    return Room(sites, shape, kind, depth, places, weight / max(float(weight.max()), 1e-12))


def _grown(mask: np.ndarray) -> tuple[slice, ...]:
    """The mask's box with a voxel around."""
    found = bounding_box(torch.from_numpy(mask))
    return tuple(
        slice(max(a - 1, 0), min(b + 1, n)) for (a, b), n in zip(found, mask.shape, strict=True)
    )


def _depth(inside: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Distance to the nearest voxel outside, the end of the array included, in mm."""
    padded = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=grid_mm)
    return np.asarray(padded[1:-1, 1:-1, 1:-1], np.float32)


@lru_cache(maxsize=4)
def largest_mm(sites: SiteMap) -> float:
    """What a host holds; remembered as `room_of` is.

    Args:
        sites: Of the host.

    Returns:
        Equivalent-sphere diameter of the largest ellipsoid with the cohort's ratio of axes, along
        the axes of the host, that fits around a site, to about a voxel of the grid; 0 where none
        does.
    """
    allowed = sites.allowed.numpy()
    if not allowed.any():
        return 0.0
    box, grid_mm = _grown(allowed), sites.grid_mm
    inside, centres = dilated(allowed[box]), sites.weight.numpy()[box] > 0
    for step in (1,) if inside.size <= _FINE_VOXELS else (2, 1):
        part = (slice(None, None, step),) * 3
        coarse = inside[part]
        seen = (ndimage.maximum_filter(centres, step)[part] if step > 1 else centres) & coarse
        radius = 0.0
        for ratios in itertools.permutations(AXIS_RATIOS) if seen.any() else ():
            # Where lengths are divided by the semi-axes, the ellipsoid is a ball.
            scaled = tuple(step * mm / r for mm, r in zip(grid_mm, ratios, strict=True))
            # From a voxel's centre to the next one's face.
            radius = max(radius, float(_depth(coarse, scaled)[seen].max()) - 0.5 * min(scaled))
        most = 2 * radius * math.prod(AXIS_RATIOS) ** (1 / 3)
        if most > _COARSE_FROM_MM:
            break
    return max(most, 0.0)


def fits(room: Room, window: Window, mask: Tensor) -> bool:
    """Whether a shape in a window lies on allowed tissue, voxel by voxel.

    All of it lies in the host and at most one grid voxel beside allowed tissue, and `INSIDE` of
    it on it.
    """
    content = mask.numpy()
    box = bounding_box(mask)
    kind = room.kind
    for axis, (start, end) in enumerate(box):
        steps = np.arange(start, end)
        host = np.rint(window.origin[axis] + steps / window.spacing[axis])
        if host[0] < 0 or host[-1] >= room.shape[axis]:
            return False
        cell = np.floor((host + 0.5) / room.sites.factors[axis]).astype(np.int64)
        kind = kind.take(cell.clip(0, kind.shape[axis] - 1), axis)
    under = kind[content[tuple(slice(*b) for b in box)]]
    beside = np.count_nonzero(under)
    return bool(beside <= (1 - INSIDE) * under.size and (beside == 0 or under.max() < _BEYOND))


class Footprint(NamedTuple):
    """A shape on the site map's grid, seen from the site in its middle.

    Args:
        jitter: Where in its grid voxel the site lies, along each axis, in [0, 1).
        cells: Grid voxels that the shape's box touches along each axis, from the site's.
        counts: Voxels of the shape in each of them.
        core_mm: Radius of a ball around the window's middle that is all tumor.
    """

    jitter: list[float]
    cells: list[np.ndarray]
    counts: np.ndarray
    core_mm: float

    def could_hold(self, room: Room, sites: np.ndarray) -> np.ndarray:
        """For which sites, flat indices, the shape's box lies in the host and its core in depth."""
        # Middle of a grid voxel to its corner, at the site and at what is beyond.
        least = self.core_mm - 1.75 * max(room.sites.grid_mm) - 1
        could = room.depth_mm.ravel()[sites] > least
        for index, cells, n in zip(
            np.unravel_index(sites, room.kind.shape), self.cells, room.kind.shape, strict=True
        ):
            could &= (index >= -int(cells[0])) & (index < n - int(cells[-1]))
        return np.asarray(could)


def shape_of(mask: Tensor) -> Shape:
    """Of a mask's window."""
    d, h, w = mask.shape
    return d, h, w


def site_window(room: Room, site: tuple[int, ...], jitter: list[float], shape: Shape) -> Window:
    """The window of a shape whose middle lies in a voxel of the grid, so far along each axis."""
    d, h, w = (
        (int(index) + share) * factor - 0.5
        for index, share, factor in zip(site, jitter, room.sites.factors, strict=True)
    )
    return window_around((d, h, w), shape, room.sites.spacing)


def footprint_of(room: Room, mask: Tensor, jitter: list[float]) -> Footprint:
    """A shape on the site map's grid.

    Args:
        room: Of the host.
        mask: The shape in the middle of its window, boolean, shape `(d, h, w)`.
        jitter: As for `Footprint`.
    """
    middle = tuple(n // 2 for n in room.kind.shape)
    window = site_window(room, middle, jitter, shape_of(mask))
    box = bounding_box(mask)
    content = mask.numpy()[tuple(slice(*b) for b in box)]
    counts = content.astype(np.int32)
    cells = []
    outside = np.zeros((1, 1, 1), np.float32)
    nearest = np.inf
    for axis, (start, end) in enumerate(box):
        host = np.rint(window.origin[axis] + np.arange(start, end) / window.spacing[axis])
        cell = np.floor((host + 0.5) / room.sites.factors[axis]).astype(np.int64)
        starts = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1))
        counts = np.add.reduceat(counts, starts, axis)
        cells.append(cell[starts] - middle[axis])
        view = [1, 1, 1]
        view[axis] = -1
        side = mask.shape[axis]
        square = (np.arange(start, end, dtype=np.float32) - (side - 1) / 2) ** 2
        outside = outside + square.reshape(view)
        nearest = min(nearest, (side + 1) / 2 - start, end - (side - 1) / 2)
    if not content.all():
        nearest = min(nearest, math.sqrt(float(outside[~content].min())))
    return Footprint(jitter, cells, counts, max(nearest, 0.0))


def _in_order(sites: np.ndarray, rank: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of the sites by rising rank; the first one, which mostly will do, without a sort."""
    first = min(_CHUNK, len(sites))
    if first < len(sites):
        part = np.argpartition(rank, first)
        sites, rank = sites[part], rank[part]
    if first:
        yield sites[:first][np.argsort(rank[:first])]
    rest = sites[first:][np.argsort(rank[first:])]
    for start in range(0, len(rest), _CHUNK):
        yield rest[start : start + _CHUNK]


def fitting_sites(
    room: Room, footprint: Footprint, sites: np.ndarray, rank: np.ndarray
) -> Iterator[int]:
    """Those of some sites where a shape fits by the grid's voxels.

    Args:
        room: Of the host.
        footprint: Of the shape.
        sites: Flat indices for which it `could_hold`.
        rank: Gives the order in which they are looked at, rising.
    """
    shape = room.kind.shape
    kind = room.kind.ravel()
    where = np.nonzero(footprint.counts)
    voxels = footprint.counts[where]
    d, h, w = (cells[index] for cells, index in zip(footprint.cells, where, strict=True))
    cells = (d * shape[1] + h) * shape[2] + w
    # The outer half first: there a shape meets what is beyond.
    outer = np.argsort(-((d - d.mean()) ** 2) - (h - h.mean()) ** 2 - (w - w.mean()) ** 2)
    few = cells[outer[:: max(len(outer) // 2 // _FEW, 1)][:_FEW]]
    max_beside = (1 - INSIDE) * int(voxels.sum())
    for chunk in _in_order(sites, rank):
        chunk = chunk[kind[chunk[:, None] + few].max(axis=1) < _BEYOND]
        for site in chunk:
            under = kind[site + cells]
            if under.max() < _BEYOND and int(voxels[under > 0].sum()) <= max_beside:
                yield int(site)
