"""The site map of a part of a case, looked up in the map of the whole case.

A patch shows too little to tell breast from chest wall. Where each of its voxels came from is
known, whatever crop, flip, rotation or zoom brought it there; the rest is looking up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.tissue.landmarks import Landmarks
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tissue.tissue_map import grid_shape
from synbt_aug.volume import Spacing

#: Why nothing may go into a patch.
NOTHING_OPEN = "no site: nothing in the patch is open to a tumor"


def grid_middles(
    shape: tuple[int, int, int], spacing: Spacing
) -> tuple[tuple[float, float, float], list[Tensor]]:
    """Where the working grid of a patch looks.

    Args:
        shape: The patch's voxels along D, H and W.
        spacing: Their size, in mm.

    Returns:
        Patch voxels a grid voxel, and along each axis the patch voxels in the middle of the
        grid's.
    """
    f_d, f_h, f_w = (n / g for n, g in zip(shape, grid_shape(shape, spacing), strict=True))
    return (f_d, f_h, f_w), [
        ((torch.arange(g) + 0.5) * f).long()
        for g, f in zip(grid_shape(shape, spacing), (f_d, f_h, f_w), strict=True)
    ]


def at_middles(field: Tensor, middles: Sequence[Tensor]) -> Tensor:
    """A patch's field `(..., D, H, W)` in the middles of its grid's voxels, `(..., d, h, w)`."""
    for axis, index in enumerate(middles):
        field = field.index_select(axis - 3, index)
    return field


def sites_of_patch(
    whole: SiteMap, came_from: Tensor, valid: Tensor | None, spacing: Spacing
) -> SiteMap:
    """The site map of a patch, looked up in its case's.

    Args:
        whole: Of the case.
        came_from: Where in the case the patch's voxels came from, in voxels, `(3, D, H, W)`.
        valid: Which of them did come from there, boolean, `(D, H, W)`; None: all.
        spacing: Voxel size of the patch, in mm.
    """
    d, h, w = came_from.shape[1:]
    _, middles = grid_middles((d, h, w), spacing)
    at = grid_voxels(whole, at_middles(came_from, middles))
    return sites_at(whole, at, valid, (d, h, w), spacing)


def grid_voxels(whole: SiteMap, came_from: Tensor) -> Tensor:
    """Voxels of a case's grid that hold voxels of the case, `(3, ...)` -> int64, same shape."""
    factors = torch.tensor(whole.factors).view(3, *[1] * (came_from.ndim - 1))
    return ((came_from + 0.5) / factors).floor().long()


def sites_at(
    whole: SiteMap,
    at: Tensor,
    valid: Tensor | None,
    shape: tuple[int, int, int],
    spacing: Spacing,
) -> SiteMap:
    """The same, where the case's grid voxels are known.

    Args:
        whole: Of the case.
        at: Voxels of its grid, on the patch's own grid, int64, `(3, d, h, w)`; some may lie
            outside.
        valid: Voxels of the patch that carry signal, boolean, `shape`; None: all.
        shape: The patch's voxels along D, H and W.
        spacing: Their size, in mm.
    """
    factors, middles = grid_middles(shape, spacing)
    weight, known = looked_up(whole.weight, at)
    allowed = looked_up(whole.allowed, at)[0] & known
    if valid is not None:
        allowed = allowed & at_middles(valid, middles)
    weight = torch.where(allowed, weight, 0.0)
    if not bool((weight > 0).any()):
        reason = whole.reason if whole.reason and not whole.weight.any() else NOTHING_OPEN
        d, h, w = at.shape[1:]
        return SiteMap.nowhere((d, h, w), factors, spacing, reason)
    marks = _landmarks(whole.landmarks, at)
    return SiteMap(weight, allowed, factors, spacing, landmarks=marks)


def looked_up(field: Tensor, at: Sequence[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
    """A field's values at voxels, and which of these lie in it."""
    known = torch.ones(at[0].shape, dtype=torch.bool)
    index = []
    for one, n in zip(at, field.shape, strict=True):
        known &= (one >= 0) & (one < n)
        index.append(one.clamp(0, n - 1))
    return field[index[0], index[1], index[2]], known


def _landmarks(whole: Landmarks | None, at: Tensor) -> Landmarks | None:
    if whole is None:
        return None
    inside = [index - start for index, start in zip(at, whole.start, strict=True)]

    def found(field: Tensor, outside: float) -> Tensor:
        values, known = looked_up(field, inside)
        return torch.where(known, values, outside).half()

    nan = float("nan")
    distances = torch.stack([found(one, nan) for one in whole.distance_mm])
    post = None if whole.post is None else found(whole.post, nan)
    gland = found(whole.gland, 0.0)
    return Landmarks((0, 0, 0), distances, gland, post, whole.noise, whole.dark_fat)


def arrays_of(sites: SiteMap) -> dict[str, Any]:
    """A map as arrays of a file."""
    arrays: dict[str, Any] = {
        "weight": sites.weight.numpy().astype(np.float16),
        "allowed": sites.allowed.numpy(),
        "factors": np.array(sites.factors),
        "reason": np.array(sites.reason or ""),
    }
    if (marks := sites.landmarks) is not None:
        arrays |= {"start": np.array(marks.start), "distance_mm": marks.distance_mm.numpy()}
        arrays["gland"] = marks.gland.numpy()
        if marks.post is not None:
            arrays["post"] = marks.post.numpy()
        if marks.noise is not None:
            arrays["noise"] = np.array(marks.noise)
        if marks.dark_fat is not None:
            arrays["dark_fat"] = np.array(marks.dark_fat)
    return arrays


def map_of_arrays(found: Mapping[str, Any], spacing: Spacing) -> SiteMap:
    """The inverse of `arrays_of`.

    Args:
        found: Arrays by name.
        spacing: The case's voxel size, in mm.
    """
    weight = torch.from_numpy(found["weight"].astype(np.float32))
    landmarks = None
    if "gland" in found:
        names = ("distance_mm", "gland", "post")
        fields = {n: torch.from_numpy(found[n]) for n in names if n in found}
        d, h, w = (int(n) for n in found["start"])
        noise = float(found["noise"]) if "noise" in found else None
        dark_fat = bool(found["dark_fat"]) if "dark_fat" in found else None
        landmarks = Landmarks((d, h, w), **fields, noise=noise, dark_fat=dark_fat)
    f_d, f_h, f_w = (float(f) for f in found["factors"])
    return SiteMap(
        weight,
        torch.from_numpy(found["allowed"]),
        (f_d, f_h, f_w),
        spacing,
        str(found["reason"]) or None,
        landmarks,
    )
