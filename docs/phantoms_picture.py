"""The picture of docs/phantoms.md: slices through the tumors of held-out phantoms.

    python docs/phantoms_picture.py -o docs/images/phantoms.png

Two rows of early post-contrast scans, and below each what is left when the scan before contrast
is subtracted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom

FIRST_SEED = 1_100_200
#: A smaller field than usual, for speed; the breast is drawn to fit.
FIELD = PhantomSettings(shape=(144, 136, 104))
COLUMNS, ROWS = 5, 2
SIDE_MM, SCALE = 80, 2


def main() -> None:
    """Make the phantoms and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    given = parser.parse_args()
    tiles = [
        _tiles(make_phantom(seed, FIELD), axis=seed % 3)
        for seed in range(given.seed, given.seed + COLUMNS * ROWS)
    ]
    rows = []
    for first in range(0, len(tiles), COLUMNS):
        group = tiles[first : first + COLUMNS]
        rows += [np.concatenate([tile[k] for tile in group], axis=1) for k in (0, 1)]
    picture = Image.fromarray(np.concatenate(rows))
    size = (picture.width * SCALE, picture.height * SCALE)
    picture.resize(size, Image.Resampling.BICUBIC).save(given.output, optimize=True)


def _tiles(phantom: Phantom, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Post-contrast and subtraction, uint8, `SIDE_MM` squared, where the tumor is largest."""
    tumor = phantom.tumor_instances == 1
    others = tuple(d for d in range(3) if d != axis)
    level = int(tumor.sum(axis=others).argmax())
    pre, post, label = (
        np.take(volume, level, axis) for volume in (phantom.pre, phantom.post[0], tumor)
    )
    middle = [round(c) for c in ndimage.center_of_mass(label)]
    corner = [m + SIDE_MM // 2 for m in middle]  # in the padded slice
    window = tuple(slice(c, c + SIDE_MM) for c in corner)
    pre, post = (np.pad(v.astype(float), SIDE_MM)[window] for v in (pre, post))
    return _grey(post), _grey(np.clip(post - pre, 0, None))


def _grey(values: np.ndarray) -> np.ndarray:
    white = max(float(np.quantile(values, 0.998)), 1e-6)
    grey: np.ndarray = np.clip(values * 255 / white, 0, 255).astype(np.uint8)
    return grey


if __name__ == "__main__":
    main()
