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

from synbt_aug.evaluate.slices import slice_through
from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom

FIRST_SEED = 1_100_000
#: A smaller field than usual, for speed; the breast is drawn to fit.
FIELD = PhantomSettings(shape=(144, 136, 104))
COLUMNS, ROWS = 5, 2
SCALE = 2


def main() -> None:
    """Make the phantoms and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    given = parser.parse_args()
    tiles = [
        _tiles(make_phantom(seed, FIELD)) for seed in range(given.seed, given.seed + COLUMNS * ROWS)
    ]
    rows = []
    for first in range(0, len(tiles), COLUMNS):
        group = tiles[first : first + COLUMNS]
        rows += [np.concatenate([tile[k] for tile in group], axis=1) for k in (0, 1)]
    picture = Image.fromarray(np.concatenate(rows))
    size = (picture.width * SCALE, picture.height * SCALE)
    picture.resize(size, Image.Resampling.BICUBIC).save(given.output, optimize=True)


def _tiles(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """Post-contrast and subtraction of one slice of the scanner, uint8, 80 mm squared."""
    pair = np.stack([phantom.pre, phantom.post[0]]).astype(np.float32)
    found = slice_through(str(phantom.seed), pair, phantom.tumor_instances == 1, phantom.slice_axis)
    if found is None:
        raise SystemExit(f"The tumor of phantom {phantom.seed} is too small for a slice.")
    pre, post = found.image
    return _grey(post), _grey(np.clip(post - pre, 0, None))


def _grey(values: np.ndarray) -> np.ndarray:
    white = max(float(np.quantile(values, 0.998)), 1e-6)
    grey: np.ndarray = np.clip(values * 255 / white, 0, 255).astype(np.uint8)
    return grey


if __name__ == "__main__":
    main()
