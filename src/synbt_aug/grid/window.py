"""The 1 mm isotropic window around a tumor: cut it out of a host, write back into it.

The host is never resampled: what was painted is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from synbt_aug.grid.mask import separable
from synbt_aug.support.device import sent
from synbt_aug.volume import Spacing

#: Sides that a window may have along each axis, in mm and voxels. The denoiser's latent sides
#: divide by 4, hence steps of 16. Trained on cubes (below), it paints boxes as well.
WINDOW_SIDES_MM = (48, 64, 80, 96, 112, 128)

#: Sides of the cubes that the shipped networks were trained on, in mm: part of the contract.
TRAINED_SIDES_MM = (64, 96, 128)

#: Voxels along each axis of a window.
Shape = tuple[int, int, int]

#: Least tissue between the hole and the window's face, in mm.
WINDOW_MARGIN_MM = 12.0


@dataclass(frozen=True)
class Window:
    """Where a window lies in its host.

    The window's first voxel centre coincides with the centre of host voxel `origin`, so that
    at 1 mm spacing the two grids are one.

    Args:
        origin: Host voxel under the window's first voxel; may lie outside the host.
        shape: Voxels of 1 mm along each axis.
        spacing: The host's voxel size, in mm.
    """

    origin: tuple[int, int, int]
    shape: Shape
    spacing: Spacing

    @property
    def centre(self) -> tuple[float, float, float]:
        """The middle of the window, in host voxels."""
        d, h, w = (
            first + (side - 1) / 2 / mm
            for first, side, mm in zip(self.origin, self.shape, self.spacing, strict=True)
        )
        return d, h, w

    @property
    def region_shape(self) -> Shape:
        """Host voxels whose centres lie in the window, along each axis."""
        d, h, w = (
            _voxels_under(side, mm) for side, mm in zip(self.shape, self.spacing, strict=True)
        )
        return d, h, w

    def inside_region(self, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """The part of the region that lies in a host of this shape."""
        d, h, w = (
            slice(part.start - first, part.stop - first)
            for part, first in zip(self.host_box(shape), self.origin, strict=True)
        )
        return d, h, w

    def host_box(self, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """Host voxels whose centres lie in the window, cut to the host."""
        box = []
        for first, voxels, length in zip(self.origin, self.region_shape, shape, strict=True):
            end = first + voxels
            box.append(slice(max(first, 0), max(min(end, length), max(first, 0))))
        return box[0], box[1], box[2]


def fitting_shape(extents_mm: Sequence[float]) -> Shape | None:
    """Smallest window for a hole of these extents along the axes; None when none fits."""
    sides = [
        next((side for side in WINDOW_SIDES_MM if extent + 2 * WINDOW_MARGIN_MM <= side), None)
        for extent in extents_mm
    ]
    d, h, w = sides
    if d is None or h is None or w is None:
        return None
    return d, h, w


def shape_for_mask(extents_mm: Sequence[float], hole_margin_mm: float) -> Shape | None:
    """Window for a given mask's box; None when none fits.

    Args:
        extents_mm: Of the mask's box along the axes.
        hole_margin_mm: Dilation of the mask that gives the hole.
    """
    # 2 mm more: the smoothed shape may reach a voxel farther on either side.
    return fitting_shape([extent + 2 * hole_margin_mm + 2 for extent in extents_mm])


def cube(side: int) -> Shape:
    """A window of one side along all axes."""
    return side, side, side


def window_around(
    centre: tuple[float, float, float], shape: Shape, spacing: Spacing = (1.0, 1.0, 1.0)
) -> Window:
    """The window whose middle lies nearest to a host position, given in voxels."""
    d, h, w = (
        round(c - (side - 1) / 2 / mm) for c, side, mm in zip(centre, shape, spacing, strict=True)
    )
    return Window((d, h, w), shape, spacing)


def _resampling(source: Tensor, target: Tensor, step_mm: float, out_step_mm: float) -> Tensor:
    """Linear interpolation as a matrix; a triangle as wide as the coarser of the two grids.

    Args:
        source: Positions of the source voxels, in mm, shape `(n,)`.
        target: Positions wanted, in mm, shape `(m,)`.
        step_mm: Distance between source voxels.
        out_step_mm: Distance between target voxels.

    Returns:
        Shape `(m, n)`, rows sum to 1. Targets beyond the ends take the end voxel.
    """
    width = max(step_mm, out_step_mm)
    inside = target.clamp(float(source[0]), float(source[-1]))
    weight = (1 - (inside[:, None] - source[None, :]).abs() / width).clamp_min(0)
    return weight / weight.sum(1, keepdim=True)


def _axis_positions(window: Window, axis: int, host: slice) -> tuple[Tensor, Tensor]:
    """Positions of host voxels and of window voxels along one axis, in mm from the origin.

    On the CPU: what is read from them must not wait for a device.
    """
    step_mm = window.spacing[axis]
    voxels = torch.arange(host.start, host.stop, dtype=torch.float32)
    host_mm = (voxels - window.origin[axis]) * step_mm
    return host_mm, torch.arange(window.shape[axis], dtype=torch.float32)


def _padded_box(window: Window, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Host voxels that the window's voxels touch, at least one an axis (for edge padding)."""
    box = []
    for first, side, step_mm, length in zip(
        window.origin, window.shape, window.spacing, shape, strict=True
    ):
        reach = int(1 / step_mm) + 1
        start = min(max(first - reach, 0), length - 1)
        stop = max(min(first + int((side - 1) / step_mm) + 2 + reach, length), start + 1)
        box.append(slice(start, stop))
    return box[0], box[1], box[2]


