"""How many tumors are left out where each is tried once, as in nnU-Net's training process.

    python benchmarks/single_attempt.py [--phantoms 12] [--tumors 10]

Tumors by the default sizes into tumor-free phantoms of 128x128x96, shipped weights, 4 steps and
float32.
Prints a line a phantom with the sums so far. Two minutes on one core at the defaults.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import torch

from synbt_aug import BreastVolume, PhantomSettings, TumorSynthesizer, make_phantom
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.host import Host
from synbt_aug.runner import Series, run
from synbt_aug.tumor.wish import Wish

FIRST_SEED = 1_300_000
SETTINGS = PhantomSettings(shape=(128, 128, 96), with_tumor=False)


def main() -> None:
    """Paint and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--tumors", type=int, default=10)
    given = parser.parse_args()
    painter = TumorSynthesizer(precision="fp32", steps=4)
    counts: Counter[str] = Counter()
    for k in range(given.phantoms):
        phantom = make_phantom(FIRST_SEED + k, SETTINGS)
        image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
        host = Host.of(BreastVolume(image, phantom.spacing))
        ground = Ground.of(host, painter.segmenter)
        for j in range(given.tumors):
            generator = torch.Generator().manual_seed(100 * k + j)
            margin = painter.texture.hole_margin_mm
            decided = decide_all(
                ground,
                [Wish()],
                painter.bank,
                margin,
                generator,
                fringe=painter.texture.replaces,
            )
            series = Series(host, decided, ground)
            run(painter.painter, [series], attempts=False)
            (result,) = series.results()
            counts["painted" if result.painted else str(result.reason).split(":")[0]] += 1
        print(f"{k + 1} phantoms: {dict(counts)}", flush=True)


if __name__ == "__main__":
    main()
