"""Phantoms' own tumors, and painted ones, beside real patients' slices.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/real_patients.py -n 100
    python benchmarks/real_patients.py FOLDER -n 100 --sets own --small --sheet OUT.png

FOLDER holds `cases.csv` and `images` (see `synbt_aug/evaluate/slices/png_folder.py`). Prints
Markdown: median, Kolmogorov-Smirnov distance and the boosted tree's AUC of 28 features. Phantoms
have seeds from 1,100,000, which no weight was trained on. "painted" is beside the phantom's own
tumor, which takes room and shows in many slices; "alone" is in the same patient without it, as
patients' slices show one tumor. One draw of 64 tumors moves an AUC by .1: `--draws 4` paints each
phantom four times, and prints the mean and the range of all draws.

A phantom takes 2 to 3 CPU-seconds, a painted tumor 2 more. `--sheet` writes pictures of all sets,
for the eye: patients are on it, keep it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from synbt_aug import BreastVolume, TumorSynthesizer, make_phantom
from synbt_aug.evaluate.slices import (
    SetComparison,
    TumorSlice,
    compare_tables,
    control,
    measure_slices,
    read_png_folder,
    slice_through,
)
from synbt_aug.evaluate.slices.features import GROUPS
from synbt_aug.evaluate.slices.table import Rows, feature_rows, summary_rows, to_markdown
from synbt_aug.phantom import Phantom, PhantomSettings

FIRST_SEED = 1_100_000

#: A smaller field than usual, for speed; the breast is drawn to fit.
SMALL_FIELD = PhantomSettings(shape=(144, 136, 104))

SETS = ("own", "painted", "alone")

#: Between the seeds of a phantom's draws.
NEXT_DRAW = 10_000

Make = Callable[[int, Phantom], TumorSlice | None]


def pair_of(phantom: Phantom) -> np.ndarray:
    """Pre and first post of a phantom."""
    return np.stack([phantom.pre, phantom.post[0]]).astype(np.float32)


def own(seed: int, phantom: Phantom) -> TumorSlice | None:
    """A slice of the scanner, as patients' are, through a phantom's index lesion."""
    lesion = phantom.tumor_instances == 1
    return slice_through(str(seed), pair_of(phantom), lesion, phantom.slice_axis)


@lru_cache(maxsize=1)
def without_tumor(seed: int, settings: PhantomSettings) -> Phantom:
    """The same patient without the tumor."""
    return make_phantom(seed, replace(settings, with_tumor=False))


def painter(synthesizer: TumorSynthesizer, *, alone: bool, draw: int = 0) -> Make:
    """Slices through tumors that are painted by default settings.

    Args:
        synthesizer: Paints.
        alone: In the same patient without the phantom's own tumor, in place of beside it.
        draw: Which of a phantom's tumors.
    """

    def painted(seed: int, phantom: Phantom) -> TumorSlice | None:
        if alone:
            phantom = without_tumor(seed, phantom.settings)
        image = torch.from_numpy(pair_of(phantom))
        tumor = None if alone else torch.from_numpy(phantom.tumor)
        result = synthesizer(BreastVolume(image, tumor=tumor), seed=seed + draw * NEXT_DRAW)
        if not result.painted:
            return None
        axis = phantom.slice_axis
        return slice_through(str(seed), result.image.numpy(), result.tumor.numpy(), axis)

    return painted


def phantom_slices(
    makers: dict[str, Make], count: int, field: PhantomSettings
) -> dict[str, list[TumorSlice]]:
    """Slices of each kind, of the same phantoms."""
    found: dict[str, list[TumorSlice]] = {name: [] for name in makers}
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        phantom = make_phantom(seed, field)
        for name, make in makers.items():
            if (slice_ := make(seed, phantom)) is not None:
                found[name].append(slice_)
        if sys.stderr.isatty():
            print(f"\r{seed - FIRST_SEED + 1} of {count} phantoms", end="", file=sys.stderr)
    return found


def draw_names(kind: str, draws: int) -> list[str]:
    """Names of a kind's sets."""
    return [kind] if draws == 1 else [f"{kind} {k + 1}" for k in range(draws)]


