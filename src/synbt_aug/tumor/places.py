"""How a tumor lies in its breast, and how it could have lain: what a bank knows of places.

Places are described by four numbers that tissues alone give. A tumor's own are kept beside those
of places in the same breast where the same shape would have fitted: only together they tell what
tumors prefer from what breasts offer.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.tissue.landmarks import Landmarks
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.room import Footprint, Room, fitting_sites, footprint_of, room_of

#: What is known of a place, in the order of the columns: distance of the tumor's middle below the
#: breast's surface, from the chest wall and from the nipple, in mm; share of fibroglandular tissue
#: in the 4 mm around the tumor.
STATISTICS = ("skin_mm", "chest_mm", "nipple_mm", "border_gland")

#: Places kept beside a tumor's own.
ELSEWHERE = 32

#: What counts as the tumor's border, in mm from its surface.
BORDER_MM = 4.0

#: Sites that are looked at for them, and voxels of the border that are looked at, at most.
_SITES = 2048
_BORDER_VOXELS = 128


def places_of(
    mask: Tensor,
    middle: tuple[float, float, float],
    sites: SiteMap,
    shape: tuple[int, int, int],
    generator: torch.Generator,
) -> Tensor | None:
    """How a tumor lies, and how it could have lain.

    Args:
        mask: The tumor in its box at 1 mm, boolean, shape `(a, b, c)`.
        middle: Of the box, in voxels of the case.
        sites: Of the case, its tumors taken for gland; `landmarks` without them.
        shape: The case's voxels along D, H and W.
        generator: Draws the other places.

    Returns:
        As for `Template.places`; None where the tissues are not known. Rows of NaN stand for
        places that do not exist.
    """
    if sites.landmarks is None:
        return None
    room = room_of(sites, shape)
    _, footprint = _on_grid(room, mask, middle)
    border = border_of(footprint, sites.grid_mm)
    found = np.full((1 + ELSEWHERE, len(STATISTICS)), np.nan, np.float32)
    found[0] = own_place(mask, middle, sites, sites.landmarks, shape)
    others = np.array(list(_elsewhere(room, footprint, generator)), np.int64)
    if len(others):
        index = np.stack(np.unravel_index(others, room.kind.shape), 1)
        found[1 : 1 + len(others)] = statistics_at(sites.landmarks, index, border)
    return torch.from_numpy(found).half()


def own_place(
    mask: Tensor,
    middle: tuple[float, float, float],
    sites: SiteMap,
    landmarks: Landmarks,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """How a tumor lies, by `STATISTICS`, shape `(4,)`; arguments as for `places_of`."""
    own, footprint = _on_grid(room_of(sites, shape), mask, middle)
    border = border_of(footprint, sites.grid_mm)
    return np.asarray(statistics_at(landmarks, own[None], border)[0])


def border_at(
    mask: Tensor,
    middle: tuple[float, float, float],
    sites: SiteMap,
    landmarks: Landmarks,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Voxels of the landmarks' box around a tumor, shape `(n, 3)`; arguments as for `places_of`."""
    own, footprint = _on_grid(room_of(sites, shape), mask, middle)
    around = own - landmarks.start + border_of(footprint, sites.grid_mm)
    return np.asarray(np.clip(around, 0, np.array(landmarks.gland.shape) - 1))


def _on_grid(
    room: Room, mask: Tensor, middle: tuple[float, float, float]
) -> tuple[np.ndarray, Footprint]:
    """The voxel of the grid that holds a tumor's middle, and the tumor seen from there."""
    cells = np.array([(v + 0.5) / f for v, f in zip(middle, room.sites.factors, strict=True)])
    own = np.floor(cells).astype(np.int64)
    return own, footprint_of(room, mask, (cells - own).tolist())


def _elsewhere(
    room: Room, footprint: Footprint, generator: torch.Generator
) -> itertools.islice[int]:
    """Flat indices of some sites where the shape fits, each as likely as the other."""
    drawn = torch.randperm(len(room.places), generator=generator)[:_SITES].numpy()
    sites = room.places[drawn]
    sites = sites[footprint.could_hold(room, sites)]
    return itertools.islice(fitting_sites(room, footprint, sites, np.arange(len(sites))), ELSEWHERE)


def border_of(footprint: Footprint, grid_mm: tuple[float, float, float]) -> np.ndarray:
    """Voxels of the grid around a shape, from the one that holds its middle.

    Args:
        footprint: Of the shape.
        grid_mm: Size of the grid's voxels, in mm.

    Returns:
        Shape `(n, 3)`, int64; at most 128, evenly taken.
    """
    reach = [math.ceil(BORDER_MM / mm) for mm in grid_mm]
    filled = footprint.counts >= 0.5 * math.prod(grid_mm)
    if not filled.any():
        filled = footprint.counts == footprint.counts.max()
    around = ~np.pad(filled, [(r, r) for r in reach])
    distance = ndimage.distance_transform_edt(around, sampling=grid_mm)
    index = np.argwhere(around & (distance <= BORDER_MM + 1e-3))
    first = [int(cells[0]) - r for cells, r in zip(footprint.cells, reach, strict=True)]
    return np.asarray(index[:: -(-len(index) // _BORDER_VOXELS)] + first, np.int64)


def statistics_at(landmarks: Landmarks, sites: np.ndarray, border: np.ndarray) -> np.ndarray:
    """How places lie in a breast.

    Args:
        landmarks: Of the breast.
        sites: Voxels of the working grid, shape `(n, 3)`.
        border: As `border_of` gives it.

    Returns:
        Columns by `STATISTICS`, float32, shape `(n, 4)`. What lies beyond the breasts' box is
        taken to be as its nearest voxel.
    """
    last = np.array(landmarks.gland.shape) - 1
    here = np.clip(sites - landmarks.start, 0, last)
    distances = landmarks.distance_mm.numpy()[(slice(None), *here.T)].T
    gland = _mean_around(landmarks.gland.float().numpy(), sites - landmarks.start, border)
    return np.concatenate([distances, gland[:, None]], 1).astype(np.float32)


def _mean_around(values: np.ndarray, sites: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Mean of values, float32, at offsets from sites, shape `(n,)`; their edge goes on beyond."""
    flat, step = values.ravel(), values.size
    rows = []
    for axis, n in enumerate(values.shape):
        step //= n
        # Of hundreds of offsets few differ along one axis.
        offsets = set(border[:, axis].tolist())
        rows.append({o: np.clip(sites[:, axis] + o, 0, n - 1) * step for o in offsets})
    total = np.zeros(len(sites), np.float32)
    for d, h, w in border.tolist():
        total += flat.take(rows[0][d] + rows[1][h] + rows[2][w])
    return total / np.float32(len(border))
