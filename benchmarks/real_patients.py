"""Phantoms' own tumors, and painted ones, beside real patients' slices.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/real_patients.py -n 100
    python benchmarks/real_patients.py FOLDER -n 100 --sets own --small --sheet OUT.png

FOLDER holds `cases.csv` and `images` (see `synbt_aug/evaluate/slices/png_folder.py`). Prints
Markdown: median, Kolmogorov-Smirnov distance and the boosted tree's AUC of 28 features. Phantoms
have seeds from 1,100,000, which no weight was trained on. "painted" is beside the phantom's own
tumor, which takes room and shows in many slices; "alone" is in the same patient without it, as
patients' slices show one tumor.

A phantom takes 2 to 3 CPU-seconds, a painted tumor 2 more. `--sheet` writes pictures of all sets,
for the eye: patients are on it, keep it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from synbt_aug.evaluate.slices.table import feature_rows, summary_rows, to_markdown
from synbt_aug.phantom import Phantom, PhantomSettings

FIRST_SEED = 1_100_000

#: A smaller field than usual, for speed; the breast is drawn to fit.
SMALL_FIELD = PhantomSettings(shape=(144, 136, 104))

SETS = ("own", "painted", "alone")

Make = Callable[[int, Phantom], TumorSlice | None]


def pair_of(phantom: Phantom) -> np.ndarray:
    """Pre and first post of a phantom."""
    return np.stack([phantom.pre, phantom.post[0]]).astype(np.float32)


def own(seed: int, phantom: Phantom) -> TumorSlice | None:
    """A slice of the scanner, as patients' are, through a phantom's index lesion."""
    lesion = phantom.tumor_instances == 1
    return slice_through(str(seed), pair_of(phantom), lesion, phantom.slice_axis)


def painter(synthesizer: TumorSynthesizer, *, alone: bool) -> Make:
    """Slices through tumors that are painted by default settings.

    Args:
        synthesizer: Paints.
        alone: In the same patient without the phantom's own tumor, in place of beside it.
    """

    def painted(seed: int, phantom: Phantom) -> TumorSlice | None:
        if alone:
            phantom = make_phantom(seed, replace(phantom.settings, with_tumor=False))
        image = torch.from_numpy(pair_of(phantom))
        tumor = None if alone else torch.from_numpy(phantom.tumor)
        result = synthesizer(BreastVolume(image, tumor=tumor), seed=seed)
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
    parser.add_argument("--sheet", type=Path, help="pictures of all sets")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    wanted = options.sets.split(",")
    if not set(wanted) <= set(SETS):
        parser.error(f"--sets is some of {','.join(SETS)} with commas between, not {options.sets}")
    real = read_png_folder(options.folder)
    makers: dict[str, Make] = {"own": own} if "own" in wanted else {}
    for name in ("painted", "alone"):
        if name in wanted:
            makers[name] = painter(TumorSynthesizer(options.weights), alone=name == "alone")
    field = SMALL_FIELD if options.small else PhantomSettings()
    made = phantom_slices(makers, options.n, field)
    patients = measure_slices(real)
    compared: list[SetComparison] = [
        compare_tables(name, patients, measure_slices(slices)) for name, slices in made.items()
    ]
    compared.append(control(patients))
    print(f"{len(patients)} patients, {options.n} phantoms.\n")
    print(to_markdown(summary_rows(compared)))
    print(to_markdown(feature_rows(patients, compared)))
    if options.sheet is not None:
        sheet({"real": real, **made}).save(options.sheet)


if __name__ == "__main__":
    main()
