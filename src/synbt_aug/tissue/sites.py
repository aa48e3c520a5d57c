"""Where in a scan a tumor may sit, from its tissues.

A tumor keeps away from skin, nipple and chest wall, from tumors that are there, and from vessels
and nodes. A bank tells which of the places left tumors prefer (`tumor/place_density.py`); the
weight here, for what no bank knows places of, is gland and its border. A mask of the user's takes
the place of all this but the tumors.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.tissue.body import body_mask
from synbt_aug.tissue.cleaning import MAYBE_BEHIND, Breast, clean
from synbt_aug.tissue.enhancing import enhancing_structures
from synbt_aug.tissue.gland_by_signal import gland_by_signal
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.landmarks import Landmarks, find_landmarks
from synbt_aug.tissue.masks import box_of, within
from synbt_aug.tissue.sides import sides
from synbt_aug.tissue.site_map import CLEARANCE_MM, SiteMap, near
from synbt_aug.tissue.tissue_map import TissueMap, grid_shape, to_grid
from synbt_aug.volume import Spacing

__all__ = [
    "CLEARANCE_MM",
    "FAR_SHARE",
    "MARGIN_MM",
    "SKIN_MARGIN_MM",
    "SiteMap",
    "find_sites",
    "sites_of_roi",
]

#: Least distance of a tumor from the chest wall, in mm, judged at voxel centres: there the network
#: errs most, and a tumor in muscle is worse than one too many millimetres in front of it.
MARGIN_MM = 4.0

#: Least distance of a tumor from skin and nipple: many reach them.
SKIN_MARGIN_MM = 2.0

#: Reach of "at the gland's border", in mm: the weight is 1 on the border, .3 4 mm from it.
BORDER_MM = 4.0

#: Weight of fat far from gland, at most, and its share of all draws, at most: a fatty breast
#: has ten times more fat than gland.
FAR_WEIGHT = 0.05
FAR_SHARE = 0.05

#: Less fibroglandular tissue than this, in cm3, is none.
LEAST_GLAND_CM3 = 0.5

#: A shorter field of view shows too little to tell tissues apart, in mm.
SMALLEST_VIEW_MM = 24.0


def find_sites(
    tissue: TissueMap,
    level: Tensor | None = None,
    occupied: Tensor | None = None,
    valid: Tensor | None = None,
    real_tumor: Tensor | None = None,
    ignored: Tensor | None = None,
) -> SiteMap:
    """Find where a tumor may sit.

    Args:
        tissue: Of the scan.
        level: Signal of pre and post above `low` over the reference range on the tissue's
            grid, `(to_linear(to_grid(image)) + 1) / 2`, shape `(2, d, h, w)`. It corrects the
            fibroglandular tissue of a network, and shows vessels and nodes. None does neither.
        occupied: Existing tumors and other forbidden places, boolean, shape `(D, H, W)`.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`; None means all.
        real_tumor: Boolean, shape `(D, H, W)`; breasts that hold any of it are left out. None
            leaves none out.
        ignored: Tumors whose places are free; what they look like tells nothing. Boolean, shape
            `(D, H, W)`.

    Returns:
        A site map; where there is nowhere to go, its `reason` says why.
    """
    place = _Place(tissue.shape, tissue.spacing)
    view = [n * mm for n, mm in zip(tissue.shape, tissue.spacing, strict=True)]
    if min(view) < SMALLEST_VIEW_MM:
        return place.nowhere(
            f"the volume is only {' x '.join(f'{mm:.0f}' for mm in view)} mm, and shows too little "
            f"to tell where a tumor may go ({SMALLEST_VIEW_MM:.0f} mm along each axis would do)"
        )
    signal = place.all_of(valid)
    # At the ends of a field of view the network may take dark air for dark fat.
    body = None if level is None else body_mask(level.amax(0).cpu().numpy())
    probability = tissue.probability.cpu().numpy()
    breast = clean(probability, signal, place.grid_mm, body)
    if not breast.inside.any():
        return place.nowhere("no breast is in view")
    if float(breast.gland.sum()) * place.voxel_cm3 < LEAST_GLAND_CM3:
        return place.nowhere("the breast in view has no fibroglandular tissue")
    box = box_of(breast.inside)
    breast = Breast(breast.inside[box], breast.outside[box], breast.gland[box])
    taken = None if occupied is None else place.any_of(occupied)
    seen = None if level is None else level[(slice(None), *box)].cpu().numpy()
    aside = taken if ignored is None else place.any_of(ignored)
    if seen is not None and not tissue.known:
        hidden = None if aside is None else aside[box]
        gland = gland_by_signal(breast.gland, breast.inside, seen, place.grid_mm, hidden)
        breast = replace(breast, gland=gland)
    behind = breast.outside & (probability[TissueLabel.BEHIND][box] > MAYBE_BEHIND)
    # Surfaces lie half a voxel before the centres of what is behind them.
    half = min(place.grid_mm) / 2
    allowed = breast.inside & ~within(breast.outside, SKIN_MARGIN_MM + half, place.grid_mm)
    allowed &= ~within(behind, MARGIN_MM + half, place.grid_mm)
    if not allowed.any():
        return place.nowhere(
            f"the breast in view is nowhere {SKIN_MARGIN_MM:.0f} mm away from the skin and "
            f"{MARGIN_MM:.0f} mm from the chest wall"
        )
    if real_tumor is not None and bool(real_tumor.any()):
        side = sides(breast.inside, breast.outside, place.grid_mm, half)
        allowed &= _without(place.any_of(real_tumor)[box] & breast.inside, side)
        if not allowed.any():
            return place.nowhere("there is no breast in view without a real tumor")
    # A tumor that is there counts as gland, but draws no other one to its border.
    gland = breast.gland if taken is None else np.where(taken[box], 0, breast.gland)
    weight = _weight(gland, allowed, place.grid_mm)
    if seen is not None:
        around = _smooth(breast.gland, place.grid_mm)
        if ignored is not None and aside is not None:
            # Nothing rises in a tumor's place: it is no vessel.
            seen = np.where(aside[box], seen[:1], seen)
        structures, nodes = enhancing_structures(seen, breast.inside, around, place.grid_mm)
        allowed &= ~nodes
        weight[structures | ~allowed] = 0
    landmarks = find_landmarks(
        tissue.labels.cpu().numpy(),
        breast.gland,
        breast.inside,
        box,
        place.grid_mm,
        seen,
    )
    if taken is not None:
        landmarks = landmarks.without(taken, place.grid_mm)
    return place.site_map(box, allowed, weight, taken, landmarks)


def sites_of_roi(
    roi: Tensor,
    spacing: Spacing,
    occupied: Tensor | None = None,
    valid: Tensor | None = None,
    real_tumor: Tensor | None = None,
) -> SiteMap:
    """Sites that a user marked, in place of those that tissues allow.

    Args:
        roi: Where a tumor may go: boolean, or weights in [0, 1], shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        occupied: As for `find_sites`.
        valid: As for `find_sites`.
        real_tumor: As for `find_sites`; parts of the roi that do not touch are its sides.

    Returns:
        A site map; a tumor lies inside the roi as a whole, its centre where the weight is high.
    """
    d, h, w = roi.shape
    place = _Place((d, h, w), spacing)
    if not bool((roi > 0).any()):
        return place.nowhere("the roi marks no voxel")
    share, weight = to_grid(
        torch.stack([(roi > 0).to(torch.float32), roi.to(torch.float32)]), spacing
    ).cpu()
    inside = share.numpy() >= 0.5
    if not inside.any():
        return place.nowhere("the roi is thinner than 2 mm everywhere")
    signal = place.all_of(valid)
    allowed = inside if signal is None else inside & signal
    if not allowed.any():
        return place.nowhere("the roi marks only voxels without signal")
    box = box_of(inside)
    allowed = allowed[box]
    if real_tumor is not None and bool(real_tumor.any()):
        side = sides(inside[box], ~inside[box], place.grid_mm)
        allowed &= _without(place.any_of(real_tumor)[box] & inside[box], side)
        if not allowed.any():
            return place.nowhere("there is no part of the roi without a real tumor")
    taken = None if occupied is None else place.any_of(occupied)
    return place.site_map(box, allowed, np.where(allowed, weight.numpy()[box], 0), taken)


class _Place:
    """A working grid, and the way of masks and results to it and from it."""

    def __init__(self, shape: tuple[int, int, int], spacing: Spacing) -> None:
        self.shape, self.spacing = shape, spacing
        self.grid = grid_shape(shape, spacing)
        f_d, f_h, f_w = (n / g for n, g in zip(shape, self.grid, strict=True))
        self.factors = f_d, f_h, f_w
        self.grid_mm = f_d * spacing[0], f_h * spacing[1], f_w * spacing[2]
        self.voxel_cm3 = math.prod(self.grid_mm) / 1000

    def any_of(self, mask: Tensor) -> np.ndarray:
        """Grid voxels that hold any of a mask on the host's grid."""
        share = to_grid(mask[None], self.spacing)[0]
        found: np.ndarray = (share > 1e-4).cpu().numpy()
        return found

    def all_of(self, mask: Tensor | None) -> np.ndarray | None:
        """Grid voxels that a mask fills; None where there is no mask."""
        return None if mask is None else ~self.any_of(~mask)

    def nowhere(self, reason: str) -> SiteMap:
        return SiteMap.nowhere(self.grid, self.factors, self.spacing, f"no site: {reason}")

    def site_map(
        self,
        box: tuple[slice, ...],
        allowed: np.ndarray,
        weight: np.ndarray,
        taken: np.ndarray | None,
        landmarks: Landmarks | None = None,
    ) -> SiteMap:
        """Keep away from what is there, and fill the whole grid."""
        if taken is not None and taken.any():
            close = near(taken, self.grid_mm)[box]
            if not (allowed & ~close).any():
                return self.nowhere("existing tumors and forbidden places leave no room")
            allowed = allowed & ~close
        if not (weight[allowed] > 0).any():
            return self.nowhere("vessels and lymph nodes leave no room")
        heavy, everywhere = np.zeros(self.grid, np.float32), np.zeros(self.grid, bool)
        everywhere[box] = allowed
        heavy[box] = np.where(allowed, weight, 0)
        return SiteMap(
            torch.from_numpy(heavy),
            torch.from_numpy(everywhere),
            self.factors,
            self.spacing,
            landmarks=landmarks,
        )


def _without(tumor: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The breasts that hold no tumor, of those numbered by `sides`."""
    return (side > 0) & ~np.isin(side, np.unique(side[tumor]))


def _smooth(share: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    sigma = [BORDER_MM / mm for mm in grid_mm]
    return np.asarray(ndimage.gaussian_filter(share, sigma, mode="nearest", truncate=2.5))


def _weight(gland: np.ndarray, allowed: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """1 in gland and on its border, falling off into the fat."""
    # Half of what is around a border is gland: there the blurred share is .5.
    near = np.clip(np.maximum(gland, 2 * _smooth(gland, grid_mm)), 0, 1)
    near[~allowed] = 0
    far = allowed & (near < FAR_WEIGHT)
    weight = np.where(far, 0, near)
    close = float(weight.sum())
    if close > 0:
        most = FAR_SHARE / (1 - FAR_SHARE) * close / max(int(far.sum()), 1)
        weight[far] = min(FAR_WEIGHT, most)
    else:
        # What gland there is lies too close to the skin: the places nearest to it.
        weight[far] = FAR_WEIGHT
    return np.asarray(weight, np.float32)
