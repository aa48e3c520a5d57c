"""A network's tissue map made plausible: which voxels are breast, and what lies around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.masks import dilated, enclosed, eroded

#: Margins are kept from voxels that are breast with less probability than this: where the
#: network is in doubt about the chest wall, it may lie there.
SURE = 0.95

#: The chest wall is drawn worst, and a tumor in muscle is worse than one too many millimetres in
#: front of it: what lies behind with more than this probability counts as behind, for margins.
MAYBE_BEHIND = 0.01

#: Parts of breast smaller than this share of the largest are no second breast, and smaller than
#: this many cm3 no breast.
SMALLEST_SHARE = 0.05
SMALLEST_CM3 = 1.0

#: Holes in a breast up to this size, in cm3, are clips and specks; an implant is larger.
LARGEST_HOLE_CM3 = 2.0

#: A breast's surface lies behind skin, at least this share of it, unless no part's does: the
#: heart may look like one, but lies behind the chest wall.
LEAST_SKIN_SHARE = 0.05

#: Voxels between a breast's surface and the skin that covers it, and from there to the air in
#: front, at most.
_TO_SKIN = 2


@dataclass(frozen=True)
class Breast:
    """What is breast on the working grid.

    Args:
        inside: Breast fat and fibroglandular tissue, boolean, shape `(d, h, w)`.
        outside: Skin, air and what lies behind, or may, boolean, same shape: some of `inside`
            among it. Voxels without signal are neither: a crop ends there, and not the breast.
        gland: Share of fibroglandular tissue, float32, same shape; 0 beyond `inside`.
    """

    inside: np.ndarray
    outside: np.ndarray
    gland: np.ndarray


def clean(
    probability: np.ndarray,
    valid: np.ndarray | None,
    grid_mm: tuple[float, float, float],
    body: np.ndarray | None = None,
) -> Breast:
    """Keep the breasts of a tissue map: large parts behind skin, their holes filled.

    Args:
        probability: By `TissueLabel`, shape `(5, d, h, w)`.
        valid: Voxels with signal, boolean, shape `(d, h, w)`; None means all.
        grid_mm: Voxel size, in mm.
        body: What is bright enough for tissue, boolean, shape `(d, h, w)`; None trusts the map.
    """
    fat, gland = probability[TissueLabel.FAT], probability[TissueLabel.GLAND]
    # Fat and gland together: at their border neither may be the likeliest.
    found = fat + gland >= 0.5
    if valid is not None:
        found &= valid
    if body is not None:
        found &= body
    voxel_cm3 = math.prod(grid_mm) / 1000
    parts, count = ndimage.label(found)
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_cm3
    sizes[0] = 0
    large = sizes >= max(SMALLEST_SHARE * sizes.max(), SMALLEST_CM3)
    if np.count_nonzero(large) > 1:
        large = _behind_skin(parts, large, probability.argmax(0))
    inside: np.ndarray = large[parts]
    if not inside.any():
        return Breast(inside, ~inside, np.zeros_like(gland))
    holes = _holes(inside, voxel_cm3)
    if valid is not None:
        holes &= valid
    inside |= holes
    sure = (fat + gland >= SURE) & (probability[TissueLabel.BEHIND] <= MAYBE_BEHIND)
    outside = ~(inside & sure | holes)
    if valid is not None:
        outside &= valid
    return Breast(inside, outside, np.where(inside & ~holes, gland, 0).astype(np.float32))


def _behind_skin(parts: np.ndarray, large: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Those of several large parts that skin covers; all where it covers none, as in a crop.

    Skin is that before the largest body of air: a network may draw some around a heart, too,
    towards the dark lung.

    Args:
        parts: Numbers of the parts by voxel, shape `(d, h, w)`.
        large: Which of them may be breast, boolean, by number.
        labels: The likeliest tissue, shape `(d, h, w)`.
    """
    bodies, number = ndimage.label(labels == TissueLabel.BACKGROUND)
    sizes = np.bincount(bodies.ravel(), minlength=number + 1)
    sizes[0] = 0
    in_front = dilated((bodies > 0) & (bodies == sizes.argmax()), _TO_SKIN)
    skin = (labels == TissueLabel.SKIN) & in_front
    mask = large[parts]
    surface = mask & ~eroded(mask, beyond=True)
    covered = surface & dilated(skin, _TO_SKIN)
    whole, behind = (np.bincount(parts[m], minlength=len(large)) for m in (surface, covered))
    kept: np.ndarray = large & (behind >= LEAST_SKIN_SHARE * np.maximum(whole, 1))
    return kept if kept.any() else large


def _holes(mask: np.ndarray, voxel_cm3: float) -> np.ndarray:
    """Small parts of the rest that nothing joins to the end of the volume."""
    parts, sizes = enclosed(mask)
    small = (sizes > 0) & (sizes * voxel_cm3 <= LARGEST_HOLE_CM3)
    holes: np.ndarray = small[parts]
    return holes
