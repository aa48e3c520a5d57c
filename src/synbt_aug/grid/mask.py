"""Tumor masks: distances, smoothing and sizes.

Pure tensor functions on the mask's own device, for one window or a batch of them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.support.device import sent
from synbt_aug.volume import Spacing

#: A part of a volume.
Box = tuple[slice, slice, slice]

#: Half the width of the blend, in mm: the weight is 1 this deep inside the tumor's surface,
#: .5 on it and 0 this far outside.
BLEND_HALF_WIDTH_MM = 1.0

#: Gaussian that takes away what a 4 mm latent cell cannot paint: a strand 3 mm thick keeps .51
#: of its height at its axis, one of 2 mm .27.
SMOOTHING_MM = 1.25


def down(mask: Tensor, factor: int = 4) -> Tensor:
    """The fraction of each latent cell that the mask fills: M made as small as the latent.

    Args:
        mask: Shape `(B, D, H, W)`, sides that divide by `factor`.
        factor: Voxels a latent cell along each axis.

    Returns:
        Shape `(B, 1, D/factor, H/factor, W/factor)`, float32 in [0, 1].

    Source:
        Yang et al., "SynBT", section 2.2. The paper leaves the method open; a fraction keeps
        tumors smaller than a cell, which nearest neighbour can lose.
    """
    return F.avg_pool3d(mask.to(torch.float32).unsqueeze(1), factor)


def _min_plus(cost: Tensor, axis: int, step_mm: float, limit_mm: float) -> Tensor:
    """One axis of the squared distance transform, out to `limit_mm`."""
    reach = min(math.ceil(limit_mm / step_mm), cost.shape[axis] - 1)
    length = cost.shape[axis]
    best = cost.clone()
    for offset in range(1, reach + 1):
        square = (offset * step_mm) ** 2
        near, far = (
            cost.narrow(axis, 0, length - offset),
            cost.narrow(axis, offset, length - offset),
        )
        ahead, behind = (
            best.narrow(axis, offset, length - offset),
            best.narrow(axis, 0, length - offset),
        )
        torch.minimum(ahead, near + square, out=ahead)
        torch.minimum(behind, far + square, out=behind)
    return best


def distance_mm(mask: Tensor, spacing: Spacing = (1.0, 1.0, 1.0), limit_mm: float = 8.0) -> Tensor:
    """Distance from each voxel to the nearest True voxel, centre to centre.

    Args:
        mask: Boolean, shape `(..., D, H, W)`.
        spacing: Voxel size, in mm.
        limit_mm: Distances are exact up to here and cut off beyond.

    Returns:
        Same shape, float32, in mm, 0 on the mask.

    Source:
        Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012: the
        squared distance separates into one pass an axis. Bounded, it needs no host copy.
    """
    if mask.ndim == 3 and mask.device.type == "cpu" and tuple(spacing) == (1.0, 1.0, 1.0):
        return _on_whole_mm(mask, limit_mm, signed=False)
    far = (limit_mm + max(spacing)) ** 2
    cost = torch.where(mask, 0.0, far)
    for axis, step_mm in zip((-3, -2, -1), spacing, strict=True):
        cost = _min_plus(cost, axis, step_mm, limit_mm)
    return cost.sqrt_().clamp_(max=limit_mm)


def signed_distance_mm(
    mask: Tensor, spacing: Spacing = (1.0, 1.0, 1.0), limit_mm: float = 8.0
) -> Tensor:
    """Distance to the mask's surface: negative inside, positive outside.

    The surface runs halfway between the centres of the last voxel inside and the first
    outside.

    Args:
        mask: Boolean, shape `(..., D, H, W)`.
        spacing: Voxel size, in mm.
        limit_mm: Distances are cut off at this size.

    Returns:
        Same shape, float32, in mm. Where nothing is masked, `limit_mm` everywhere.
    """
    if mask.ndim == 3 and mask.device.type == "cpu" and tuple(spacing) == (1.0, 1.0, 1.0):
        return _on_whole_mm(mask, limit_mm, signed=True)
    half = 0.5 * min(spacing)
    outside = distance_mm(mask, spacing, limit_mm + half) - half
    inside = distance_mm(~mask, spacing, limit_mm + half) - half
    return torch.where(mask, -inside, outside).clamp_(-limit_mm, limit_mm)


def _on_whole_mm(mask: Tensor, limit_mm: float, signed: bool) -> Tensor:
    """The same distances, bit by bit, for one mask of 1 mm voxels on the CPU, 10 times faster.

    There squared distances are small whole numbers: a byte each holds those up to 8.5 mm. Only
    the mask's surroundings are looked at.
    """
    whole: np.ndarray = mask.numpy()
    result = np.full(whole.shape, limit_mm, np.float32)
    if not whole.any():
        return torch.from_numpy(result)
    half = 0.5 if signed else 0.0
    limit = limit_mm + half
    cap, reach = int(limit**2) + 1, int(limit)
    inner = list(bounding_box(mask))
    length = torch.arange(cap + 1, dtype=torch.float32).sqrt_().numpy()
    length[cap] = limit
    length -= np.float32(half)
    box = tuple(
        slice(max(a - reach, 0), min(b + reach, n))
        for (a, b), n in zip(inner, whole.shape, strict=True)
    )
    result[box] = length[_squares(whole, inner, reach, cap, reach, box)]
    if signed:
        # Inside, one voxel of surroundings on each side is as good as many.
        core = tuple(slice(a, b) for a, b in inner)
        depth = length[_squares(~whole, inner, 1, cap, reach, core)]
        np.copyto(result[core], -depth, where=whole[core])
    return torch.from_numpy(result)


def _squares(
    mask: np.ndarray,
    inner: list[tuple[int, int]],
    margin: int,
    cap: int,
    reach: int,
    box: tuple[slice, ...],
) -> np.ndarray:
    """Squared distance to a mask in `box`, in voxels, at most `cap`.

    All rows lie behind one another in one long array. What is shifted past the end of a row
    meets only the margin of the next, which holds nothing, or what is farther than its own.
    """
    spans = [(a - margin, b + margin) for a, b in inner]
    if any(a < 0 or b > n for (a, b), n in zip(spans, mask.shape, strict=True)):
        # At the end of the array nothing lies beyond: a margin of nothing behind each row.
        spans = [
            (max(a - reach, 0), min(b + reach, n))
            for (a, b), n in zip(inner, mask.shape, strict=True)
        ]
        part = np.pad(mask[tuple(slice(a, b) for a, b in spans)], [(0, reach)] * 3)
    else:
        part = mask[tuple(slice(a, b) for a, b in spans)]
    kind = np.uint8 if cap + reach**2 < 256 else np.int32
    cost = np.where(part, 0, cap).astype(kind).ravel()
    scratch = np.empty_like(cost)
    for step in (1, part.shape[2], part.shape[1] * part.shape[2]):
        best = cost.copy()
        for offset in range(1, reach + 1):
            far = cost.size - offset * step
            if far <= 0:
                break
            np.add(cost, kind(offset**2), out=scratch)
            np.minimum(best[-far:], scratch[:far], out=best[-far:])
            np.minimum(best[:far], scratch[-far:], out=best[:far])
        cost = best
    return cost.reshape(part.shape)[
        tuple(slice(s.start - a, s.stop - a) for s, (a, _) in zip(box, spans, strict=True))
    ]


def dilate_mm(mask: Tensor, margin_mm: float, spacing: Spacing = (1.0, 1.0, 1.0)) -> Tensor:
    """The mask and everything within `margin_mm` of it. Boolean, shape `(..., D, H, W)`."""
    if margin_mm <= 0:
        return mask
    return distance_mm(mask, spacing, margin_mm + 1.0) <= margin_mm + 1e-4


def blend_weight(signed_distance: Tensor) -> Tensor:
    """How much of the new tumor a voxel takes: 1 inside, .5 on the surface, 0 outside.

    Args:
        signed_distance: In mm, negative inside, any shape.

    Returns:
        Same shape, in [0, 1], linear over `BLEND_HALF_WIDTH_MM` on either side.
    """
    return (0.5 - signed_distance / (2 * BLEND_HALF_WIDTH_MM)).clamp(0, 1)


@lru_cache(maxsize=512)
def gaussian_matrix(length: int, sigma: float, device: torch.device | None = None) -> Tensor:
    """Gaussian smoothing of one axis as a banded matrix, shape `(length, length)`.

    Rows do not sum to 1 near the ends: what lies outside counts as zero. `sigma` is in voxels.
    """
    # Made on the CPU, and once: a device would be asked for a dozen small things.
    index = torch.arange(length, dtype=torch.float32)
    kernel = torch.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
    kernel[(index[:, None] - index[None, :]).abs() > math.ceil(4 * sigma)] = 0
    full = torch.exp(
        -0.5 * (torch.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1) / sigma) ** 2
    )
    matrix = kernel / float(full.sum())
    return matrix if device is None else sent(matrix, device)


def separable(volume: Tensor, matrices: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Apply one matrix along each of the last three axes.

    Args:
        volume: Shape `(..., D, H, W)`, float32.
        matrices: Shapes `(D', D)`, `(H', H)` and `(W', W)`.

    Returns:
        Shape `(..., D', H', W')`.
    """
    along_d, along_h, along_w = matrices
    volume = volume @ along_w.T
    volume = along_h @ volume
    flat = along_d @ volume.flatten(-2)
    return flat.unflatten(-1, volume.shape[-2:])


