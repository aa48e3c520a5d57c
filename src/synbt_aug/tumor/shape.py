"""The shape of a posed template: the deterministic half of placement.

A `Pose` and a diameter give the same signed distance every time; recipes hold no voxels. All work
is done in the box that the tumor fills, not in its window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import (
    Box,
    around,
    bounding_box,
    gaussian,
    level_of,
    smooth_distance,
    smoothed_mask,
    sphere_voxels,
    tilted,
)
from synbt_aug.grid.posing import pose
from synbt_aug.grid.support import ISLET_MM, ISLET_SHARE
from synbt_aug.grid.window import Shape, fitting_shape
from synbt_aug.tumor.bank import TumorBank, template_distance
from synbt_aug.tumor.pose import Pose, rotation_and_displacement

#: Cubes that a template is posed in before its box is cut, in mm: the elastic grid spans them.
_POSED_IN_MM = (64, 96, 128)

#: How far the level may move when a size is met, in mm.
_LEVEL_REACH_MM = 1.0

#: How often the size is met again after pieces went.
_ROUNDS = 4

#: Tumors from this size on are sized on a grid of 2 mm first.
_COARSE_FROM_MM = 24.0

#: Below this zoom the 2 mm around a template's mask are too thin for its soft edge.
_SMALL_ZOOM = 0.4

#: How far, in mm, a distance may lie from that of the voxel beside it along all axes, bent as it
#: may be, and still decide on which side of the soft edge of half a mm it lies.
_ROUGHNESS_MM = 3.0

#: The surface as it was posed is smoothed by this much, in mm, against the steps of a label's own
#: voxels, and looked for this far from the smooth one.
_OUTLINE_SIGMA_MM = 0.35
_OUTLINE_MM = 4.0

#: So much of a posed template is kept around it, in mm: as far as templates go on beyond their box.
_BESIDE_MM = 2

#: Distances are cut off here, in mm: the blend and the hole need no more than three.
_LIMIT_MM = 5.0


class Raster(NamedTuple):
    """A shape in its window, and how that window was reached.

    Args:
        distance: What `rasterize` gives.
        outline: Signed distance to the template's own surface, teeth and notches of a millimetre
            included, same shape and volume inside.
        zoom: Of the template, corrected for what smoothing ate.
        side: Of the cube it was posed in, in mm.
        first: Where in that cube the shape's own begins; negative where it reaches beyond.
    """

    distance: Tensor
    outline: Tensor
    zoom: float
    side: int
    first: tuple[int, int, int]

    @property
    def filled(self) -> Tensor:
        """Voxels inside either surface, boolean, shape `(d, h, w)`."""
        return (self.distance <= 0) | (self.outline <= 0)


def rasterize(
    bank: TumorBank, how: Pose, diameter_mm: float, hole_margin_mm: float
) -> Tensor | None:
    """A posed template of a given size, in the smallest window that holds it.

    Args:
        bank: The template's bank.
        how: Its pose.
        diameter_mm: Equivalent-sphere diameter wanted.
        hole_margin_mm: Dilation of the hole, which the window must hold with tissue around.

    Returns:
        Signed distance, shape `(d, h, w)` with sides of `WINDOW_SIDES_MM`, in mm, negative
        inside, CPU; the volume inside is met to a voxel. None when no window holds it.
    """
    raster = rasterized(bank, how, diameter_mm, hole_margin_mm)
    return None if raster is None else raster.distance


def rasterized(
    bank: TumorBank, how: Pose, diameter_mm: float, hole_margin_mm: float
) -> Raster | None:
    """As `rasterize`, with how the window was reached."""
    target = sphere_voxels(diameter_mm)
    found = _kept(bank, how, diameter_mm, target)
    if found is None:
        return None
    kept, posed, corner, zoom, side = found
    limit = max(_LIMIT_MM, hole_margin_mm + 2)
    margin = math.ceil(limit) + 1
    d, h, w = (start - margin for start in corner)
    distance = smooth_distance(F.pad(kept, (margin,) * 6), limit)
    near = distance[(slice(margin - 3, 3 - margin),) * 3]
    for _ in range(_ROUNDS):
        distance -= level_of(near, target)
        islets = _islets(near)
        if islets is None:
            break
        near.copy_(torch.where(islets, near.clamp_min(2 * _LEVEL_REACH_MM), near))
    else:
        distance -= level_of(near, target)
    outline = _outline(posed, distance, target, margin, limit)
    hole = bounding_box(distance <= hole_margin_mm)
    fits = fitting_shape([end - start for start, end in hole])
    if fits is None:
        return None
    first = [
        (start + end) // 2 - side // 2 + corner
        for (start, end), side, corner in zip(hole, fits, (d, h, w), strict=True)
    ]
    window = (first[0], first[1], first[2])
    placed = [_in_window(field, (d, h, w), window, fits) for field in (distance, outline)]
    return Raster(placed[0], placed[1], zoom, side, window)


def _outline(posed: Tensor, distance: Tensor, target: int, margin: int, limit: float) -> Tensor:
    """The surface as it was posed, in the box of the smooth one; arguments as in `rasterized`.

    Args:
        posed: Signed distance of the posed template, in the box of the smooth shape.
        distance: To the smooth surface, in that box and a margin around, which it alone reaches.
        target: Voxels wanted inside.
        margin: Of the whole box around that of `posed`.
        limit: Where distances are cut off.
    """
    fine = distance.clamp(-limit, _OUTLINE_MM)
    fine[(slice(margin, -margin),) * 3] = posed.clamp(-limit, _OUTLINE_MM)
    fine = tilted(_OUTLINE_MM - gaussian(_OUTLINE_MM - fine, _OUTLINE_SIGMA_MM))
    inner = (slice(margin - 3, 3 - margin),) * 3
    there, near = fine[inner], distance[inner]
    # What was taken away as an islet does not come back as an outline.
    there.copy_(torch.where(near > _OUTLINE_MM, there.clamp_min(2 * _LEVEL_REACH_MM), there))
    fine -= level_of(there, target)
    return fine


def _kept(
    bank: TumorBank, how: Pose, diameter_mm: float, target: int
) -> tuple[Tensor, Tensor, list[int], float, int] | None:
    """A posed template without its strands, of about so many voxels.

    Returns:
        The shape in its box, the distance that it was smoothed from, where that box starts in
        the window, the zoom, and the window's side; None where no window holds it.
    """
    rotation, displacement = rotation_and_displacement(how)
    template = template_distance(bank, how.template)
    ends = rotation.double().numpy() @ _row_ends(bank.templates[how.template].mask)
    first = diameter_mm / bank.diameters_mm[how.template]
    # A tenth to spare, for templates that have to grow.
    most = 1.1 * 2 * float(np.abs(_reached(ends, first, displacement)).max())
    for side in (s for s in _POSED_IN_MM if s >= min(most, _POSED_IN_MM[-1])):
        zoom = first
        rough: _Rough | None = None
        # Smoothing eats thin parts: the template grows until its volume is right again. Every
        # second voxel tells a large one's volume well enough to begin with.
        for step in (2, 1, 1, 1) if diameter_mm >= _COARSE_FROM_MM else (1, 1, 1):
            reached = _reached(ends, zoom, displacement)
            box = _box_of(reached, side, step)
            known = None if rough is None else rough.at(box, zoom, float(np.abs(reached).max()))
            # Beside a template's box lie 2 mm of template: enough for a soft edge of half one.
            posed = pose(
                template, rotation, zoom, displacement, side, box, zoom < _SMALL_ZOOM, known
            )
            if step > 1 and zoom >= _SMALL_ZOOM:
                rough = _Rough(posed, box, zoom)
            kept = smoothed_mask(posed, step)
            # With the teeth that smoothing took, and what lies around them.
            found = (
                around(kept | (posed <= 0), _BESIDE_MM)
                if step == 1 and bool(kept.any())
                else around(kept, 0)
            )
            if found is None or (step > 1 and _too_long(found, step)):
                return None
            part: Box = found
            volume = int(kept.sum()) * step**3
            correction = (target / max(volume, target // 8, 1)) ** (1 / 3)
            if abs(correction - 1) < 0.02 and step == 1:
                break
            zoom *= correction
        if all(b.start > 0 and b.stop < side for b in box):
            corner = [b.start + p.start for b, p in zip(box, part, strict=True)]
            return kept[part], posed[part], corner, zoom, side
    return None


def _too_long(part: Box, step: int) -> bool:
    """Whether a shape's box on a coarse grid is evidently longer than any window holds."""
    return fitting_shape([step * (p.stop - p.start - 2) for p in part]) is None


