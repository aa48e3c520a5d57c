"""Does a seed give the same tumors on another number of threads, and in another precision?

    python benchmarks/seed_stability.py -n 40 --per-host 5

Tissues are found on one thread, on two, and in the other precision, as another machine would: their
rounding moves what is a site and how likely it is. Tumors are then decided by the defaults from the
same seeds, in tumor-free phantoms from 1,300,000 on. Prints Markdown: how many lie at the same
site, have the same diameter, and the same label to the voxel.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import torch

from synbt_aug import BreastVolume
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.wish import Wish
from synbt_aug.weights import load_without_networks

FIRST_SEED = 1_300_000
SHAPE = (144, 136, 104)
HOLE_MARGIN_MM = 1.0

#: Name, threads and precision of what is held against the first of them.
WAYS = (
    ("1 thread, bf16", 1, "bf16"),
    ("2 threads, bf16", 2, "bf16"),
    ("1 thread, fp32", 1, "fp32"),
)


def decided(ground: Ground, bank: TumorBank, seeds: range) -> list[Plan | None]:
    """A tumor for each of some seeds; None where it is left out."""
    found = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        (plan,) = decide_all(ground, [Wish()], bank, HOLE_MARGIN_MM, generator, fringe=True)
        found.append(plan if isinstance(plan, Plan) else None)
    return found


def agreed(one: Plan, other: Plan) -> dict[str, bool]:
    """In what two plans are the same."""
    site = one.recipe.window == other.recipe.window
    return {
        "site": site,
        "diameter": one.recipe.diameter_mm == other.recipe.diameter_mm,
        "label": site and bool(((one.distance <= 0) == (other.distance <= 0)).all()),
    }


def main() -> None:
    """Decide, compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=40, help="phantoms")
    parser.add_argument("--per-host", type=int, default=5)
    options = parser.parse_args()
    bank = load_without_networks().bank
    segmenters = {precision: load_segmenter("shipped", precision) for _, _, precision in WAYS}
    same: dict[str, Counter[str]] = {name: Counter() for name, _, _ in WAYS[1:]}
    tumors: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + options.n):
        phantom = make_phantom(seed, PhantomSettings(shape=SHAPE, with_tumor=False))
        pair = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]).astype(np.float32))
        plans = {}
        for name, threads, precision in WAYS:
            torch.set_num_threads(threads)
            ground = Ground.of(Host.of(BreastVolume(pair, phantom.spacing)), segmenters[precision])
            plans[name] = decided(ground, bank, range(1000 * seed, 1000 * seed + options.per_host))
        first = plans.pop(WAYS[0][0])
        for name, others in plans.items():
            for one, other in zip(first, others, strict=True):
                tumors[name] += one is not None or other is not None
                if one is not None and other is not None:
                    same[name].update(what for what, yes in agreed(one, other).items() if yes)
    print(f"| as with {WAYS[0][0]} | tumors | same site | same diameter | same label |")
    print("|---|---|---|---|---|")
    for name, count in same.items():
        cells = (tumors[name], count["site"], count["diameter"], count["label"])
        print(f"| {name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
