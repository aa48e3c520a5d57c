"""What tells tumors painted in the real ones' own masks from these: single numbers, and where.

    python benchmarks/steps_told_apart.py -o FOLDER --steps 2 --train 60 --test 40
    python benchmarks/where_told_apart.py FOLDER [--steps 2] [--within 3 --classifier-steps 350]

FOLDER holds the windows of phantoms' tumors and of painted ones that the first script keeps. Prints
Markdown: levels of the millimetres inside and outside of the edge over the contrast, before and
after contrast (medians); and the numbers of a tumor by which alone the two are told apart best, as
AUC (on either side of .5) and Kolmogorov-Smirnov distance. With `--within`, a classifier is trained
three times: on the painted windows, on real ones that are painted up to so many mm from the mask
alone, and on real ones that are painted everywhere else.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.stats import ks_2samp, kurtosis, skew
from sklearn.metrics import roc_auc_score
from steps_told_apart import FIRST_SEED, FIRST_TEST_SEED

from synbt_aug.evaluate.realism import Windows
from synbt_aug.evaluate.realism.classifier import CLASSIFIER_TRAINING, tell_apart
from synbt_aug.evaluate.realism.windows import join
from synbt_aug.evaluate.slices.table import Rows, to_markdown

CHANNELS = ("pre", "post")

#: Shells inside and outside of the edge, in mm; what lies around, and what lies deep.
SHELLS_MM = (0, 1, 2, 3)
AROUND_MM, DEEP_MM = (3.0, 6.0), 3.0

#: Of the inside without its edge, at least so many voxels.
BELOW_EDGE_MM, FEWEST = 1.5, 60

#: Blurs between which detail lies, in mm: "fine" is what the first takes away.
BLURS_MM = (0.8, 2.0)

SHOWN = 20


def pairs(folder: Path, steps: int, first: int) -> tuple[Windows, Windows]:
    """Windows of real tumors and of painted ones, of the phantoms that have both."""
    real, painted = [], []
    for path in sorted(folder.glob("real_*.safetensors")):
        seed = int(path.stem.split("_")[1])
        other = folder / f"{steps}_{seed}.safetensors"
        if first <= seed < first + FIRST_TEST_SEED - FIRST_SEED and other.is_file():
            real.append(Windows.load(path))
            painted.append(Windows.load(other))
    if not real:
        raise SystemExit(f"{folder} holds no windows of {steps} steps: see `--help`.")
    return join(real), join(painted)


def each_of(windows: Windows) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Signal, depth inside and distance outside of each tumor."""
    for signal, lesion in zip(windows.signal, windows.lesion, strict=True):
        mask = lesion.numpy()
        depth = ndimage.distance_transform_edt(mask)
        yield signal.float().numpy(), depth, ndimage.distance_transform_edt(~mask)


def shell_levels(windows: Windows) -> np.ndarray:
    """Over the contrast, medians: shape `(channels, inside and outside)`."""
    rows = []
    for signal, depth, away in each_of(windows):
        deep, around = depth > DEEP_MM, (away > AROUND_MM[0]) & (away <= AROUND_MM[1])
        if not deep.any():
            continue
        row = []
        for values in signal:
            level = float(values[around].mean())
            contrast = float(values[deep].mean()) - level
            for distance, (low, high) in itertools.product(
                (depth, away), itertools.pairwise(SHELLS_MM)
            ):
                shell = values[(distance > low) & (distance <= high)]
                row.append((float(shell.mean()) - level) / contrast)
        rows.append(row)
    return np.asarray(np.median(rows, axis=0)).reshape(len(CHANNELS), -1)


