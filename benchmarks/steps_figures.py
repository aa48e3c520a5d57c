"""How many DDIM steps does a tumor need? Few against ten, on phantoms from 1,150,000 on.

    python benchmarks/steps_figures.py -o FOLDER
    python benchmarks/steps_figures.py --train 4 --test 4 --probe-steps 20 --seeds 1 -o DIR  # a try

The same places, shapes and noise are painted with each number of steps, and held against real
tumors (radiomics, features of a segmenter). Then a small U-Net learns from 20 labelled phantoms
and the painted tumors together, and is tested on real tumors of others: the probe. Windows are
kept in FOLDER: a run that was stopped goes on. Prints Markdown, and writes `steps.json`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from realism_phantoms import stack

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.evaluate.realism import Windows
from synbt_aug.evaluate.realism.adherence import dice
from synbt_aug.evaluate.realism.features import frechet_distance, standardised
from synbt_aug.evaluate.realism.radiomics import ks_of, median_ks, radiomics_of
from synbt_aug.evaluate.realism.segmenter import (
    SEGMENTER_TRAINING,
    describe,
    segment,
    train_segmenter,
)
from synbt_aug.evaluate.realism.windows import cut_windows, join, lesions_of
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.support.files import check_output_folder, read_json, write_json
from synbt_aug.texture.gains import CORRECTION

FIRST_SEED, FIRST_TEST_SEED = 1_150_000, 1_160_000
STEPS = (10, 6, 4, 2, 1)


def real_windows(seed: int, folder: Path) -> Windows | None:
    """The tumors of one phantom."""
    path = folder / f"real_{seed}.safetensors"
    if not path.is_file():
        phantom = make_phantom(seed)
        tumor = torch.from_numpy(phantom.tumor)
        volume = BreastVolume(stack(phantom), phantom.spacing, tumor=tumor)
        lesions = lesions_of(tumor, volume.spacing)
        windows = cut_windows(f"phantom_{seed}", volume, lesions)
        if not len(windows):
            return None
        windows.save(path)
    return Windows.load(path)


def painted_windows(
    seed: int, folder: Path, painters: dict[int, TumorSynthesizer], tumors: int
) -> dict[int, tuple[Windows | None, float, int]]:
    """For each number of steps: windows, CPU seconds, and wishes that were refused."""
    facts = folder / f"painted_{seed}.json"
    paths = {n: folder / f"painted_{n}_{seed}.safetensors" for n in painters}
    if not facts.is_file():
        twin = make_phantom(seed, PhantomSettings(with_tumor=False))
        free = BreastVolume(stack(twin), twin.spacing)
        spent: dict[str, tuple[float, int]] = {}
        for n, paint in painters.items():
            found, refused, start = [], 0, time.process_time()
            for k in range(tumors):
                result = paint(free, seed=1000 * seed + k)
                if not result.painted:
                    refused += 1
                    continue
                seen = replace(free, image=result.image, tumor=result.tumor)
                found.append(cut_windows(f"phantom_{seed}", seen, [result.tumor]))
            spent[str(n)] = (time.process_time() - start, refused)
            if any(len(w) for w in found):
                join(found).save(paths[n])
        write_json(facts, spent)
    spent = read_json(facts)
    return {
        n: (Windows.load(path) if path.is_file() else None, *spent[str(n)])
        for n, path in paths.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--train", type=int, default=20, help="labelled phantoms of the probe")
    parser.add_argument("--test", type=int, default=40, help="phantoms that it is tested on")
    parser.add_argument("--tumors", type=int, default=3, help="painted into each, at most")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--probe-steps", type=int, default=400, help="of each probe's training")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each probe")
    given = parser.parse_args()
    folder = check_output_folder(given.output)
    painters = {n: TumorSynthesizer(given.weights, steps=n) for n in given.steps}
    digest = next(iter(painters.values())).weights.digest[:12]
    remembered = folder / "painting.json"
    painting = {"weights": digest, "correction": CORRECTION, "steps": given.steps}
    if remembered.is_file() and read_json(remembered) != painting:
        raise SystemExit(f"{folder} holds windows painted otherwise. Name another folder with -o.")
    write_json(remembered, painting)
    parts: dict[str, list[Windows]] = {"train": [], "test": []}
    painted: dict[int, list[Windows]] = {n: [] for n in painters}
    spent, refused = dict.fromkeys(painters, 0.0), dict.fromkeys(painters, 0)
    for k in range(given.train):
        seed = FIRST_SEED + k
        if (real := real_windows(seed, folder)) is not None:
            parts["train"].append(real)
        for n, (windows, seconds, gone) in painted_windows(
            seed, folder, painters, given.tumors
        ).items():
            spent[n] += seconds
            refused[n] += gone
            if windows is not None:
                painted[n].append(windows)
        print(f"{k + 1} of {given.train} phantoms painted into", file=sys.stderr)
    for k in range(given.test):
        if (real := real_windows(FIRST_TEST_SEED + k, folder)) is not None:
            parts["test"].append(real)
    train, test = join(parts["train"]), join(parts["test"])
    settings = replace(SEGMENTER_TRAINING, steps=given.probe_steps)

    def probe(windows: Windows) -> list[float]:
        """Mean Dice on real test tumors, of one training a seed."""
        scores = []
        for seed in range(given.seeds):
            network = train_segmenter(windows, replace(settings, seed=seed))
            scores.append(100 * float(dice(segment(network, test.signal), test.tumor).mean()))
        return scores

    judge = train_segmenter(train, settings)
    looks, features = radiomics_of(test), describe(judge, test)
    rows: list[dict[str, Any]] = [{"steps": 0, "probe": probe(train)}]
    for n in painters:
        windows = join(painted[n])
        a, b = standardised(features, features, describe(judge, windows))
        count = min(len(a), len(b))
        rows.append(
            {
                "steps": n,
                "tumors": len(windows),
                "refused": refused[n],
                "cpu_s": spent[n] / (given.train * given.tumors),
                "ks": median_ks(ks_of(looks, radiomics_of(windows))),
                "fid": frechet_distance(a[:count], b[:count]),
                "probe": probe(join([train, windows])),
            }
        )
        print(f"{n} steps done", file=sys.stderr)
    write_json(folder / "steps.json", {"weights": digest, "rows": rows})
    print(f"Weights {digest}; {len(train)} real training, {len(test)} real test tumors.\n")
    print("| steps | painted, refused | CPU-s a wish | median KS | FID | probe, Dice % |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        dices = ", ".join(f"{d:.1f}" for d in row["probe"])
        mean = f"{statistics.fmean(row['probe']):.1f} ({dices})"
        if row["steps"] == 0:
            print(f"| real tumors alone | | | | | {mean} |")
            continue
        print(
            f"| {row['steps']} | {row['tumors']}, {row['refused']} | {row['cpu_s']:.2f} | "
            f"{row['ks']:.3f} | {row['fid']:.1f} | {mean} |"
        )


if __name__ == "__main__":
    main()
