"""The picture of docs/steering.md: one mask in one phantom, one attribute asked for at a time.

    python docs/steering_picture.py -o docs/images/steering.png

Held-out phantom, shipped weights. Prints what was asked for and what was measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.evaluate.realism.control import range_of
from synbt_aug.grid.mask import bounding_box
from synbt_aug.phantom import make_phantom
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.tumor.appearance import Appearance

#: What the other attributes are in each row.
USUAL = {"enhancement": 1.0, "rim": 1.0, "heterogeneity": 0.15, "pre_contrast": 0.15}
ROWS = {
    "enhancement": (0.5, 0.9, 1.3, 1.7),
    "rim": (0.8, 1.1, 1.4, 1.7),
    "heterogeneity": (0.06, 0.15, 0.24, 0.33),
}
SIDE_MM, SCALE, MARGIN, FOOT = 56, 3, 100, 16


def main() -> None:
    """Paint and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--phantom", type=int, default=1_000_004)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--diameter-mm", type=float, default=22.0)
    given = parser.parse_args()
    phantom = make_phantom(given.phantom, PhantomSettings(with_tumor=False))
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])).float()
    volume = BreastVolume(image, phantom.spacing)
    synthesizer = TumorSynthesizer()
    first = synthesizer(volume, seed=given.seed, diameter_mm=given.diameter_mm)
    if not first.painted:
        raise SystemExit(f"Nothing was painted: {first.reason}. Try another --seed.")
    box = bounding_box(first.tumor)
    corner = [
        min(max((a + b - SIDE_MM) // 2, 0), n - SIDE_MM)
        for (a, b), n in zip(box, first.tumor.shape, strict=True)
    ]
    middle = sum(box[2]) // 2
    white = 0.0
    shown: list[list[tuple[np.ndarray, str]]] = []
    for attribute, values in ROWS.items():
        row = []
        for value in values:
            # A tumor whose rim is brighter than its core by a third is of the category "rim".
            category = "rim" if attribute == "rim" and value > 1.35 else "mass"
            wish = Appearance(**{**USUAL, attribute: value}, category=category)
            result = synthesizer(volume, seed=given.seed, tumor_mask=first.tumor, appearance=wish)
            if not result.painted:
                raise SystemExit(f"{attribute} {value}: {result.reason}.")
            got = result.measured["tumors"][0]["appearance"][attribute]
            print(f"{attribute} {value:g}: {got:.2f}")
            x, y = (slice(c, c + SIDE_MM) for c in corner[:2])
            post = result.image[1, x, y, middle].numpy()
            white = max(white, float(np.percentile(post, 99.5)))
            row.append((post, f"asked {value:g}, is {got:.2f}"))
        shown.append(row)
    side = SIDE_MM * SCALE
    picture = Image.new("L", (MARGIN + 4 * side, len(ROWS) * (side + FOOT)), 255)
    draw = ImageDraw.Draw(picture)
    for r, (attribute, row) in enumerate(zip(ROWS, shown, strict=True)):
        top = r * (side + FOOT)
        draw.text((6, top + side // 2), attribute, fill=0)
        for c, (post, words) in enumerate(row):
            grey = np.clip(post / white * 255, 0, 255).astype(np.uint8)
            large = Image.fromarray(grey.T).resize((side, side), Image.Resampling.BICUBIC)
            picture.paste(large, (MARGIN + c * side, top))
            draw.text((MARGIN + c * side + 4, top + side + 2), words, fill=0)
    picture.save(given.output)
    for attribute in USUAL:
        low, high = range_of(synthesizer.bank, attribute)
        print(f"the bank's {attribute}, 5 to 95 %: {low:.2f} to {high:.2f}")
    low, high = np.percentile(synthesizer.bank.diameters_mm, [5, 95])
    print(f"the bank's diameters, 5 to 95 %: {low:.0f} to {high:.0f} mm")


if __name__ == "__main__":
    main()