def numbers_of(signal: np.ndarray, depth: np.ndarray, away: np.ndarray) -> dict[str, float]:
    """What one tumor is like, by name."""
    inside = depth > BELOW_EDGE_MM
    if inside.sum() < FEWEST:
        inside = depth > 0
    around = (away > AROUND_MM[0]) & (away <= AROUND_MM[1])
    found: dict[str, float] = {}
    bands: dict[str, list[np.ndarray]] = {"fine": [], "middle": []}
    for name, values in zip(CHANNELS, signal, strict=True):
        once, twice = (ndimage.gaussian_filter(values, mm) for mm in BLURS_MM)
        level = float(values[around].mean())
        contrast = float(values[inside].mean()) - level
        found[f"{name}: contrast"] = contrast
        parts = {"all": values, "fine": values - once, "middle": once - twice}
        for part, what in parts.items():
            there = what[inside]
            found[f"{name}, {part}: SD"] = float(there.std())
            found[f"{name}, {part}: skewness"] = float(skew(there))
            found[f"{name}, {part}: kurtosis"] = float(kurtosis(there))
            if part in bands:
                bands[part].append(there)
        for where, distance in (("inside", depth), ("outside", away)):
            for low, high in itertools.pairwise(SHELLS_MM):
                shell = values[(distance > low) & (distance <= high)]
                share = (float(shell.mean()) - level) / contrast if shell.size else math.nan
                found[f"{name}, {low}-{high} mm {where}: share of contrast"] = share
    for part, both in bands.items():
        found[f"pre with post, {part}: correlation"] = float(np.corrcoef(both)[0, 1])
    return found


def by_single_numbers(real: Windows, painted: Windows) -> Rows:
    """Those that part the two best, best first; the first row holds the headings."""
    sets = [[numbers_of(*one) for one in each_of(windows)] for windows in (real, painted)]
    found = []
    for name in sets[0][0]:
        values = [np.array([one[name] for one in numbers]) for numbers in sets]
        values = [v[np.isfinite(v)] for v in values]
        sides = np.repeat([0, 1], [len(v) for v in values])
        area = float(roc_auc_score(sides, np.concatenate(values)))
        medians = [f"{np.median(v):.3f}" for v in values]
        row = (name, *medians, f"{area:.2f}", f"{ks_2samp(*values).statistic:.2f}")
        found.append((abs(area - 0.5), row))
    found.sort(reverse=True)
    return [("number", "real", "painted", "AUC", "KS"), *(row for _, row in found[:SHOWN])]


def mixed(inner: Windows, outer: Windows, within_mm: float) -> Windows:
    """Windows of one kind up to a distance from the mask, of the other beyond."""
    signal = outer.signal.clone()
    for k, (_, _, away) in enumerate(each_of(inner)):
        there = torch.from_numpy(away <= within_mm)
        signal[k][:, there] = inner.signal[k][:, there]
    return replace(outer, signal=signal)


def by_place(parts: Sequence[tuple[Windows, Windows]], within_mm: float, steps: int) -> Rows:
    """What a classifier tells apart; the first row holds the headings."""
    ways: dict[str, Callable[[Windows, Windows], Windows]] = {
        "everywhere": lambda real, painted: painted,
        f"up to {within_mm:g} mm from the mask": lambda r, p: mixed(p, r, within_mm),
        "everywhere else": lambda r, p: mixed(r, p, within_mm),
    }
    settings = replace(CLASSIFIER_TRAINING, steps=steps)
    (real, painted), (real_test, painted_test) = parts
    rows: Rows = [("painted", f"AUC after {steps} steps")]
    for name, made in ways.items():
        verdict = tell_apart(
            real, made(real, painted), real_test, made(real_test, painted_test), settings
        )
        area = verdict.area
        rows.append((name, f"{area.value:.3f} ({area.low:.2f} to {area.high:.2f})"))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2, help="of the sampler")
    parser.add_argument("--within", type=float, help="in mm; trains three classifiers")
    parser.add_argument("--classifier-steps", type=int, default=350)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = [pairs(options.folder, options.steps, s) for s in (FIRST_SEED, FIRST_TEST_SEED)]
    both = [join([train, test]) for train, test in zip(*parts, strict=True)]
    print(f"{len(parts[0][0])} tumors to learn from, {len(parts[1][0])} to test.\n")
    shells = [
        f"{low}-{high} mm {where}"
        for where in ("inside", "outside")
        for low, high in itertools.pairwise(SHELLS_MM)
    ]
    rows: Rows = [("level over the contrast", "channel", *shells)]
    for name, windows in zip(("real", "painted"), both, strict=True):
        for channel, levels in zip(CHANNELS, shell_levels(windows), strict=True):
            rows.append((name, channel, *(f"{v:.2f}" for v in levels)))
    print(to_markdown(rows))
    print(to_markdown(by_single_numbers(*both)))
    if options.within is not None:
        print(to_markdown(by_place(parts, options.within, options.classifier_steps)))


if __name__ == "__main__":
    main()
