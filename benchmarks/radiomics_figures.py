"""Which radiomics features set painted tumors apart, over all windows of a realism run.

    python benchmarks/realism_figures.py -n 8 --train 64 --test 44 --phantoms-only -o FOLDER
    python benchmarks/radiomics_figures.py FOLDER

Training and test windows alike, since no network looks at them here: twice the tumors, and KS is
less of a lottery. Prints the median KS against all real tumors and against those that show, what
two random halves of the real ones give, and the features from the farthest apart on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from synbt_aug.evaluate.realism import Windows
from synbt_aug.evaluate.realism.radiomics import Floats, ks_of, median_ks, radiomics_of
from synbt_aug.evaluate.realism.showing import showing
from synbt_aug.evaluate.realism.windows import join

HALVINGS = 20


def windows_of(folder: Path, which: str) -> Windows:
    """One set of windows of all phantoms of a run."""
    return join(
        Windows.load(path) for path in sorted(folder.glob(f"phantoms/*/{which}.safetensors"))
    )


def taken(features: dict[str, Floats], numbers: list[int]) -> dict[str, Floats]:
    return {name: values[numbers] for name, values in features.items()}


def of_halves(features: dict[str, Floats], count: int, seed: int = 0) -> float:
    """Mean over halvings of the median KS between two random halves."""
    random, found = np.random.default_rng(seed), []
    for _ in range(HALVINGS):
        order = random.permutation(count).tolist()
        first, second = order[: count // 2], order[count // 2 :]
        found.append(median_ks(ks_of(taken(features, first), taken(features, second))))
    return float(np.mean(found))


def spread(values: Floats) -> str:
    low, middle, high = np.nanpercentile(values, (10, 50, 90))
    return f"{low:.3f} / {middle:.3f} / {high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of realism_figures.py")
    parser.add_argument("--textures", nargs="+", default=["rebuilt", "diffusion", "syntumor"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    real = windows_of(given.folder, "real")
    ours, shown = radiomics_of(real), showing(real)
    print(f"{len(real)} real tumors, {len(shown)} show")
    print(f"two random halves of them: median KS {of_halves(ours, len(real)):.3f}\n")
    for texture in given.textures:
        theirs = radiomics_of(windows_of(given.folder, texture))
        apart = ks_of(ours, theirs)
        some = median_ks(ks_of(taken(ours, shown), theirs))
        count = len(next(iter(theirs.values())))
        print(
            f"{texture}, {count}: median KS {median_ks(apart):.3f}, to those that show {some:.3f}"
        )
        print("| feature | KS | real, 10 / 50 / 90 % | here |\n|---|---|---|---|")
        for name in sorted(apart, key=lambda name: -apart[name]):
            print(f"| {name} | {apart[name]:.2f} | {spread(ours[name])} | {spread(theirs[name])} |")
        print(flush=True)


if __name__ == "__main__":
    main()
