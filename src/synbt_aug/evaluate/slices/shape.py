"""Features of a lesion's shape, free of units of signal.

Perimeter and hull are counted here: scikit-image's perimeter is for smooth outlines, and its hull
counts whole pixels, which matters in lesions of 25 mm2.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from synbt_aug.evaluate.slices.lesion import Lesion, Mask

#: In the order in which they come.
SHAPE = ("compactness", "pieces", "solidity", "holes", "radial_sd", "edge_gradient", "spicule")

#: Enhancing parts of the box that count as pieces, in mm2.
_LEAST_PIECE = 4

#: Sides of pixels to length, for the outlines of tumors.
_STAIRS = 0.95

#: Sectors that the nearest tissue is divided into, and those that must hold some of it.
_SECTORS, _FEWEST_SECTORS, _FEWEST_PIXELS = 16, 5, 3


def shape_features(lesion: Lesion) -> dict[str, float]:
    """Shape of one lesion.

    Args:
        lesion: At 1 mm.

    Returns:
        - compactness: `4 pi A / P^2`; a disc 1, a star less.
        - pieces: Enhancing parts of the box of at least 4 mm2.
        - solidity: Area over that of the convex hull.
        - holes: Share of the filled area that does not enhance.
        - radial_sd: SD over mean of the distance of the edge from the middle.
        - edge_gradient: Mean slope of the enhancement on the edge, over the contrast, in 1/mm.
        - spicule: SD over sectors of the enhancement 1 to 4 mm outside, over the contrast; nan
          where fewer than 5 of 16 sectors hold tissue.
    """
    mask, contrast = lesion.mask, max(lesion.contrast, 1e-6)
    area = int(mask.sum())
    middle = np.argwhere(lesion.filled).mean(0)
    radii = np.linalg.norm(np.argwhere(lesion.edge) - middle, axis=1)
    slope = np.hypot(*np.gradient(lesion.enhancement))
    return {
        "compactness": 4 * np.pi * area / _perimeter(mask) ** 2,
        "pieces": float((lesion.piece_sizes >= _LEAST_PIECE).sum()),
        "solidity": area / _hull_area(mask),
        "holes": 1 - area / float(lesion.filled.sum()),
        "radial_sd": float(radii.std() / radii.mean()),
        "edge_gradient": float(slope[lesion.edge].mean()) / contrast,
        "spicule": _by_sector(lesion, middle) / contrast,
    }


def _perimeter(mask: Mask) -> float:
    padded = np.pad(mask, 1).astype(np.int8)
    return _STAIRS * sum(float(np.abs(np.diff(padded, axis=k)).sum()) for k in (0, 1))


def _hull_area(mask: Mask) -> float:
    """Area of the convex hull of the pixels' corners, in mm2."""
    offsets = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    corners = (np.argwhere(mask)[:, None] + offsets).reshape(-1, 2)
    # Of two dimensions, SciPy calls the area the volume.
    return float(ConvexHull(corners).volume)


def _by_sector(lesion: Lesion, middle: np.ndarray) -> float:
    """SD over sectors of the mean enhancement of the nearest tissue."""
    rows, columns = np.indices(lesion.mask.shape) - middle[:, None, None]
    turn = (np.arctan2(rows, columns) + np.pi) / (2 * np.pi)
    number = np.floor(turn * _SECTORS).astype(int)
    enhancement = lesion.enhancement
    parts = [enhancement[lesion.near & (number == k)] for k in range(_SECTORS)]
    means = [part.mean() for part in parts if part.size >= _FEWEST_PIXELS]
    return float(np.std(means)) if len(means) >= _FEWEST_SECTORS else float("nan")
