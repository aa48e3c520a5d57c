"""The model card's picture: real and painted tumors of the same phantoms, side by side.

    python benchmarks/realism_figures.py --phantoms-only -o FOLDER
    python pretrained/tumors_picture.py FOLDER -o docs/images/tumors.png

One column a phantom; for each kind of tumor the middle slice of post, and subtraction beneath.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from synbt_aug.evaluate.realism.windows import SIDE_MM, Windows, linear_of

ROWS = {
    "real": "real",
    "in_place": "painted in\nits mask",
    "diffusion": "painted\nelsewhere",
    "syntumor": "the same by\nSynTumor",
}
#: Pixels a mm, and room for words on the left.
SCALE, MARGIN = 2, 90


def slices(path: Path) -> np.ndarray:
    """Post and subtraction in grey levels, one above the other, shape `(2 n, n)`."""
    pre, post = linear_of(Windows.load(path), 0)[..., SIDE_MM // 2].numpy()
    # Linear signal is -1 at `low`: a subtraction has no such offset.
    both = np.concatenate([post, post - pre - 1])
    return np.clip((both + 1) / 4 * 255, 0, 255).astype(np.uint8)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of benchmarks/realism_figures.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="phantoms to pass over")
    parser.add_argument("--count", type=int, default=8)
    given = parser.parse_args()
    whole = [
        folder
        for folder in sorted((given.folder / "phantoms").iterdir())
        if all((folder / f"{row}.safetensors").is_file() for row in ROWS)
    ]
    chosen = whole[given.first : given.first + given.count]
    if not chosen:
        raise SystemExit(f"{given.folder} has no phantom with every kind of tumor.")
    rows = [
        np.concatenate([slices(folder / f"{row}.safetensors") for folder in chosen], axis=1)
        for row in ROWS
    ]
    sheet = np.concatenate(rows).repeat(SCALE, 0).repeat(SCALE, 1)
    picture = Image.new("L", (sheet.shape[1] + MARGIN, sheet.shape[0]), 255)
    picture.paste(Image.fromarray(sheet), (MARGIN, 0))
    draw = ImageDraw.Draw(picture)
    for k, words in enumerate(ROWS.values()):
        draw.multiline_text((6, (2 * k + 1) * SIDE_MM * SCALE - 12), words, fill=0)
    picture.save(given.output)
    print(f"{given.output}: phantoms {', '.join(folder.name for folder in chosen)}")


if __name__ == "__main__":
    main()
