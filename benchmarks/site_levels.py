"""Do painted tumors lie in tissue as bright as real ones? Levels around both, without painting.

    python benchmarks/site_levels.py -n 40

For phantoms from 1,180,000 on: the level of the same patient without a tumor, 2 to 4.5 mm around
where the real one grew, and around shapes of the same size that are placed by the rules as they
are, with every allowed site alike, and with no margin to skin and chest wall. Levels are signal
above `low` in reference ranges. Prints Markdown: medians, and Kolmogorov-Smirnov distances to the
real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from realism_phantoms import segmenter, stack
from scipy.stats import ks_2samp
from torch import Tensor

from synbt_aug import BreastVolume
from synbt_aug.evaluate.realism.windows import lesions_of
from synbt_aug.grid.mask import equivalent_diameter_mm, signed_distance_mm
from synbt_aug.grid.window import cut
from synbt_aug.host import Host
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.signal.intensity import to_linear
from synbt_aug.tissue import sites
from synbt_aug.tumor.placement import place_tumor
from synbt_aug.weights import load_without_networks

FIRST_SEED = 1_180_000
RING_MM = (2.0, 4.5)
HOLE_MARGIN_MM = 3.0


def alike(gland: np.ndarray, allowed: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Every allowed site has the same chance."""
    return allowed.astype(np.float32)


RULES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "all allowed sites alike": {"_weight": alike},
    "no margin": {"MARGIN_MM": 0.0, "SKIN_MARGIN_MM": 0.0},
    "no margin, all alike": {"MARGIN_MM": 0.0, "SKIN_MARGIN_MM": 0.0, "_weight": alike},
}


@contextmanager
def rules(changes: dict[str, Any]) -> Iterator[None]:
    """Other rules for sites."""
    before = {name: getattr(sites, name) for name in changes}
    for name, value in changes.items():
        setattr(sites, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(sites, name, value)


def levels(linear: Tensor, distance: Tensor, known: Tensor | None = None) -> list[float]:
    """Mean level of pre and post in the ring."""
    ring = (distance > RING_MM[0]) & (distance <= RING_MM[1])
    if known is not None:
        ring &= known
    return [float(channel[ring].mean() + 1) / 2 for channel in linear]


def measure(seed: int, bank: Any) -> dict[str, list[list[float]]]:
    """One phantom: the levels around its tumors and around placed shapes of their sizes."""
    shape = (192, 192, 128)
    phantom = make_phantom(seed, PhantomSettings(shape=shape))
    tumor = torch.from_numpy(phantom.tumor)
    lesions = lesions_of(tumor, phantom.spacing)[:2]
    found: dict[str, list[list[float]]] = {"real": [], **{name: [] for name in RULES}}
    if not lesions:
        return found
    twin = make_phantom(seed, PhantomSettings(shape=shape, with_tumor=False))
    free = BreastVolume(stack(twin), twin.spacing)
    linear = to_linear(free.image.float(), Host.of(free).reference)
    for lesion in lesions:
        distance = signed_distance_mm(lesion, limit_mm=6.0)
        found["real"].append(levels(linear, distance, ~tumor | lesion))
    for name, changes in RULES.items():
        with rules(changes):
            place = Host.of(free).sites_by(segmenter("cpu"))
        for k, lesion in enumerate(lesions):
            diameter = equivalent_diameter_mm(int(lesion.sum()), phantom.spacing)
            placed = place_tumor(
                place,
                shape,
                bank,
                HOLE_MARGIN_MM,
                torch.Generator().manual_seed(10 * seed + k),
                min(max(diameter, 6.0), 50.0),
            )
            if placed is not None:
                found[name].append(levels(cut(linear, placed.window), placed.distance))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=40, help="phantoms")
    given = parser.parse_args()
    bank = load_without_networks("shipped").bank
    found: dict[str, list[list[float]]] = {"real": [], **{name: [] for name in RULES}}
    for seed in range(FIRST_SEED, FIRST_SEED + given.n):
        for name, values in measure(seed, bank).items():
            found[name] += values
    if not found["real"]:
        raise SystemExit(f"None of {given.n} phantoms has a lesion to measure. Ask for more: -n N.")
    real = np.array(found["real"])
    print("| sites | tumors | level around, pre / post | KS, pre / post |\n|---|---|---|---|")
    for name, rows in found.items():
        own = np.array(rows)
        middle = " / ".join(f"{x:.2f}" for x in np.median(own, 0))
        far = " / ".join(f"{ks_2samp(real[:, c], own[:, c]).statistic:.2f}" for c in (0, 1))
        print(f"| {name} | {len(own)} | {middle} | {'' if name == 'real' else far} |")


if __name__ == "__main__":
    main()