class _Rough(NamedTuple):
    """A posed template on every second voxel, which tells where its surface is not."""

    distance: Tensor
    box: Box
    zoom: float

    def at(self, box: Box, zoom: float, reach_mm: float) -> Tensor:
        """Distances on every voxel of a box, NaN wherever the surface may be near."""
        index, inside = [], []
        for fine, coarse, n in zip(box, self.box, self.distance.shape, strict=True):
            cell = (torch.arange(fine.start, fine.stop) - coarse.start).div(
                2, rounding_mode="floor"
            )
            inside.append((cell >= 0) & (cell < n))
            index.append(cell.clamp(0, n - 1))
        # A voxel's distance differs from its neighbour's by the step between them, and by what
        # another zoom moves.
        near = self.distance.abs() < _ROUGHNESS_MM + reach_mm * abs(zoom / self.zoom - 1)
        known = self.distance.masked_fill(near, math.nan)
        for axis, (cells, there) in enumerate(zip(index, inside, strict=True)):
            known = known.index_select(axis, cells)
            if not bool(there.all()):
                view = [-1 if k == axis else 1 for k in range(3)]
                known = known.masked_fill(~there.view(view), math.nan)
        return known


def _reached(ends: np.ndarray, zoom: float, displacement: Tensor) -> np.ndarray:
    """How far a posed template reaches from the window's middle, soft edge included, in mm.

    Args:
        ends: Of the template's rows, rotated, shape `(3, rows)`.
        zoom: Size over that of the template.
        displacement: In mm, shape `(3, k, k, k)`.

    Returns:
        Lowest and highest position along each axis, shape `(3, 2)`.
    """
    # A voxel's corner, and half a millimetre of soft edge.
    edge = zoom * math.sqrt(3) + (0.0 if zoom >= 1 else 0.5 * (1 + zoom))
    shift = displacement.flatten(1).double().numpy()
    low = zoom * ends.min(axis=1) - shift.max(axis=1) - edge
    high = zoom * ends.max(axis=1) - shift.min(axis=1) + edge
    return np.stack([low, high], axis=1)