def gaussian(volume: Tensor, sigma: float, there: Box | None = None) -> Tensor:
    """Gaussian smoothing with zeros outside.

    Args:
        volume: Shape `(..., D, H, W)`.
        sigma: In voxels.
        there: The part of it that is wanted; None: all.
    """
    parts = (slice(None),) * 3 if there is None else there
    d, h, w = (
        gaussian_matrix(n, sigma, volume.device)[part]
        for n, part in zip(volume.shape[-3:], parts, strict=True)
    )
    return separable(volume, (d, h, w))


@lru_cache(maxsize=512)
def averaging_matrix(length: int, sigma: float, device: torch.device | None = None) -> Tensor:
    """As `gaussian_matrix`, with rows that sum to 1: nothing lies outside."""
    matrix = gaussian_matrix(length, sigma)
    matrix = matrix / matrix.sum(1, keepdim=True)
    return matrix if device is None else sent(matrix, device)


def gaussian_mean(volume: Tensor, sigma: float) -> Tensor:
    """Gaussian mean over what lies in the volume; `sigma` in voxels, shape `(..., D, H, W)`.

    The same as `gaussian(volume) / gaussian(ones)`, since the blur of ones is a product of axes.
    """
    d, h, w = volume.shape[-3:]
    matrices = tuple(averaging_matrix(n, sigma, volume.device) for n in (d, h, w))
    return separable(volume, matrices)  # type: ignore[arg-type]


