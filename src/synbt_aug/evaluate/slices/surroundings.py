"""Features of the breast around a lesion: strands, spots, fat, shading, grain.

A tumor can be right and still lie in a breast that nobody has. Looked at is the tissue more than
3 mm from the lesion and from the air; whatever needs more of it than there is comes out as nan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synbt_aug.evaluate.slices.lesion import Lesion, Mask
from synbt_aug.evaluate.slices.tumor_slice import POST, PRE, Floats, TumorSlice

#: In the order in which they come.
SURROUNDINGS = (
    "coherence",
    "spots",
    "lines",
    "fat_level",
    "bright_share",
    "shading",
    "background",
    "brightest",
    "slope",
    "grain",
    "skin",
    "air",
)

#: Tissue is at least this bright, smoothed, over the lesion's 80th percentile in post. Air has
#: less in every scan of the patients that this was set by, suppressed fat more.
_LEAST_SIGNAL, _SIGNAL_MM = 0.06, 1.5

#: By as much, in mm, the smoothing carries the body's edge into the air.
_OVERSHOOT_MM = 2.5

#: Islands and holes up to this area are evened out, in mm2.
_SPECK_MM2 = 100

#: Distance from lesion and air, in mm.
_AWAY_MM = 3.0

#: Less tissue gives no features worth having, in mm2.
_FEWEST = 300

#: Neighbourhood over which strands keep their direction, in mm.
_STRAND_MM = 2.0

#: Bright spots: widths of the two Gaussians, least height over the lesion's enhancement.
_SPOT_MM, _SPOT_HEIGHT = (0.7, 2.0), 0.15

#: Lines: width, least curvature over the tissue's level, and how much flatter they are along.
_LINE_MM, _LINE_CURVATURE, _LINE_RATIO = 1.0, 0.08, 0.5

#: Shading: what is left of fat when everything narrower is smoothed away, in mm.
_SHADING_MM = 8.0

#: Widths between which texture is measured, in mm, each twice the one before.
_OCTAVES_MM = (0.7, 1.4, 2.8, 5.6)

#: The body's outermost layer, and the layer that it is compared with, in mm from the air.
_SKIN_MM, _UNDER_SKIN_MM = 3.0, (5.0, 11.0)


@dataclass(frozen=True)
class _Tissue:
    """What is looked at; masks of shape `(H, W)`.

    Args:
        body: Everything that is not air.
        depth_mm: Distance from the air; infinite where the slice shows none.
        away: Tissue that is far enough from lesion and air.
        dark: Its darker class in pre: fat, where fat is suppressed.
        bright: Its brighter class in pre.
        level: Median of the brighter class in pre.
    """

    body: Mask
    depth_mm: Floats
    away: Mask
    dark: Mask
    bright: Mask
    level: float


def surroundings_features(slice_: TumorSlice, lesion: Lesion) -> dict[str, float]:
    """The breast around one lesion.

    Args:
        slice_: At 1 mm.
        lesion: In it.

    Returns:
        - coherence: Of the structure tensor, weighted by its energy; 1: all edges around a place
          run one way, 0: every way.
        - spots: Local maxima of the enhancement, such as vessels in cross-section, per 10 cm2.
        - lines: Length of bright ridges in post, in mm per cm2.
        - fat_level: Dark over bright tissue in pre.
        - bright_share: Share of the tissue that is of the brighter class.
        - shading: SD over mean of smoothed dark tissue in pre.
        - background: Enhancement of bright tissue over its pre.
        - brightest: 99th percentile of the tissue's enhancement, over the lesion's.
        - slope: By how much texture grows with its width, in powers of two an octave.
        - grain: Robust SD of the finest texture in dark tissue, over the level of bright tissue.
        - skin: The outermost 3 mm over tissue 5 to 11 mm deep, in pre.
        - air: Share of the slice.
    """
    tissue = _find_tissue(slice_, lesion)
    if tissue is None:
        return dict.fromkeys(SURROUNDINGS, float("nan"))
    pre, post = slice_.image[PRE].astype(np.float64), slice_.image[POST].astype(np.float64)
    away, bright = tissue.away, tissue.bright
    own = max(float(lesion.enhancement[lesion.mask].mean()), 1e-6)
    return {
        "coherence": _coherence(_alone(pre + post, away), away),
        "spots": 1000 * _spots(_alone(post - pre, away), away, own) / away.sum(),
        "lines": 100 * _lines(_alone(post, away), away, tissue.level) / away.sum(),
        "fat_level": float(np.median(pre[tissue.dark])) / tissue.level,
        "bright_share": float(bright.sum() / away.sum()),
        "shading": _shading(pre, tissue.dark),
        "background": float(np.median((post - pre)[bright])) / tissue.level,
        "brightest": float(np.quantile(lesion.enhancement[away], 0.99)) / own,
        "slope": _slope(_alone(post, away), away),
        "grain": _grain(pre, tissue.dark) / tissue.level,
        "skin": _skin(pre, tissue),
        "air": 1 - float(tissue.body.mean()),
    }


def _find_tissue(slice_: TumorSlice, lesion: Lesion) -> _Tissue | None:
    from skimage.filters import threshold_otsu

    top, bottom, left, right = (round(edge) for edge in slice_.box)
    level = float(np.quantile(slice_.image[POST, top:bottom, left:right], 0.8))
    smooth = [ndimage.gaussian_filter(c.astype(np.float64), _SIGNAL_MM) for c in slice_.image]
    body = _without_specks(np.maximum(*smooth) > _LEAST_SIGNAL * level)
    body = ~_without_specks(~body)
    body &= _distance(~body) > _OVERSHOOT_MM
    depth_mm = _distance(~body)
    away = body & (depth_mm > _AWAY_MM) & (lesion.outside_mm > _AWAY_MM)
    if away.sum() < _FEWEST:
        return None
    pre = lesion.pre
    limit = threshold_otsu(pre[away])
    dark, bright = away & (pre <= limit), away & (pre > limit)
    found = float(np.median(pre[bright])) if bright.any() else 0.0
    return _Tissue(body, depth_mm, away, dark, bright, found) if found > 0 else None


def _without_specks(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    large = np.bincount(parts.ravel(), minlength=count + 1) >= _SPECK_MM2
    large[0] = False
    return large[parts]


def _distance(mask: Mask) -> Floats:
    """Distance from a mask, in mm; infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask)