def over_draws(kinds: Mapping[str, Sequence[SetComparison]]) -> Rows:
    """Mean and range of each kind's draws; the first row holds the headings."""
    rows: Rows = [("mean (range) of the draws", *kinds)]

    def cells(every: Iterable[list[float]]) -> Iterator[str]:
        for values in every:
            yield f"{np.mean(values):.3f} ({min(values):.2f}-{max(values):.2f})"

    for group, features in GROUPS.items():
        distances = ([one.median_distance(features) for one in draws] for draws in kinds.values())
        rows.append((f"median KS, {group}", *cells(distances)))
    for group in GROUPS:
        areas = ([one.areas[group] for one in draws] for draws in kinds.values())
        rows.append((f"AUC, {group}", *cells(areas)))
    return rows


def sheet(sets: dict[str, list[TumorSlice]], columns: int = 14) -> Image.Image:
    """Two rows a set, post and subtraction of slices drawn at random."""
    random = np.random.default_rng(0)

    def rows() -> Iterator[np.ndarray]:
        for slices in sets.values():
            drawn = [slices[k].image for k in random.permutation(len(slices))[:columns]]
            yield np.concatenate([_bytes(post) for _, post in drawn], axis=1)
            yield np.concatenate([_bytes(post - pre) for pre, post in drawn], axis=1)

    columns = min(columns, *(len(slices) for slices in sets.values()))
    pixels = np.concatenate(list(rows()), axis=0)
    return Image.fromarray(pixels).resize((2 * pixels.shape[1], 2 * pixels.shape[0]))


def _bytes(values: np.ndarray) -> np.ndarray:
    white = max(float(np.quantile(values, 0.998)), 1e-6)
    grey = np.clip(values * 255 / white, 0, 255).astype(np.uint8)
    return np.pad(grey, [(0, 80 - n) for n in grey.shape])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("SYNBT_REAL_SLICES"))
    parser.add_argument("-n", type=int, default=100, help="phantoms")
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--sets", default="own,painted", help=f"some of {', '.join(SETS)}")
    parser.add_argument("--small", action="store_true", help="a field of 144 x 136 x 104 mm")
    parser.add_argument("--draws", type=int, default=1, help="painted tumors a phantom")
    parser.add_argument("--sheet", type=Path, help="pictures of all sets")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    wanted = options.sets.split(",")
    if not set(wanted) <= set(SETS):
        parser.error(f"--sets is some of {','.join(SETS)} with commas between, not {options.sets}")
    if options.draws < 1:
        parser.error("--draws is at least 1")
    real = read_png_folder(options.folder)
    makers: dict[str, Make] = {"own": own} if "own" in wanted else {}
    synthesizer = TumorSynthesizer(options.weights)
    kinds = {name: draw_names(name, options.draws) for name in ("painted", "alone")}
    kinds = {name: draws for name, draws in kinds.items() if name in wanted}
    for name, draws in kinds.items():
        for k, one in enumerate(draws):
            makers[one] = painter(synthesizer, alone=name == "alone", draw=k)
    field = SMALL_FIELD if options.small else PhantomSettings()
    made = phantom_slices(makers, options.n, field)
    patients = measure_slices(real)
    compared: list[SetComparison] = [
        compare_tables(name, patients, measure_slices(slices)) for name, slices in made.items()
    ]
    compared.append(control(patients))
    print(f"{len(patients)} patients, {options.n} phantoms.\n")
    print(to_markdown(summary_rows(compared)))
    if options.draws > 1:
        by_name = {one.name: one for one in compared}
        means = {name: [by_name[one] for one in draws] for name, draws in kinds.items()}
        print(to_markdown(over_draws(means)))
    print(to_markdown(feature_rows(patients, compared)))
    if options.sheet is not None:
        sheet({"real": real, **made}).save(options.sheet)


if __name__ == "__main__":
    main()
