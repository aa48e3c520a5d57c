"""The 1 mm isotropic window around a tumor: cut it out of a host, write a change back.

The host is never resampled. Only the change is, and it is added to the host's own voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.mask import (
    ISLET_MM,
    ISLET_SHARE,
    blend_weight,
    distance_mm,
    islets,
    separable,
    sphere_voxels,
)
from synbt_aug.volume import Spacing

#: Sides that the shipped networks were trained on, in mm and voxels.
WINDOW_SIDES_MM = (64, 96, 128)

#: Least tissue between the hole and the window's face, in mm.
WINDOW_MARGIN_MM = 12.0


@dataclass(frozen=True)
class Window:
    """Where a window lies in its host.

    The window's first voxel centre coincides with the centre of host voxel `origin`, so that
    at 1 mm spacing the two grids are one.

    Args:
        origin: Host voxel under the window's first voxel; may lie outside the host.
        side: Voxels of 1 mm along each axis.
        spacing: The host's voxel size, in mm.
    """

    origin: tuple[int, int, int]
    side: int
    spacing: Spacing

    def host_box(self, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """Host voxels whose centres lie in the window, cut to the host."""
        box = []
        for first, step_mm, length in zip(self.origin, self.spacing, shape, strict=True):
            end = first + int((self.side - 1) / step_mm + 1e-6) + 1
            box.append(slice(max(first, 0), max(min(end, length), max(first, 0))))
        return box[0], box[1], box[2]


def fitting_side(extent_mm: float) -> int | None:
    """Smallest window for a hole of this extent along its longest axis; None when none fits."""
    for side in WINDOW_SIDES_MM:
        if extent_mm + 2 * WINDOW_MARGIN_MM <= side:
            return side
    return None


def window_around(
    centre: tuple[float, float, float], side: int, spacing: Spacing = (1.0, 1.0, 1.0)
) -> Window:
    """The window whose middle lies nearest to a host position, given in voxels."""
    half_mm = (side - 1) / 2
    origin = [round(c - half_mm / mm) for c, mm in zip(centre, spacing, strict=True)]
    return Window((origin[0], origin[1], origin[2]), side, spacing)


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


def _axis_positions(
    window: Window, axis: int, host: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Positions of host voxels and of window voxels along one axis, in mm from the origin."""
    step_mm = window.spacing[axis]
    voxels = torch.arange(host.start, host.stop, dtype=torch.float32, device=device)
    host_mm = (voxels - window.origin[axis]) * step_mm
    window_mm = torch.arange(window.side, dtype=torch.float32, device=device)
    return host_mm, window_mm


