"""How well the tissue segmenter does on phantoms it never saw, in contrasts it never saw.

    python benchmarks/tissue_figures.py -n 100 [--segmenter FOLDER] [--picture tissue.png]

Training images are random Gaussian mixtures; the phantoms here come from the signal equation of
spoiled gradient echoes, which no training image does. They are split evenly over five protocols
and shown in a random axis order. Dice is that of labels: on the segmenter's 2 mm grid, where the
truth is the majority tissue of each voxel, and on the scan's own grid. The last column of the first
table is no answer but a bound: the fibroglandular tissue that the best of all thresholds finds,
chosen with the truth in hand inside the true breast. The last row is the third of the phantoms with
the smallest share of fibroglandular tissue in the breast.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from synbt_aug.data.phantom_cohort import FIRST_TEST_SEED
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.tissue import TissueLabel, TissueMap, tissue_labels, to_grid
from synbt_aug.tissue.segmenter import load_segmenter

FIELD = PhantomSettings()
#: What is shown, and in which phantoms: seed % 5.
PROTOCOLS = {
    "1 mm": FIELD,
    "0.7 x 0.7 x 2 mm": replace(FIELD, shape=(274, 274, 64), spacing=(0.7, 0.7, 2.0)),
    "no fat suppression, 1.5 mm": replace(
        FIELD, shape=(128, 128, 86), spacing=(1.5,) * 3, fat_saturation=False
    ),
    "sagittal, 3 x 0.8 x 0.8 mm": replace(
        FIELD, shape=(64, 240, 160), spacing=(3.0, 0.8, 0.8), slice_thickness_mm=3.0
    ),
    "two breasts, after contrast": replace(FIELD, shape=(320, 192, 128), bilateral=True),
}
REGIONS = {
    "breast": (TissueLabel.FAT, TissueLabel.GLAND),
    "fibroglandular": (TissueLabel.GLAND,),
    "skin": (TissueLabel.SKIN,),
    "behind": (TissueLabel.BEHIND,),
}


def dice(found: torch.Tensor, truth: torch.Tensor, values: tuple[TissueLabel, ...]) -> float:
    wanted = torch.tensor([int(v) for v in values])
    a, b = torch.isin(found, wanted), torch.isin(truth, wanted)
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


class Found(NamedTuple):
    """Of one phantom.

    Args:
        protocol: Of `PROTOCOLS`.
        share: Of the breast, what is fibroglandular.
        dice: By region; NaN where neither has any.
    """

    protocol: str
    share: float
    dice: dict[str, float]


def best_threshold(signal: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice of gland by the best threshold inside the true breast, also blurred and flattened."""
    breast = np.isin(truth.numpy(), [int(v) for v in REGIONS["breast"]])
    gland = truth.numpy() == TissueLabel.GLAND
    x = signal.numpy()
    flattened = [x]
    for voxels in (8, 15):
        level = ndimage.gaussian_filter(np.where(breast, x, 0), voxels)
        share = ndimage.gaussian_filter(breast.astype(np.float32), voxels)
        flattened.append(x * np.maximum(share, 1e-3) / np.maximum(level, 1e-6 * x.max()))
    best = 0.0
    for field in flattened:
        for y in (field, ndimage.gaussian_filter(field, 0.7)):
            values, wanted = y[breast], gland[breast]
            # Dice of "above" and "below" at every threshold, from the sorted values at once.
            hits = np.cumsum(wanted[np.argsort(-values)])
            count, total = np.arange(1, len(values) + 1), int(wanted.sum())
            above = 2 * hits / (count + total)
            below = 2 * (total - hits) / (len(values) - count + total)
            best = max(best, float(above.max()), float(below.max()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=100, help="phantoms")
    parser.add_argument("--first", type=int, default=FIRST_TEST_SEED)
    parser.add_argument("--segmenter", default="shipped")
    parser.add_argument("--picture", type=Path, help="a PNG of the first ten")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = load_segmenter(chosen.segmenter)
    fine: list[Found] = []
    coarse: list[Found] = []
    bound = "best threshold"
    seconds: list[float] = []
    rows: list[np.ndarray] = []
    for seed in range(chosen.first, chosen.first + chosen.n):
        name, settings = list(PROTOCOLS.items())[seed % len(PROTOCOLS)]
        phantom = make_phantom(seed, settings)
        scan = phantom.post[0] if name.endswith("after contrast") else phantom.pre
        rng = np.random.default_rng(seed)
        order = list(permutations(range(3)))[rng.integers(6)]
        flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
        scan, truth = (
            torch.from_numpy(np.flip(volume.transpose(order), flips).copy())
            for volume in (scan.astype(np.float32), tissue_labels(phantom.labels, phantom.breast))
        )
        d, h, w = (phantom.spacing[k] for k in order)
        started = time.process_time()
        found = segmenter(scan, (d, h, w))
        seconds.append(time.process_time() - started)
        known = TissueMap.of_labels(truth, (d, h, w))
        gland, breast = (
            int(torch.isin(truth, torch.tensor(REGIONS[region])).sum())
            for region in ("fibroglandular", "breast")
        )
        share = gland / max(breast, 1)
        for one, there, whole in (
            (coarse, found.labels, known.labels),
            (fine, found.at_host(), truth),
        ):
            values = {what: dice(there, whole, tissues) for what, tissues in REGIONS.items()}
            one.append(Found(name, share, values))
        level = to_grid(scan[None], (d, h, w))[0]
        coarse[-1].dice[bound] = best_threshold(level, known.labels)
        if len(rows) < 10:
            rows.append(_row(scan, truth, found.at_host()))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread"
    print(f"{chosen.n} phantoms from {chosen.first}, segmenter {chosen.segmenter}; {machine}.\n")
    for title, table in (("2 mm grid", coarse), ("the scan's own grid", fine)):
        columns = [*REGIONS, bound] if table is coarse else list(REGIONS)
        print(f"| Dice on {title}, mean (worst) | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        rows_of = {name: [one for one in table if one.protocol == name] for name in PROTOCOLS}
        rows_of["all"] = table
        rows_of["fattest third"] = sorted(table, key=lambda one: one.share)[: len(table) // 3]
        for name, some in rows_of.items():
            cells = []
            for region in columns:
                dices = [v for one in some if not math.isnan(v := one.dice[region])]
                cells.append(f"{np.mean(dices):.3f} ({min(dices):.2f})" if dices else "-")
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()
    print(f"CPU-seconds a scan: median {np.median(seconds):.2f}, most {max(seconds):.2f}")
    if chosen.picture:
        Image.fromarray(np.concatenate(rows)).save(chosen.picture)


def _row(scan: torch.Tensor, truth: torch.Tensor, found: torch.Tensor) -> np.ndarray:
    """Scan, truth and answer in the slice with most gland, 256 pixels each."""
    areas = [
        torch.stack([(truth.select(axis, k) == TissueLabel.GLAND).sum() for k in range(n)])
        for axis, n in enumerate(truth.shape)
    ]
    axis = int(torch.stack([a.max() for a in areas]).argmax())
    at = int(areas[axis].argmax())
    grey = scan.select(axis, at).numpy()
    grey = np.clip(grey / max(np.percentile(scan, 99.5), 1e-6), 0, 1) * 255
    colours = np.array(
        [(0, 0, 0), (230, 200, 90), (220, 60, 60), (90, 170, 230), (90, 90, 90)], np.uint8
    )
    parts = [np.repeat(grey.astype(np.uint8)[..., None], 3, 2)]
    parts += [colours[v.select(axis, at).numpy()] for v in (truth, found)]
    return np.concatenate([np.array(Image.fromarray(p).resize((256, 256))) for p in parts], 1)


if __name__ == "__main__":
    main()
