"""Body against air, by brightness alone: what no network may take for breast."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synbt_aug.tissue.masks import filled, opened


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
        level: Signal above `low` over the reference range on the working grid, `(d, h, w)`.

    Returns:
        Boolean, same shape, holes (ducts, dark fat) filled.
    """
    # Fat-suppressed fat is only 3-6 times brighter than air: on a linear scale Otsu's method
    # finds the gland, on a logarithmic one below the body's median it finds the body.
    logs = np.log(np.clip(level, 0, None) + 0.02)
    dim = logs[level < 0.4]
    if dim.size < 64 or np.count_nonzero(level <= 0.12) < 0.02 * level.size:
        return np.ones(level.shape, dtype=bool)
    threshold = min(max(otsu_threshold(dim), np.log(0.08)), np.log(0.20))
    body = opened(logs > threshold)
    parts, count = ndimage.label(body)
    if count > 1:
        sizes = np.bincount(parts.ravel())[1:]
        body = np.append(False, sizes >= 0.05 * sizes.max())[parts]
    return filled(body)
