"""CPU seconds of one tumor as a call has it, beside RandomAffine in the same run; one thread.

    python benchmarks/one_tumor.py

Each call is on a fresh copy of a phantom of 192x192x128 voxels, two channels: checks, intensity
references, tissues and sites, all attempts and writing are in it. "sites known" leaves out what a
host does once for a case. Medians over several calls, the three taken in turn, after a first round
that warms up.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchio

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.host import Host
from synbt_aug.phantom import make_phantom
from synbt_aug.runner import Series, run
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tumor.wish import Wish


def resident_mb() -> float:
    """Resident memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def cpu_seconds(call: Callable[..., object], *args: object, **options: object) -> float:
    """CPU time of a call."""
    start = time.process_time()
    call(*args, **options)
    return time.process_time() - start


def paint(
    painter: TumorSynthesizer, host: Host, ground: Ground, diameter_mm: float | None, seed: int
) -> None:
    """Decide, paint and write one tumor, all attempts, in a host whose sites are known."""
    margin, fringe = painter.texture.hole_margin_mm, painter.texture.replaces
    generator = torch.Generator().manual_seed(seed)
    wishes = [Wish(diameter_mm=diameter_mm)]
    decided = decide_all(ground, wishes, painter.bank, margin, generator, fringe=fringe)
    run(painter.painter, [Series(host, decided, ground)], attempts=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    options = parser.parse_args()
    torch.set_num_threads(1)

    phantom = make_phantom(1_000_000)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
    tumor = torch.from_numpy(phantom.tumor)
    affine = torchio.RandomAffine()
    painters = {
        name: TumorSynthesizer(options.weights, steps=options.steps, precision=name)
        for name in options.precisions
    }
    host = Host.of(BreastVolume(image, phantom.spacing, tumor=tumor))
    known = {name: Ground.of(host, painter.segmenter) for name, painter in painters.items()}
    before, seconds = resident_mb(), defaultdict(list)
    for seed in range(options.rounds + 1):
        subject = torchio.Subject(image=torchio.ScalarImage(tensor=image.clone()))
        seconds["RandomAffine"].append(cpu_seconds(affine, subject))
        for name, painter in painters.items():
            for label, size in (("18 mm", 18.0), ("default sizes", None)):
                volume = BreastVolume(image.clone(), phantom.spacing, tumor=tumor.clone())
                seconds[f"{label}, {name}"].append(
                    cpu_seconds(painter, volume, seed=seed, diameter_mm=size)
                )
                seconds[f"{label}, {name}, sites known"].append(
                    cpu_seconds(paint, painter, host, known[name], size, seed)
                )
    unit = statistics.median(seconds["RandomAffine"][1:])
    print(f"{options.steps} steps, {options.rounds} rounds, torch {torch.__version__}")
    for name, values in seconds.items():
        # Default sizes differ much: their mean is what a training pays.
        middle = statistics.mean if "default" in name else statistics.median
        value = middle(values[1:])
        print(f"{name:>34}: {value:.2f} CPU-s, {value / unit:.1f} x RandomAffine")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"memory: {peak - before:.0f} MB at most over the {before:.0f} MB of the idle process")


if __name__ == "__main__":
    main()
