"""How much a tumor varies inside, by scale: patients, phantoms' own tumors, and painted ones.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/lesion_spectrum.py -n 40

FOLDER is as for `real_patients.py`. Prints Markdown: the SD of what lies between blurs of .35, .8,
1.6, 3.2 and 6.4 mm in the plane, over the mean, in pre, post and their difference; medians over
tumors. The scan's noise is in it on all sides. The constants of `synbt_aug/texture/detail.py` are
set by this table.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterable

import numpy as np
from real_patients import SMALL_FIELD, own, painter, phantom_slices
from scipy import ndimage

from synbt_aug.evaluate.slices import TumorSlice, read_png_folder
from synbt_aug.evaluate.slices.lesion import Lesion, find_lesion
from synbt_aug.evaluate.slices.table import to_markdown

BLURS_MM = (0.35, 0.8, 1.6, 3.2, 6.4)

#: What lies less deep is the edge; fewer pixels tell no spectrum.
INSIDE_MM, FEWEST = 1.5, 60


def spectrum(signal: np.ndarray, lesion: Lesion) -> list[float]:
    """SD of each band inside, over the mean; blurs know the lesion alone."""
    weight = lesion.filled.astype(float)
    inside = lesion.depth_mm > INSIDE_MM

    def blurred(sigma: float) -> np.ndarray:
        share = ndimage.gaussian_filter(weight, sigma)
        found = ndimage.gaussian_filter(signal * weight, sigma) / np.maximum(share, 0.05)
        return np.asarray(found)

    levels = [blurred(sigma) for sigma in BLURS_MM]
    mean = float(signal[inside].mean())
    return [
        float((finer - coarser)[inside].std()) / mean
        for finer, coarser in itertools.pairwise(levels)
    ]


def medians(slices: Iterable[TumorSlice]) -> tuple[int, np.ndarray]:
    """How many tumors were measured, and the medians, shape `(3, bands)`."""
    found = []
    for slice_ in slices:
        lesion = find_lesion(slice_)
        if lesion is None or (lesion.depth_mm > INSIDE_MM).sum() < FEWEST:
            continue
        pre, post = slice_.image.astype(np.float64)
        found.append([spectrum(signal, lesion) for signal in (pre, post, post - pre)])
    return len(found), np.median(np.array(found), axis=0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("SYNBT_REAL_SLICES"))
    parser.add_argument("-n", type=int, default=40, help="phantoms")
    parser.add_argument("--weights", default="shipped")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    made = phantom_slices({"own": own, "painted": painter(options.weights)}, options.n, SMALL_FIELD)
    bands = [f"{low:g}-{high:g} mm" for low, high in itertools.pairwise(BLURS_MM)]
    rows = [["", "n", "channel", *bands]]
    for name, slices in {"patients": read_png_folder(options.folder), **made}.items():
        count, found = medians(slices)
        for channel, values in zip(("pre", "post", "difference"), found, strict=True):
            rows.append([name, str(count), channel, *(f"{v:.3f}" for v in values)])
    print(to_markdown(rows))


if __name__ == "__main__":
    main()