def _alone(signal: Floats, where: Mask) -> Floats:
    """Signal with that of the nearest tissue everywhere else: lesion and air cast no shadow."""
    _, nearest = ndimage.distance_transform_edt(~where, return_indices=True)
    return signal[tuple(nearest)]


def _coherence(signal: Floats, where: Mask) -> float:
    """Source: Bigun and Granlund, "Optimal orientation detection", ICCV 1987."""
    from skimage.feature import structure_tensor, structure_tensor_eigenvalues

    along, across = structure_tensor_eigenvalues(
        structure_tensor(signal, sigma=_STRAND_MM, order="rc", mode="nearest")
    )
    return float((along - across)[where].sum() / max((along + across)[where].sum(), 1e-12))


def _spots(enhancement: Floats, where: Mask, own: float) -> int:
    """Number of local maxima at least 2 mm apart."""
    from skimage.feature import peak_local_max

    fine, wide = (ndimage.gaussian_filter(enhancement, mm) for mm in _SPOT_MM)
    peaks = peak_local_max(
        fine - wide, min_distance=2, threshold_abs=_SPOT_HEIGHT * own, exclude_border=False
    )
    return int(where[tuple(peaks.T)].sum())


def _lines(signal: Floats, where: Mask, level: float) -> int:
    """Pixels on the middle of bright ridges that are curved across and flat along.

    Source: Frangi et al., "Multiscale vessel enhancement filtering", MICCAI 1998 (the ratio).
    """
    from skimage.feature import hessian_matrix, hessian_matrix_eigvals
    from skimage.morphology import skeletonize

    hessian = hessian_matrix(
        signal, sigma=_LINE_MM, order="rc", mode="nearest", use_gaussian_derivatives=False
    )
    along, across = hessian_matrix_eigvals(hessian)
    ridge = (across < -_LINE_CURVATURE * level) & (np.abs(along) < _LINE_RATIO * np.abs(across))
    return int(skeletonize(ridge & where).sum())


def _shading(pre: Floats, dark: Mask) -> float:
    """Normalised convolution: dark tissue alone counts."""
    weight = ndimage.gaussian_filter(dark.astype(np.float64), _SHADING_MM)
    low = ndimage.gaussian_filter(np.where(dark, pre, 0.0), _SHADING_MM)
    smooth = low[dark] / np.maximum(weight[dark], 1e-9)
    return float(smooth.std() / max(abs(smooth.mean()), 1e-9))


def _slope(signal: Floats, where: Mask) -> float:
    """Slope of log2 of the SD between neighbouring widths, over log2 of the width."""
    smooth = [ndimage.gaussian_filter(signal, mm) for mm in _OCTAVES_MM]
    bands = [
        float((fine - wide)[where].std())
        for fine, wide in zip([signal, *smooth[:-1]], smooth, strict=True)
    ]
    return float(np.polyfit(np.log2(_OCTAVES_MM), np.log2(np.maximum(bands, 1e-12)), 1)[0])


def _grain(pre: Floats, dark: Mask) -> float:
    fine = (pre - ndimage.gaussian_filter(pre, _OCTAVES_MM[0]))[dark]
    return float(1.4826 * np.median(np.abs(fine - np.median(fine))))


def _skin(pre: Floats, tissue: _Tissue) -> float:
    skin = tissue.body & (tissue.depth_mm <= _SKIN_MM)
    low, high = _UNDER_SKIN_MM
    under = tissue.body & (tissue.depth_mm >= low) & (tissue.depth_mm <= high)
    if min(skin.sum(), under.sum()) < _SPECK_MM2 // 2:
        return float("nan")
    return float(np.median(pre[skin])) / max(float(np.median(pre[under])), 1e-9)
