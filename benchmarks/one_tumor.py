"""CPU seconds and memory of one tumor: 64 mm window, 4 steps, no guidance, fp32, one thread.

    python benchmarks/one_tumor.py

Prints medians over several tumors of one size in one phantom, after a first one that warms up, and
the resident memory over the process before painting.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.decide.decide import decide
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.phantom import make_phantom
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tumor.wish import Wish
from synbt_aug.write import write


def resident_mb() -> float:
    """Resident memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--tumors", type=int, default=7)
    parser.add_argument("--diameter-mm", type=float, default=18.0)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)

    phantom = make_phantom(1_000_000)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
    volume = BreastVolume(image, phantom.spacing, tumor=torch.from_numpy(phantom.tumor))
    synthesizer = TumorSynthesizer(
        options.weights, steps=options.steps, precision=options.precision
    )
    host = Host.of(volume)
    host.sites_by(synthesizer.segmenter)
    before, seconds = resident_mb(), defaultdict(list)
    seed = 0
    while len(seconds["all of it"]) <= options.tumors:
        marks = [time.process_time()]
        generator = torch.Generator().manual_seed(seed)
        seed += 1
        margin = synthesizer.texture.hole_margin_mm
        wish = Wish(diameter_mm=options.diameter_mm)
        plan = decide(host, wish, synthesizer.bank, margin, generator, synthesizer.segmenter)
        marks.append(time.process_time())
        if isinstance(plan, str):
            continue
        window = Cut.of([host], [plan])
        painted = synthesizer.texture(window.job(margin))
        marks.append(time.process_time())
        write(window, painted, replaces=synthesizer.texture.replaces)
        marks.append(time.process_time())
        for name, start, end in zip(("placing", "networks", "blending"), marks, marks[1:]):
            seconds[name].append(end - start)
        seconds["all of it"].append(marks[-1] - marks[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{options.diameter_mm:g} mm, {options.steps} steps, {options.precision}")
    for name, values in seconds.items():
        print(f"{name:>10}: {statistics.median(values[1:]):.2f} CPU-s")
    print(
        f"    memory: {peak - before:.0f} MB at most over the {before:.0f} MB of the idle process"
    )


if __name__ == "__main__":
    main()