def cut(volume: Tensor, window: Window) -> Tensor:
    """The window's content at 1 mm, edge-padded where it overhangs the host.

    Args:
        volume: Shape `(..., D, H, W)`, any dtype.
        window: Where.

    Returns:
        Shape `(..., *window.shape)`, float32.
    """
    d, h, w = volume.shape[-3:]
    box = _padded_box(window, (d, h, w))
    matrices = []
    for axis, part in enumerate(box):
        host_mm, window_mm = _axis_positions(window, axis, part)
        matrix = _resampling(host_mm, window_mm, window.spacing[axis], 1.0)
        matrices.append(sent(matrix, volume.device))
    there = volume[(..., *box)].to(torch.float32)
    return separable(there, (matrices[0], matrices[1], matrices[2]))


def resample_to_mm(volume: Tensor, spacing: Spacing, shape: tuple[int, int, int]) -> Tensor:
    """A whole volume at 1 mm, by the same interpolation as `cut`.

    Args:
        volume: Shape `(..., D, H, W)`, floating point.
        spacing: Its voxel size, in mm.
        shape: Voxels wanted along each axis, from the volume's first voxel on.
    """
    matrices = []
    for length, mm, wanted in zip(volume.shape[-3:], spacing, shape, strict=True):
        source = torch.arange(length, dtype=torch.float32) * mm
        target = torch.arange(wanted, dtype=torch.float32)
        matrices.append(sent(_resampling(source, target, mm, 1.0), volume.device))
    return separable(volume, (matrices[0], matrices[1], matrices[2]))


def cut_mask(mask: Tensor, window: Window) -> Tensor:
    """A mask in the window, nearest neighbour; False where the window overhangs the host.

    Args:
        mask: Boolean, shape `(D, H, W)`.
        window: Where.

    Returns:
        Boolean, shape `window.shape`.
    """
    result = mask
    for axis, (first, mm, length) in enumerate(
        zip(window.origin, window.spacing, mask.shape, strict=True)
    ):
        # On the CPU, which alone can tell whether there is anything to look up.
        index = (first + torch.arange(window.shape[axis]) / mm).round().to(torch.long)
        start, end = int(index[0]), int(index[-1])
        if start >= 0 and end < length and mm == 1.0:
            result = result.narrow(axis, start, window.shape[axis])
            continue
        inside = (index >= 0) & (index < length)
        result = result.index_select(axis, sent(index.clamp(0, length - 1), mask.device))
        if not bool(inside.all()):
            shape = [1, 1, 1]
            shape[axis] = window.shape[axis]
            result = result & sent(inside.view(shape), mask.device)
    return result


def inside_host(window: Window, shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Window voxels that lie over the host, boolean, shape `window.shape`."""
    return cut_mask(torch.ones((1, 1, 1), dtype=torch.bool, device=device).expand(shape), window)


@lru_cache(maxsize=256)
def _between(side: int, mm: float, to_window: bool, device: torch.device) -> Tensor:
    """Interpolation along one axis between a window and the host voxels under it."""
    host_mm = torch.arange(_voxels_under(side, mm), dtype=torch.float32) * mm
    window_mm = torch.arange(side, dtype=torch.float32)
    if to_window:
        return sent(_resampling(host_mm, window_mm, mm, 1.0), device)
    return sent(_resampling(window_mm, host_mm, 1.0, mm), device)


def _voxels_under(side: int, mm: float) -> int:
    """Host voxels whose centres lie in a window, along one axis."""
    return int((side - 1) / mm + 1e-6) + 1


def to_region(content: Tensor, window: Window) -> Tensor:
    """Resample windows to the host voxels under them.

    Args:
        content: Shape `(..., *window.shape)`, float32.
        window: Any one of that shape and spacing.

    Returns:
        Shape `(..., *window.region_shape)`.
    """
    d, h, w = (
        _between(side, mm, False, content.device)
        for side, mm in zip(window.shape, window.spacing, strict=True)
    )
    return content if window.spacing == (1.0, 1.0, 1.0) else separable(content, (d, h, w))


def to_window(region: Tensor, window: Window) -> Tensor:
    """Resample the host voxels under windows to 1 mm: the inverse of `to_region`, nearly."""
    d, h, w = (
        _between(side, mm, True, region.device)
        for side, mm in zip(window.shape, window.spacing, strict=True)
    )
    return region if window.spacing == (1.0, 1.0, 1.0) else separable(region, (d, h, w))


def region(volume: Tensor, window: Window) -> Tensor:
    """The host voxels under a window, edge-repeated where it overhangs the host.

    Args:
        volume: Shape `(..., D, H, W)`.
        window: Where.

    Returns:
        Shape `(..., *window.region_shape)`.
    """
    for axis, (first, length) in enumerate(zip(window.origin, window.region_shape, strict=True)):
        axis -= 3
        n = volume.shape[axis]
        if first >= 0 and first + length <= n:
            volume = volume.narrow(axis, first, length)
        else:
            index = torch.arange(first, first + length, device=volume.device).clamp(0, n - 1)
            volume = volume.index_select(axis, index)
    return volume