def _row_ends(mask: Tensor) -> np.ndarray:
    """Positions of the ends of a mask's rows from its box's middle, shape `(3, rows)`.

    A linear function of place is largest at one of them.
    """
    content = mask.numpy()
    d, h = np.nonzero(content.any(axis=2))
    rows = content[d, h]
    first, last = rows.argmax(axis=1), content.shape[2] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.stack([np.tile(d, 2), np.tile(h, 2), np.concatenate([first, last])])
    return np.asarray(ends - (np.array(content.shape)[:, None] - 1) / 2)


def _box_of(reached: np.ndarray, side: int, step: int) -> Box:
    """The part of a window around what `_reached` says, every so many voxels of it."""
    middle = (side - 1) / 2
    parts = [
        slice(
            min(max(math.floor(low + middle), 0), side - 1),
            max(min(math.ceil(high + middle) + 1, side), 1),
            step,
        )
        for low, high in reached.tolist()
    ]
    return parts[0], parts[1], parts[2]


def _islets(distance: Tensor) -> Tensor | None:
    """Where the pieces of a shape lie that nobody would see, with all that is nearest to them.

    Smoothing and posing leave islands of a few voxels, which no 4 mm latent cell can show.

    Args:
        distance: Signed distance to the surface at 1 mm, shape `(D, H, W)`.

    Returns:
        Boolean, same shape; None where there are none. The largest piece is never one.
    """
    parts, count = ndimage.label((distance <= 0).numpy())
    if count < 2:
        return None
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    smallest = min(max(ISLET_SHARE * sizes.max(), sphere_voxels(ISLET_MM)), sizes.max())
    small = np.flatnonzero(sizes < smallest) + 1
    if not len(small):
        return None
    # Nearest: what surrounds an islet must not come back when the size is met again.
    nearest = ndimage.distance_transform_edt(
        parts == 0, return_distances=False, return_indices=True
    )
    return torch.from_numpy(np.isin(parts[tuple(nearest)], small))


def _in_window(
    distance: Tensor, corner: tuple[int, int, int], first: tuple[int, int, int], shape: Shape
) -> Tensor:
    """A window of this shape from `first` on, where `distance` starts at `corner`."""
    out = distance.new_full(shape, float(distance.max()))
    source, target = [], []
    for start, there, length, side in zip(first, corner, distance.shape, shape, strict=True):
        low, high = max(start, there), min(start + side, there + length)
        source.append(slice(low - there, high - there))
        target.append(slice(low - start, high - start))
    out[tuple(target)] = distance[tuple(source)]
    return out
