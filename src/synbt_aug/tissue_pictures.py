"""Tissues and sites as pictures: the scan, its tissues in colour, and where a tumor may go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synbt_aug.tissue import TissueLabel
from synbt_aug.volume import Spacing

#: Colours of the tissues; what is behind the breast stays grey.
TISSUE_COLOURS = {
    TissueLabel.FAT: (230, 200, 90),
    TissueLabel.GLAND: (220, 60, 90),
    TissueLabel.SKIN: (90, 170, 230),
    TissueLabel.BEHIND: (120, 120, 120),
}

#: Of a likely site.
SITE_COLOUR = (60, 230, 130)

_PIXELS = 288


def tissue_sheet(pre: Tensor, labels: Tensor, weight: Tensor, spacing: Spacing) -> Image.Image:
    """Three planes, each as scan, tissues, and sites.

    The planes go through the middle of the fibroglandular tissue, or of the volume where there is
    none.

    Args:
        pre: The pre-contrast scan, shape `(D, H, W)`.
        labels: Values of `TissueLabel`, same shape.
        weight: How likely a tumor starts here, in [0, 1], same shape.
        spacing: Voxel size along D, H and W, in mm.

    Returns:
        Nine pictures: a row for each plane.
    """
    scan, tissue, sites = (v.detach().cpu().float().numpy() for v in (pre, labels, weight))
    low, high = np.percentile(scan, (0.5, 99.5))
    grey = np.clip((scan - low) / max(high - low, 1e-12), 0, 1)
    gland = tissue == TissueLabel.GLAND
    rows = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        area = gland.sum(axis=others)
        at = int(area.argmax()) if gland.any() else scan.shape[axis] // 2
        flat, kinds, likely = (np.take(v, at, axis) for v in (grey, tissue, sites))
        colour = np.repeat(flat[..., None], 3, axis=-1) * 255
        tinted = colour.copy()
        for value, paint in TISSUE_COLOURS.items():
            tinted[kinds == value] = 0.45 * tinted[kinds == value] + 0.55 * np.array(paint)
        share = 0.7 * np.clip(likely, 0, 1)[..., None]
        lit = (1 - share) * colour + share * np.array(SITE_COLOUR)
        size = (spacing[others[0]], spacing[others[1]])
        rows.append(np.concatenate([_sized(p, size) for p in (colour, tinted, lit)], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return Image.fromarray(np.concatenate(padded))


def _sized(picture: NDArray[np.float64], mm: tuple[float, float]) -> NDArray[np.uint8]:
    """At one scale in mm; D and H run downwards, so they are turned over as NIfTI needs it."""
    tall, wide = picture.shape[0] * mm[0], picture.shape[1] * mm[1]
    scale = _PIXELS / max(tall, wide)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    resized = image.resize((max(round(wide * scale), 1), max(round(tall * scale), 1)))
    return np.asarray(resized)[::-1]
