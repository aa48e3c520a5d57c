"""Radiomics of the lesion: first-order statistics and grey-level co-occurrence, two sets compared.

In units of the case's reference range, before the knee, so that scans compare. Shape is the
mask's own, whoever painted it, and is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.evaluate.realism.windows import Windows, linear_of

Floats = NDArray[np.float64]

#: Grey levels and the signal that they span, in reference ranges above `low`; the ends take what
#: lies beyond. A fixed width, as the image biomarker standard asks of signal with a meaning.
LEVELS = 32
SPAN = (0.0, 4.0)

_TEXTURE = ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "entropy")
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)

#: Fewer voxels give no texture worth having.
_FEWEST_VOXELS = 30


def radiomics_of(windows: Windows) -> dict[str, Floats]:
    """Features of every lesion.

    Args:
        windows: N of them.

    Returns:
        Name -> values, shape `(N,)`; nan where a lesion is too small for it. Names begin with
        "pre", "post" or "subtraction" (post less pre).

    Raises:
        ExtraMissingError: If scikit-image is not installed.
    """
    rows = []
    for k in range(len(windows)):
        level = (linear_of(windows, k).numpy() + 1) / 2
        mask = windows.lesion[k].numpy()
        rows.append(lesion_features(level, mask))
    names = rows[0] if rows else {}
    return {name: np.array([row[name] for row in rows]) for name in names}


def lesion_features(level: NDArray[Any], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Features of one lesion.

    Args:
        level: Pre and post above `low`, in reference ranges, shape `(2, D, H, W)`.
        mask: The lesion, shape `(D, H, W)`.
    """
    channels = {"pre": level[0], "post": level[1], "subtraction": level[1] - level[0]}
    found: dict[str, float] = {}
    for name, channel in channels.items():
        found |= {f"{name} {k}": v for k, v in first_order(channel[mask]).items()}
        if name != "subtraction":
            found |= {f"{name} {k}": v for k, v in texture(channel, mask).items()}
    return found


def first_order(values: NDArray[Any]) -> dict[str, float]:
    """Statistics of a lesion's voxels, any shape; those of fewer than 30 are nan.

    Source:
        Zwanenburg et al., "The image biomarker standardization initiative", Radiology 295, 2020,
        section 3.3.
    """
    names = ("mean", "sd", "skewness", "kurtosis", "p10", "median", "p90", "entropy")
    if values.size < _FEWEST_VOXELS:
        return dict.fromkeys(names, float("nan"))
    x = values.astype(np.float64).ravel()
    low, middle, high = np.percentile(x, (10, 50, 90))
    share = np.bincount(_grey(x), minlength=LEVELS) / x.size
    centred = x - x.mean()
    square = float((centred**2).mean())
    safe = max(square, 1e-12)
    return {
        "mean": float(x.mean()),
        "sd": square**0.5,
        "skewness": float((centred**3).mean()) / safe**1.5,
        "kurtosis": float((centred**4).mean()) / safe**2,
        "p10": float(low),
        "median": float(middle),
        "p90": float(high),
        "entropy": _entropy(share),
    }


def texture(channel: NDArray[Any], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Co-occurrence of neighbours 1 mm apart, both inside the lesion.

    Counted over the slices across all three axes, in four directions each, and added up: every
    one of the 9 axes and face diagonals counts, with no preferred plane.

    Args:
        channel: In reference ranges above `low`, shape `(D, H, W)`.
        mask: The lesion, shape `(D, H, W)`.

    Source:
        Haralick et al., "Textural features for image classification", IEEE SMC 3, 1973.
    """
    needs_skimage()
    from skimage.feature import graycomatrix, graycoprops

    if mask.sum() < _FEWEST_VOXELS:
        return {f"glcm {name}": float("nan") for name in _TEXTURE}
    # Level 0 is "outside the lesion" and is taken out of the counts again.
    grey = np.where(mask, _grey(channel) + 1, 0).astype(np.uint8)
    counts = np.zeros((LEVELS + 1, LEVELS + 1))
    for axis in range(3):
        for slice_ in np.moveaxis(grey, axis, 0):
            if np.count_nonzero(slice_) < 2:
                continue
            rows, columns = np.nonzero(slice_)
            part = slice_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            found = graycomatrix(part, [1], _ANGLES, levels=LEVELS + 1, symmetric=True)
            counts += found.sum(axis=(2, 3))
    inside = counts[1:, 1:]
    if inside.sum() == 0:
        return {f"glcm {name}": float("nan") for name in _TEXTURE}
    share = (inside / inside.sum())[:, :, None, None]
    values = {f"glcm {name}": float(graycoprops(share, name)[0, 0]) for name in _TEXTURE[:-1]}
    return values | {"glcm entropy": _entropy(share.ravel())}


def needs_skimage() -> None:
    """See that scikit-image is there, before anything is read.

    Raises:
        ExtraMissingError: If it is not.
    """
    if importlib.util.find_spec("skimage") is None:
        raise ExtraMissingError("Texture features", "eval", "scikit-image")


def ks_of(real: Mapping[str, Floats], synthetic: Mapping[str, Floats]) -> dict[str, float]:
    """Kolmogorov-Smirnov distance of each feature; nan values are left out.

    Args:
        real: Name -> values.
        synthetic: The same names.

    Returns:
        From 0, alike, to 1, apart, in order of `real`.

    Raises:
        SynBTError: If the names differ.
    """
    if set(real) != set(synthetic):
        raise SynBTError("ks_of needs the same features on both sides.")
    found = {}
    for name in real:
        a, b = (x[np.isfinite(x)] for x in (real[name], synthetic[name]))
        if len(a) and len(b):
            # The p-value is not used: exact, it takes long and warns.
            found[name] = float(stats.ks_2samp(a, b, method="asymp").statistic)
    return found


def median_ks(distances: Mapping[str, float]) -> float:
    """The median over features; nan where there is none."""
    return float(np.median(list(distances.values()))) if distances else float("nan")


def _grey(values: NDArray[Any]) -> NDArray[np.int64]:
    low, high = SPAN
    scaled = (np.asarray(values, dtype=np.float64) - low) / (high - low) * LEVELS
    return np.clip(np.floor(scaled), 0, LEVELS - 1).astype(np.int64)


def _entropy(share: NDArray[Any]) -> float:
    used = share[share > 0]
    return float(-(used * np.log2(used)).sum())