def _padded_box(window: Window, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Host voxels that the window's voxels touch, at least one an axis (for edge padding)."""
    box = []
    for first, step_mm, length in zip(window.origin, window.spacing, shape, strict=True):
        reach = int(1 / step_mm) + 1
        start = min(max(first - reach, 0), length - 1)
        stop = max(min(first + int((window.side - 1) / step_mm) + 2 + reach, length), start + 1)
        box.append(slice(start, stop))
    return box[0], box[1], box[2]


def cut(volume: Tensor, window: Window) -> Tensor:
    """The window's content at 1 mm, edge-padded where it overhangs the host.

    Args:
        volume: Shape `(..., D, H, W)`, any dtype.
        window: Where.

    Returns:
        Shape `(..., side, side, side)`, float32.
    """
    d, h, w = volume.shape[-3:]
    box = _padded_box(window, (d, h, w))
    matrices = []
    for axis, part in enumerate(box):
        host_mm, window_mm = _axis_positions(window, axis, part, volume.device)
        matrices.append(_resampling(host_mm, window_mm, window.spacing[axis], 1.0))
    region = volume[(..., *box)].to(torch.float32)
    return separable(region, (matrices[0], matrices[1], matrices[2]))


def resample_to_mm(volume: Tensor, spacing: Spacing, shape: tuple[int, int, int]) -> Tensor:
    """A whole volume at 1 mm, by the same interpolation as `cut`.

    Args:
        volume: Shape `(..., D, H, W)`, floating point.
        spacing: Its voxel size, in mm.
        shape: Voxels wanted along each axis, from the volume's first voxel on.
    """
    matrices = []
    for length, mm, wanted in zip(volume.shape[-3:], spacing, shape, strict=True):
        source = torch.arange(length, dtype=torch.float32, device=volume.device) * mm
        target = torch.arange(wanted, dtype=torch.float32, device=volume.device)
        matrices.append(_resampling(source, target, mm, 1.0))
    return separable(volume, (matrices[0], matrices[1], matrices[2]))


def cut_mask(mask: Tensor, window: Window) -> Tensor:
    """A mask in the window, nearest neighbour; False where the window overhangs the host.

    Args:
        mask: Boolean, shape `(D, H, W)`.
        window: Where.

    Returns:
        Boolean, shape `(side, side, side)`.
    """
    steps = torch.arange(window.side, device=mask.device)
    result = mask
    for axis, (first, mm, length) in enumerate(
        zip(window.origin, window.spacing, mask.shape, strict=True)
    ):
        index = (first + steps / mm).round().to(torch.long)
        inside = (index >= 0) & (index < length)
        shape = [1, 1, 1]
        shape[axis] = window.side
        result = result.index_select(axis, index.clamp(0, length - 1)) & inside.view(shape)
    return result


def inside_host(window: Window, shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Window voxels that lie over the host, boolean, shape `(side, side, side)`."""
    return cut_mask(torch.ones((1, 1, 1), dtype=torch.bool, device=device).expand(shape), window)


def to_host(content: Tensor, window: Window, shape: tuple[int, int, int]) -> Tensor:
    """Resample window content to the host voxels of `window.host_box(shape)`.

    Args:
        content: Shape `(..., side, side, side)`, float32.
        window: Where.
        shape: The host's shape.

    Returns:
        Shape `(..., d, h, w)`: that of the host box.
    """
    matrices = []
    for axis, part in enumerate(window.host_box(shape)):
        host_mm, window_mm = _axis_positions(window, axis, part, content.device)
        matrices.append(_resampling(window_mm, host_mm, 1.0, window.spacing[axis]))
    return separable(content.to(torch.float32), (matrices[0], matrices[1], matrices[2]))


@dataclass(frozen=True)
class Written:
    """A host after a change was written into it.

    Args:
        image: A copy of the host that differs inside `support` only, dtype kept; values that
            the dtype cannot hold are cut to its largest.
        label: Blend weight of at least .5, boolean, shape `(D, H, W)`.
        support: Blend weight above 0, boolean, shape `(D, H, W)`.
    """

    image: Tensor
    label: Tensor
    support: Tensor


def write_change(
    image: Tensor,
    change: Tensor,
    distance: Tensor,
    window: Window,
    blocked: Tensor | None = None,
    floor: Tensor | None = None,
    drop_islets: bool = False,
) -> Written:
    """Add a change to the host, by index, inside the tumor's support only.

    Args:
        image: The host, shape `(2, D, H, W)`, any real dtype.
        change: What to add where the weight is 1, in the host's units, shape
            `(2, n, n, n)` at 1 mm.
        distance: Signed distance to the tumor's surface, in mm, shape `(n, n, n)`.
        window: Where.
        blocked: Voxels that stay as they are (other tumors, no signal), boolean,
            shape `(D, H, W)`.
        floor: Smallest value that may be written in each channel, shape `(2, 1, 1, 1)`.
        drop_islets: Leave out pieces that nobody would see, which thick slices and blocked
            voxels cut off.

    Returns:
        The painted copy with its label and support. The support ends at most 2 mm, or one
        voxel an axis, beyond the label. The label's volume is that of the shape's part over
        the host, to a voxel.
    """
    shape = (int(image.shape[1]), int(image.shape[2]), int(image.shape[3]))
    box = window.host_box(shape)
    free = torch.ones_like(image[(0, *box)], dtype=torch.bool)
    if blocked is not None:
        free = ~blocked[box]
    on_host = to_host(distance, window, shape)
    if window.spacing != (1.0, 1.0, 1.0) and on_host.numel():
        # Resampling moves the surface a little: put it back where the volume is right. What
        # overhangs the host is not to be made up for inside it.
        over_host = (distance <= 0) & inside_host(window, shape, distance.device)
        wanted = round(int(over_host.sum()) / math.prod(window.spacing))
        wanted = min(max(wanted, 1), on_host.numel())
        on_host = on_host - on_host.flatten().kthvalue(wanted).values
    weight = blend_weight(on_host)
    label = (weight >= 0.5) & free
    support = (weight > 0) & free
    if drop_islets and label.numel():
        smallest = sphere_voxels(ISLET_MM, window.spacing)
        if (specks := islets(label, smallest, ISLET_SHARE)) is not None:
            label &= ~specks
            support &= ~_touched(specks) | _touched(label)
            support &= ~specks
    support &= _beside(label, window.spacing)

    region = image[(slice(None), *box)]
    painted = image.clone()
    if bool(support.any()):
        added = weight * to_host(change, window, shape)
        if region.is_floating_point():
            working = torch.float64 if region.dtype == torch.float64 else torch.float32
            most = torch.finfo(region.dtype).max
            new = (region.to(working) + added.to(working)).clamp(-most, most)
        else:
            # In integers: float32 holds those above 2^24 only roughly.
            bounds = torch.iinfo(region.dtype)
            new = region.to(torch.int64) + added.round().to(torch.int64)
            new = new.clamp(bounds.min, bounds.max)
        if floor is not None:
            new = torch.maximum(new, floor.to(new.dtype))
        painted[(slice(None), *box)] = torch.where(support, new.to(region.dtype), region)
    whole_label = torch.zeros(shape, dtype=torch.bool, device=image.device)
    whole_support = whole_label.clone()
    whole_label[box], whole_support[box] = label, support
    return Written(painted, whole_label, whole_support)


def _beside(label: Tensor, spacing: Spacing) -> Tensor:
    """Voxels within 2 mm, or one voxel an axis, of the label."""
    if not label.numel():
        return label
    near = distance_mm(label, spacing, 2.0 + max(spacing)) <= 2.0
    return near | _touched(label)


def _touched(mask: Tensor) -> Tensor:
    """The mask and the voxels beside it, over corners, too."""
    return F.max_pool3d(mask[None].to(torch.float32), 3, 1, 1)[0] > 0
