"""How much a tumor varies inside, by scale and how: patients, phantoms' tumors, and painted ones.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/lesion_spectrum.py -n 40

FOLDER is as for `real_patients.py`. Prints three tables in Markdown, medians over tumors, the
scan's noise in them on all sides. The SD of what lies between blurs of .35, .8, 1.6, 3.2 and 6.4 mm
in the plane, over the mean, in pre, post and their difference. What the SD does not tell: the level
of the outer millimetres over that deeper inside, skewness and kurtosis, and how pre goes with post.
And in post, how much tumors of a size vary, and by which power of that each band's SD rises.
Painted tumors lie in the phantoms without their own. The constants of `synbt_aug/texture/detail.py`
and the edge before contrast of `synbt_aug/texture/gains.py` are set by these tables.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Iterable, Iterator

import numpy as np
from real_patients import SMALL_FIELD, own, painter, phantom_slices
from scipy import ndimage, stats

from synbt_aug import TumorSynthesizer
from synbt_aug.evaluate.slices import TumorSlice, read_png_folder
from synbt_aug.evaluate.slices.lesion import Lesion, find_lesion
from synbt_aug.evaluate.slices.table import Rows, to_markdown

BLURS_MM = (0.35, 0.8, 1.6, 3.2, 6.4)

#: What lies less deep is the edge; fewer pixels tell no spectrum.
INSIDE_MM, FEWEST = 1.5, 60

#: Shells whose levels are held against what lies deeper than the last of them, in mm.
SHELLS_MM = (0.0, 1.1, 2.1, 3.1, 4.1)

#: For the second table: what lies less deep is left out, and what divides coarse from fine, in mm.
BELOW_EDGE_MM, COARSE_MM = 1.0, 1.5

#: Tumors are told apart by these areas of their slices, in mm2.
AREAS_MM2 = (0, 400, 800, math.inf)

CHANNELS = ("pre", "post", "difference")


def blurred(signal: np.ndarray, lesion: Lesion, sigma: float) -> np.ndarray:
    """A blur that knows the lesion alone."""
    weight = lesion.filled.astype(float)
    share = ndimage.gaussian_filter(weight, sigma)
    found = ndimage.gaussian_filter(signal * weight, sigma) / np.maximum(share, 0.05)
    return np.asarray(found)


def spectrum(signal: np.ndarray, lesion: Lesion) -> list[float]:
    """SD of each band inside, over the mean."""
    inside = lesion.depth_mm > INSIDE_MM
    levels = [blurred(signal, lesion, sigma) for sigma in BLURS_MM]
    mean = float(signal[inside].mean())
    return [
        float((finer - coarser)[inside].std()) / mean
        for finer, coarser in itertools.pairwise(levels)
    ]


def shells(signal: np.ndarray, lesion: Lesion) -> list[float]:
    """Levels of the outer millimetres over the level deeper inside; NaN of a thin lesion."""
    deep = lesion.depth_mm > SHELLS_MM[-1]
    middle = float(signal[deep].mean()) if deep.sum() >= FEWEST / 3 else math.nan
    depth = lesion.depth_mm
    return [
        float(signal[(depth > low) & (depth <= high)].mean()) / middle
        for low, high in itertools.pairwise(SHELLS_MM)
    ]


def tails(signal: np.ndarray, lesion: Lesion) -> list[float]:
    """Skewness of all that varies, of its coarse part and of the fine one, and kurtosis."""
    inside = lesion.filled & (lesion.depth_mm > BELOW_EDGE_MM)
    coarse = blurred(signal, lesion, COARSE_MM)
    parts = (signal, coarse, signal - coarse)
    kurtosis = float(stats.kurtosis(signal[inside], fisher=False))
    return [*(float(stats.skew(part[inside])) for part in parts), kurtosis]


def together(pre: np.ndarray, post: np.ndarray, lesion: Lesion) -> list[float]:
    """Correlation of pre and post, of the coarse parts and of the fine ones."""
    inside = lesion.filled & (lesion.depth_mm > BELOW_EDGE_MM)
    coarse = [blurred(signal, lesion, COARSE_MM) for signal in (pre, post)]
    fine = [pre - coarse[0], post - coarse[1]]
    return [float(np.corrcoef(a[inside], b[inside])[0, 1]) for a, b in (coarse, fine)]


def measurable(
    slices: Iterable[TumorSlice],
) -> Iterator[tuple[Lesion, np.ndarray, np.ndarray]]:
    """Lesions that are large enough inside, with pre and post."""
    for slice_ in slices:
        lesion = find_lesion(slice_)
        if lesion is not None and (lesion.depth_mm > INSIDE_MM).sum() >= FEWEST:
            pre, post = slice_.image.astype(np.float64)
            yield lesion, pre, post


def by_size(slices: Iterable[TumorSlice]) -> list[float]:
    """Post's coefficient of variation by area, its rank correlation with it, and bands' powers."""
    areas, variations, bands = [], [], []
    for lesion, _, post in measurable(slices):
        inside = post[lesion.depth_mm > INSIDE_MM]
        areas.append(lesion.filled.sum())
        variations.append(inside.std() / inside.mean())
        bands.append(spectrum(post, lesion))
    area, variation = np.array(areas), np.array(variations)
    medians_by_area = [
        float(np.median(variation[(area >= low) & (area < high)]))
        for low, high in itertools.pairwise(AREAS_MM2)
    ]
    powers = np.polyfit(np.log(variation), np.log(bands), 1)[0]
    return [*medians_by_area, float(stats.spearmanr(area, variation)[0]), *powers.tolist()]


def medians(slices: Iterable[TumorSlice]) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """How many tumors were measured, and medians of what is printed.

    Returns:
        The count; bands, shape `(3, bands)`; shells and tails of pre and post, shape
        `(2, shells + 4)`; correlations, shape `(2,)`.
    """
    bands, further, both = [], [], []
    for lesion, pre, post in measurable(slices):
        bands.append([spectrum(signal, lesion) for signal in (pre, post, post - pre)])
        further.append([shells(s, lesion) + tails(s, lesion) for s in (pre, post)])
        both.append(together(pre, post, lesion))
    varied, inside, paired = (
        np.nanmedian(np.array(part), axis=0) for part in (bands, further, both)
    )
    return len(bands), varied, inside, paired


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("SYNBT_REAL_SLICES"))
    parser.add_argument("-n", type=int, default=40, help="phantoms")
    parser.add_argument("--weights", default="shipped")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    painted = painter(TumorSynthesizer(options.weights), alone=True)
    made = phantom_slices({"own": own, "painted": painted}, options.n, SMALL_FIELD)
    bands = [f"{low:g}-{high:g} mm" for low, high in itertools.pairwise(BLURS_MM)]
    depths = [f"{low:g}-{high:g} mm deep" for low, high in itertools.pairwise(SHELLS_MM)]
    rows: Rows = [("", "n", "channel", *bands)]
    ways = ["skewness", "coarse", "fine", "kurtosis", "pre with post: coarse", "fine"]
    others: Rows = [("", "channel", *depths, *ways)]
    areas = [f"CV, {low:g}-{high:g} mm2" for low, high in itertools.pairwise(AREAS_MM2)]
    uneven: Rows = [("", *areas, "rank correlation", *(f"power, {band}" for band in bands))]
    for name, slices in {"patients": read_png_folder(options.folder), **made}.items():
        slices = list(slices)
        count, varied, further, both = medians(slices)
        uneven.append((name, *(f"{v:.2f}" for v in by_size(slices))))
        for channel, values in zip(CHANNELS, varied, strict=True):
            rows.append((name, str(count), channel, *(f"{v:.3f}" for v in values)))
        for channel, values in zip(CHANNELS[:2], further, strict=True):
            with_post = [f"{v:.2f}" for v in both] if channel == "pre" else ["", ""]
            others.append((name, channel, *(f"{v:.2f}" for v in values), *with_post))
    print(to_markdown(rows))
    print(to_markdown(others))
    print(to_markdown(uneven))


if __name__ == "__main__":
    main()
