"""Where in a volume a tumor may sit, by geometry alone.

The first placement rule. It finds the body, the side that faces air, and the tissue in front
of the chest wall, at 3 mm and in any axis order; a tissue segmentation network is to take its
place. A crop without air has no front: there any tissue may serve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.volume import Spacing

#: Size of the working grid's voxels, in mm.
GRID_MM = 3.0

#: Least distance of a tumor from air, in mm on the working grid: skin of 2-3 mm, which partial
#: volume and coil brightness widen to 6 mm there, and some tissue.
SKIN_MM = 9.0

#: Tissue kept around tumors that are there already, in mm.
CLEARANCE_MM = 6.0

#: Weight of a site in fat, where one in fibroglandular tissue has 1.
FAT_WEIGHT = 0.15


@dataclass(frozen=True)
class SiteMap:
    """Likely sites on a coarse grid.

    Args:
        weight: Unnormalised probability of a tumor's centre, shape `(d, h, w)`, CPU.
        depth_mm: Distance to the edge of the allowed tissue, same shape, CPU.
        allowed: Where tumor may lie, boolean, same shape, CPU.
        factors: Host voxels a coarse voxel, along each axis.
        spacing: The host's voxel size, in mm.
    """

    weight: Tensor
    depth_mm: Tensor
    allowed: Tensor
    factors: tuple[int, int, int]
    spacing: Spacing

    def to_host(self, shape: tuple[int, int, int]) -> Tensor:
        """`allowed` on the host's grid, boolean, shape `shape`."""
        fine = self.allowed
        for axis, (factor, length) in enumerate(zip(self.factors, shape, strict=True)):
            index = (torch.arange(length) // factor).clamp_max(fine.shape[axis] - 1)
            fine = fine.index_select(axis, index)
        return fine


def _factors(spacing: Spacing, shape: tuple[int, ...]) -> tuple[int, int, int]:
    d, h, w = (min(max(1, round(GRID_MM / mm)), n) for mm, n in zip(spacing, shape, strict=True))
    return d, h, w


def _pool(volume: Tensor, factors: tuple[int, int, int]) -> Tensor:
    """Mean over blocks; partial blocks at the end count what they have."""
    return F.avg_pool3d(volume[None], factors, ceil_mode=True, count_include_pad=False)[0]


def _pool_any(mask: Tensor, factors: tuple[int, int, int]) -> np.ndarray:
    pooled = F.max_pool3d(mask[None, None].to(torch.float32), factors, ceil_mode=True)[0, 0]
    return (pooled > 0).cpu().numpy()


def otsu_threshold(values: np.ndarray, bins: int = 128) -> float:
    """Threshold between two classes of values.

    Source:
        Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    counts, edges = np.histogram(values, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts)
    moment = np.cumsum(counts * centres)
    rest = weight[-1] - weight
    ok = (weight > 0) & (rest > 0)
    if not ok.any():
        return float(centres[len(centres) // 2])
    between = np.zeros(bins)
    between[ok] = (moment[-1] * weight[ok] / weight[-1] - moment[ok]) ** 2 / (weight[ok] * rest[ok])
    return float(centres[int(between.argmax())])


def body_mask(level: np.ndarray) -> np.ndarray:
    """Body against air.

    Args:
        level: Signal above `low` over the reference range, smoothed to about 3 mm, the larger
            of pre and post, shape `(d, h, w)`.

    Returns:
        Boolean, same shape, holes (ducts, dark fat) filled.
    """
    # Fat-suppressed fat is only 3-6 times brighter than air: on a linear scale Otsu's method
    # finds the gland, on a logarithmic one below the body's median it finds the body.
    logs = np.log(np.clip(level, 0, None) + 0.02)
    dim = logs[level < 0.4]
    if dim.size < 64 or np.quantile(level, 0.02) > 0.12:
        return np.ones(level.shape, dtype=bool)
    threshold = min(max(otsu_threshold(dim), np.log(0.08)), np.log(0.20))
    body = ndimage.binary_opening(logs > threshold)
    parts, count = ndimage.label(body)
    if count > 1:
        sizes = np.bincount(parts.ravel())[1:]
        body = np.isin(parts, np.flatnonzero(sizes >= 0.05 * sizes.max()) + 1)
    filled: np.ndarray = ndimage.binary_fill_holes(body)
    return filled


def _front(body: np.ndarray) -> tuple[int, bool] | None:
    """The axis that points from air into the body, and whether from its far end; None if none."""
    best: tuple[float, int, bool] | None = None
    for axis in range(3):
        near = 1 - np.take(body, 0, axis).mean()
        far = 1 - np.take(body, -1, axis).mean()
        for flipped, here, there in ((False, near, far), (True, far, near)):
            # Lungs make the far side dark, too, but seldom all of it. Columns of air in front
            # of a breast are long; those beside it are cut short.
            from_front = np.flip(body, axis) if flipped else body
            run = np.where(from_front.any(axis), from_front.argmax(axis), 0).mean()
            score = here - 0.5 * there + 0.25 * run / body.shape[axis]
            if here >= 0.6 and here > there and (best is None or score > best[0]):
                best = (score, axis, flipped)
    return None if best is None else (best[1], best[2])


def _in_front_of_chest_wall(body: np.ndarray, front: tuple[int, bool]) -> np.ndarray:
    """Body in front of the plane where most columns have met skin."""
    axis, flipped = front
    oriented = np.flip(body, axis) if flipped else body
    hit = oriented.any(axis)
    skin = oriented.argmax(axis)[hit]
    if skin.size == 0:
        return np.zeros_like(body)
    # 70 %: the columns beside the breast, where the skin lies on the chest wall.
    plane = np.quantile(skin, 0.7)
    index = np.arange(body.shape[axis]).reshape([-1 if k == axis else 1 for k in range(3)])
    breast = oriented & (index < plane)
    return np.flip(breast, axis) if flipped else breast


def find_sites(
    level: Tensor,
    spacing: Spacing = (1.0, 1.0, 1.0),
    occupied: Tensor | None = None,
    valid: Tensor | None = None,
) -> SiteMap:
    """Find where a tumor may sit.

    Args:
        level: Signal above `low` over the reference range, `(to_linear(x) + 1) / 2`, shape
            `(2, D, H, W)`.
        spacing: Voxel size, in mm.
        occupied: Existing tumors and other forbidden places, boolean, shape `(D, H, W)`.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`.

    Returns:
        A site map; its weight is zero everywhere when there is nowhere to go.
    """
    factors = _factors(spacing, tuple(level.shape[1:]))
    grid_mm = tuple(f * mm for f, mm in zip(factors, spacing, strict=True))
    coarse = _pool(level, factors).cpu().numpy()
    body = body_mask(coarse.max(axis=0))
    if valid is not None:
        body &= ~_pool_any(~valid, factors)
    front = _front(body)
    breast = body if front is None else _in_front_of_chest_wall(body, front)
    if not breast.any():
        nothing = torch.zeros(coarse.shape[1:])
        return SiteMap(nothing, nothing, nothing > 0, factors, spacing)

    # Air is whatever is not body inside the volume; the volume's own edge is no skin.
    from_air = _distance(body, grid_mm)
    allowed = breast & (from_air > SKIN_MM)
    if occupied is not None and bool(occupied.any()):
        taken = _pool_any(occupied, factors)
        allowed &= ndimage.distance_transform_edt(~taken, sampling=grid_mm) > CLEARANCE_MM
    weight = np.where(
        allowed, FAT_WEIGHT + (1 - FAT_WEIGHT) * _gland(coarse[0], breast, from_air), 0
    )
    return SiteMap(
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(_distance(allowed, grid_mm).astype(np.float32)),
        torch.from_numpy(allowed),
        factors,
        spacing,
    )


def _distance(mask: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Distance of each True voxel to the nearest False one, in mm; large when there is none."""
    if mask.all():
        return np.full(mask.shape, 1e3)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=grid_mm))


def _gland(pre: np.ndarray, breast: np.ndarray, from_air: np.ndarray) -> np.ndarray:
    """Likely fibroglandular tissue and its border, in [0, 1], from the pre-contrast level.

    Gland is the class that the fat under the skin does not belong to: brighter with fat
    suppression, darker without.
    """
    inner = breast & (from_air > 8.0)
    under_skin = breast & (from_air > 3.0) & (from_air <= 8.0)
    if inner.sum() < 64:
        return breast.astype(np.float64)
    # Coil bias: judge each voxel against its surroundings of 4 cm.
    smooth = ndimage.gaussian_filter(np.where(breast, pre, 0), 5)
    share = ndimage.gaussian_filter(breast.astype(np.float64), 5)
    relative = pre / np.maximum(smooth / np.maximum(share, 1e-3), 1e-3)
    threshold = otsu_threshold(relative[inner])
    bright = relative > threshold
    fat_is_bright = under_skin.any() and np.median(relative[under_skin]) > threshold
    # Skin is bright, too.
    gland = (bright != fat_is_bright) & breast & (from_air > 6.0)
    spread: np.ndarray = ndimage.gaussian_filter(gland.astype(np.float64), 1.0)
    return np.clip(spread * 1.5, 0, 1)
