"""How much of the host's own structure shines through new tumors, and how the noise fits.

    python benchmarks/ghosts.py PRE POST [--existing MASK] [--tumors 12]
    python benchmarks/ghosts.py --phantoms 12

Deeper than 2 mm in each new tumor, the host's structures above 4 SD of its noise (vessels,
ligaments) are looked up in what was painted: the share of their contrast that is left, by
regression. Beside it, the SD of what varies from voxel to voxel over the signal level, in new
tumors and in the existing one.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.data.nifti import read_pair
from synbt_aug.grid.mask import gaussian, signed_distance_mm
from synbt_aug.phantom import make_phantom
from synbt_aug.signal.grain import fine_part, measure_noise

#: Structures are what stands out of this many voxels around, by so many SDs of the noise.
STRUCTURE_SIGMA = 2.5
STANDS_OUT = 4.0
DEEP_MM = 2.0


def structures(image: Tensor) -> Tensor:
    """What stands out of its surroundings, shape `(2, D, H, W)`."""
    whole = gaussian(torch.ones_like(image[0]), STRUCTURE_SIGMA)
    return image - gaussian(image, STRUCTURE_SIGMA) / whole


def volumes(options: argparse.Namespace) -> Iterator[tuple[BreastVolume, int]]:
    """Volumes to paint into, with a seed each."""
    if options.phantoms:
        for k in range(options.phantoms):
            phantom = make_phantom(1_000_000 + k)
            image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
            yield BreastVolume(image, phantom.spacing, tumor=torch.from_numpy(phantom.tumor)), k
        return
    volume = read_pair(options.pre, options.post, existing=options.existing).volume
    for k in range(options.tumors):
        yield volume, k


def fine_share(image: Tensor, where: Tensor) -> list[float]:
    """SD of the fine part over the level, pre and post."""
    fine = fine_part(image)[:, where]
    return (fine.std(1) / image[:, where].mean(1)).tolist()


def main() -> None:
    """Paint, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pre", type=Path, nargs="?")
    parser.add_argument("post", type=Path, nargs="?")
    parser.add_argument("--existing", type=Path)
    parser.add_argument("--tumors", type=int, default=12)
    parser.add_argument("--phantoms", type=int, default=0)
    options = parser.parse_args()
    if not options.phantoms and options.post is None:
        parser.error("name a pre- and a post-contrast scan, or --phantoms N")
    synthesizer = TumorSynthesizer()
    left: list[list[float]] = [[], []]
    fine: list[list[float]] = [[], []]
    real: list[list[float]] = [[], []]
    for volume, seed in volumes(options):
        result = synthesizer(volume, seed=seed)
        if not result.painted:
            continue
        before, after = volume.image.float(), result.image.float()
        deep = signed_distance_mm(result.tumor, volume.spacing) <= -DEEP_MM
        if int(deep.sum()) < 100:
            continue
        noise = measure_noise(before[None], ~result.support[None]).sd[0]
        was, now = structures(before), structures(after)
        for c in range(2):
            there = deep & (was[c].abs() > STANDS_OUT * noise[c])
            if int(there.sum()) >= 20:
                x, y = was[c][there], now[c][there]
                left[c].append(float((x * y).sum() / x.square().sum()))
            fine[c].append(fine_share(after, deep)[c])
        if volume.tumor is not None and bool(volume.tumor.any()):
            inside = signed_distance_mm(volume.tumor, volume.spacing) <= -DEEP_MM
            if int(inside.sum()) >= 100:
                for c, value in enumerate(fine_share(before, inside)):
                    real[c].append(value)
    for c, name in enumerate(("pre", "post")):
        ghosts = f"{statistics.median(left[c]):.0%}" if left[c] else "none to see"
        own = f"{statistics.median(real[c]):.3f}" if real[c] else "-"
        print(
            f"{name}: {ghosts} of the host's structure is left (median of {len(left[c])} tumors); "
            f"fine SD over level {statistics.median(fine[c]):.3f}, existing tumors {own}"
        )


if __name__ == "__main__":
    main()