def smooth_surface(signed_distance: Tensor) -> Tensor:
    """Take away what a 4 mm latent cell cannot paint: strands under 2-3 mm go.

    Args:
        signed_distance: Shape `(D, H, W)` at 1 mm, in mm, negative inside.

    Returns:
        A signed distance whose values vary smoothly and hardly ever coincide, same shape, cut
        off at 8 mm.
    """
    near = around(signed_distance < 0.5, 2)
    kept = torch.zeros_like(signed_distance, dtype=torch.bool)
    if near is not None:
        kept[near] = smoothed_mask(signed_distance[near])
    return smooth_distance(kept)


def smoothed_mask(signed_distance: Tensor, step_mm: float = 1.0) -> Tensor:
    """The inside without its strands, boolean; argument as for `smooth_surface`."""
    # The soft edge is 1 voxel wide, so that sub-voxel positions survive the smoothing.
    return gaussian((0.5 - signed_distance).clamp_(0, 1), SMOOTHING_MM / step_mm) >= 0.5


def smooth_distance(mask: Tensor, limit_mm: float = 8.0) -> Tensor:
    """Signed distance whose values vary smoothly, cut off at a limit; `mask` is `(D, H, W)`."""
    limit = limit_mm
    smooth = torch.full(mask.shape, limit, device=mask.device)
    wide = around(mask, math.ceil(limit) + 4)
    if wide is not None:
        # Distances of a voxel grid come in few values; a sigma of .6 mm makes them a continuum,
        # so that a size can be met exactly by moving the level.
        exact = signed_distance_mm(mask[wide], limit_mm=limit)
        smooth[wide] = limit - gaussian(limit - exact, 0.6)
    return tilted(smooth)


