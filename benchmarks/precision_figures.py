"""What bfloat16 changes in painted tumors: the same tumors in both precisions, on phantoms.

    python benchmarks/precision_figures.py [--phantoms 24]

Place, shape and noise do not depend on the precision; the voxels do. Differences are means over
the label, in units of the case's reference range. Beside them stands what another draw of the
noise changes, at the same place in float32: how far two tumors of one request lie apart anyway.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections import defaultdict

import numpy as np
import torch

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.volume import Synthesis


def range_of(result: Synthesis) -> torch.Tensor:
    """Reference range of each channel, shape `(2, 1)`."""
    assert result.recipe is not None
    low, high = (torch.tensor(result.recipe["reference"][name]) for name in ("low", "high"))
    return (high - low).view(2, 1)


def main() -> None:
    """Paint, compare and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=24)
    parser.add_argument("--weights", default="shipped")
    options = parser.parse_args()
    painters = {p: TumorSynthesizer(options.weights, precision=p) for p in ("fp32", "bf16")}
    differ: dict[str, list[list[float]]] = defaultdict(list)
    looks: dict[str, list[dict[str, float]]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    painted: dict[str, int] = defaultdict(int)
    labels_alike = 0
    for k in range(options.phantoms):
        phantom = make_phantom(1_170_000 + k, PhantomSettings(with_tumor=False))
        volume = BreastVolume(
            torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])), phantom.spacing
        )
        found = {}
        for name, painter in painters.items():
            start = time.process_time()
            found[name] = painter(volume, seed=k)
            seconds[name] += time.process_time() - start
            painted[name] += found[name].painted
        exact, fast = found["fp32"], found["bf16"]
        if not (exact.painted and fast.painted):
            continue
        other_draw = copy.deepcopy(exact.recipe)
        assert other_draw is not None
        for tumor in other_draw["tumors"]:
            tumor["noise_seed"] += 1
        found["another draw"] = painters["fp32"].replay(volume, other_draw)
        labels_alike += torch.equal(exact.tumor, fast.tumor)
        for name in ("bf16", "another draw"):
            if found[name].painted:
                change = (found[name].image - exact.image)[:, exact.tumor].float() / range_of(exact)
                differ[name].append(change.abs().mean(1).tolist())
        for name in painters:
            looks[name].append(found[name].measured["tumors"][0]["appearance"])
    print(
        f"{options.phantoms} phantoms, weights {painters['fp32'].weights.digest[:12]}: "
        f"{painted['fp32']} painted in fp32, {painted['bf16']} in bf16; {labels_alike} of "
        f"{len(differ['bf16'])} labels alike to the voxel; CPU-s a call "
        + ", ".join(f"{name} {s / options.phantoms:.2f}" for name, s in seconds.items())
    )
    print(
        "\n| mean difference to fp32 in the label | pre | post | largest post |\n|---|---|---|---|"
    )
    for name, values in differ.items():
        pre, post = zip(*values, strict=True)
        print(
            f"| {name} | {statistics.median(pre):.4f} | {statistics.median(post):.4f} | "
            f"{max(post):.3f} |"
        )
    print("\n| appearance | fp32, mean | bf16, mean | mean distance |\n|---|---|---|---|")
    for name in ("enhancement", "heterogeneity", "rim", "pre_contrast"):
        a, b = ([look[name] for look in looks[p]] for p in ("fp32", "bf16"))
        apart = statistics.fmean(abs(x - y) for x, y in zip(a, b, strict=True))
        print(f"| {name} | {statistics.fmean(a):.3f} | {statistics.fmean(b):.3f} | {apart:.4f} |")


if __name__ == "__main__":
    main()
