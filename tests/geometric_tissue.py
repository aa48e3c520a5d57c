"""Tissues of a scan by geometry alone: stands in for the network on breasts made of formulas.

It finds the body, the side that faces air, and the tissue in front of the chest wall, in any axis
order. A crop without air has no front: all of it counts as breast.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.signal.intensity import measure_reference, to_linear
from synbt_aug.tissue.body import body_mask, otsu_threshold
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.tissue_map import TissueMap, to_grid
from synbt_aug.volume import Spacing

#: Brightness of gland over fat, or of fat over gland, below which there is no gland.
_LEAST_CONTRAST = 1.12


def geometric_tissue(pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
    """Find tissues; arguments and result as `tissue.segments.Segments` says."""
    signal = torch.stack([pre, pre])
    level = (to_linear(to_grid(signal.float(), spacing), measure_reference(signal)) + 1) / 2
    coarse = level[0].cpu().numpy()
    body = body_mask(coarse)
    front = _front(body)
    breast = body if front is None else _in_front_of_chest_wall(body, front)
    if valid is not None:
        breast = breast & (to_grid(valid[None].float(), spacing)[0] >= 0.5).cpu().numpy()
    labels = np.where(body, TissueLabel.BEHIND, TissueLabel.BACKGROUND)
    labels[breast] = TissueLabel.FAT
    if breast.any():
        from_air = _distance(body)
        labels[breast & _gland(coarse, breast, from_air)] = TissueLabel.GLAND
        labels[breast & (from_air <= 2)] = TissueLabel.SKIN
    probability = torch.stack([torch.from_numpy(labels == value) for value in TissueLabel])
    d, h, w = pre.shape
    return TissueMap(probability.float(), (d, h, w), spacing)


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
    # 90 %: the columns beside the breast, where the skin lies on the chest wall.
    plane = np.quantile(skin, 0.9)
    index = np.arange(body.shape[axis]).reshape([-1 if k == axis else 1 for k in range(3)])
    breast = oriented & (index < plane)
    return np.flip(breast, axis) if flipped else breast


def _distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each True voxel to the nearest False one, in mm; large when there is none."""
    if mask.all():
        return np.full(mask.shape, 1e3)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=2.0))


def _gland(pre: np.ndarray, breast: np.ndarray, from_air: np.ndarray) -> np.ndarray:
    """Likely fibroglandular tissue, boolean, from the pre-contrast level.

    Gland is the class that the fat under the skin does not belong to: brighter with fat
    suppression, darker without.
    """
    inner = breast & (from_air > 8.0)
    under_skin = breast & (from_air > 3.0) & (from_air <= 8.0)
    if inner.sum() < 200:
        return np.zeros_like(breast)
    # Coil bias: judge each voxel against its surroundings of 4 cm.
    smooth = ndimage.gaussian_filter(np.where(breast, pre, 0), 7.5)
    share = ndimage.gaussian_filter(breast.astype(np.float64), 7.5)
    relative = pre / np.maximum(smooth / np.maximum(share, 1e-3), 1e-3)
    threshold = otsu_threshold(relative[inner])
    bright = relative > threshold
    here, there = relative[inner & bright], relative[inner & ~bright]
    if not here.size or not there.size or here.mean() < _LEAST_CONTRAST * there.mean():
        return np.zeros_like(breast)
    fat_is_bright = under_skin.any() and np.median(relative[under_skin]) > threshold
    # Skin is bright, too.
    return np.asarray((bright != fat_is_bright) & breast & (from_air > 6.0))