def tilted(distance: Tensor) -> Tensor:
    """A distance no two voxels of which hold the same value, shape `(D, H, W)`; changed in place.

    Symmetric shapes have equally deep voxels, up to 48 of them, which any level takes all or none
    of. A tilt of a ten-thousandth, in a direction that no voxel pair lies along, parts them.
    """
    for axis, share in enumerate((1.0, 0.618, 0.414)):
        view = [-1 if k == axis else 1 for k in range(3)]
        steps = torch.arange(distance.shape[axis], dtype=torch.float32, device=distance.device)
        distance += 1e-4 * share * (steps - steps.mean()).view(view)
    return distance


def level_of(distance: Tensor, voxels: int) -> float:
    """The value that so many voxels do not exceed: taken away, it gives the inside this volume."""
    near = distance[distance.abs() < 1.5]
    rank = voxels - int((distance <= -1.5).sum())
    if not 1 <= rank <= len(near):
        near, rank = distance.flatten(), min(voxels, distance.numel())
    return float(near.kthvalue(rank).values)


def around(mask: Tensor, margin: int) -> Box | None:
    """The box of a mask `(D, H, W)` and so many voxels around it; None where it is empty."""
    if not bool(mask.any()):
        return None
    parts = [
        slice(max(start - margin, 0), min(end + margin, length))
        for (start, end), length in zip(bounding_box(mask), mask.shape, strict=True)
    ]
    return parts[0], parts[1], parts[2]


def equivalent_diameter_mm(voxels: float, spacing: Spacing = (1.0, 1.0, 1.0)) -> float:
    """Diameter of the sphere with the volume of so many voxels, in mm."""
    return (6 / math.pi * voxels * math.prod(spacing)) ** (1 / 3)


def sphere_voxels(diameter_mm: float, spacing: Spacing = (1.0, 1.0, 1.0)) -> int:
    """Voxels in a sphere of this diameter, rounded; the inverse of `equivalent_diameter_mm`."""
    return max(1, round(math.pi / 6 * diameter_mm**3 / math.prod(spacing)))


def longest_mm(mask: Tensor, spacing: Spacing = (1.0, 1.0, 1.0)) -> float:
    """Largest distance between two voxels of the mask plus one voxel, in mm; 0 when empty.

    Measured over 512 directions, which falls short of the true value by at most .5 %.
    """
    points = mask.nonzero().to(torch.float32) * torch.tensor(spacing, device=mask.device)
    if len(points) == 0:
        return 0.0
    index = torch.arange(512, dtype=torch.float32, device=mask.device) + 0.5
    height = 1 - index / 512
    turn = index * math.pi * (3 - math.sqrt(5))
    ring = (1 - height**2).clamp_min(0).sqrt()
    directions = torch.stack([ring * turn.cos(), ring * turn.sin(), height])
    spans = []
    # Some directions at a time: a large tumor of a fine scan has 300,000 voxels, which would take
    # .6 GB over all of them.
    for some in directions.split(32, dim=1):
        along = points @ some
        spans.append(along.amax(0) - along.amin(0))
    return float(torch.cat(spans).max()) + min(spacing)


def box_to_work_in(mask: Tensor) -> Box:
    """Where the masks of a batch lie, shape `(B, D, H, W)`, for work that only there matters.

    All of the windows on a device that would be waited for, or where nothing is masked.
    """
    if mask.device.type == "cpu" and bool(mask.any()):
        (d, d_end), (h, h_end), (w, w_end) = bounding_box(mask.any(0))
        return slice(d, d_end), slice(h, h_end), slice(w, w_end)
    return slice(None), slice(None), slice(None)


def bounding_box(mask: Tensor) -> tuple[tuple[int, int], ...]:
    """First and one past the last index of the mask along each axis; `mask` is not empty."""
    if mask.device.type == "cpu" and mask.ndim == 3:
        content: np.ndarray = mask.numpy()
        flat = np.asarray(content.any(axis=0))
        along = content.reshape(len(content), -1).any(axis=1), flat.any(axis=1), flat.any(axis=0)
        found = [np.flatnonzero(line) for line in along]
        return tuple((int(index[0]), int(index[-1]) + 1) for index in found)
    box = []
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        index = mask.any(dim=others).nonzero().flatten() if others else mask.nonzero().flatten()
        box.append((int(index[0]), int(index[-1]) + 1))
    return tuple(box)
