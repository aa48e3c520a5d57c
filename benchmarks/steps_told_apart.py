"""Can a classifier tell tumors of fewer DDIM steps better from real ones?

    python benchmarks/steps_told_apart.py -o FOLDER
    python benchmarks/steps_told_apart.py --train 4 --test 4 --classifier-steps 10 -o DIR  # a try

Each phantom comes with its tumor, which is "real" here, and without; into the latter tumors are
painted in the real one's own mask, with each number of steps, from the same noise and request. So
site and shape tell nothing apart, and texture alone is judged: by the classifier of the realism
table, one training for each number of steps, and by the median KS of radiomics. The intervals of
differences come from a bootstrap over cases, in which both numbers of steps are looked at together.
Windows are kept in FOLDER: a run that was stopped goes on. Prints Markdown, writes `steps.json`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from realism_phantoms import Options, Scans, in_place_windows, painter, stack

from synbt_aug import BreastVolume
from synbt_aug.evaluate.realism import Windows
from synbt_aug.evaluate.realism.classifier import CLASSIFIER_TRAINING, Verdict, tell_apart
from synbt_aug.evaluate.realism.radiomics import ks_of, median_ks, radiomics_of
from synbt_aug.evaluate.realism.windows import cut_windows, join, lesions_of
from synbt_aug.host import Host
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.support.files import check_output_folder, read_json, write_json

FIRST_SEED, FIRST_TEST_SEED = 1_180_000, 1_190_000
SHAPE = (144, 136, 104)

#: Wanted sizes of phantoms' tumors, taken in turn: of the sizes that phantoms draw by themselves,
#: many are longer than a window shows.
DIAMETERS_MM = (10.0, 14.0, 19.0, 25.0)


def windows_of(seed: int, folder: Path, every: dict[int, Options]) -> dict[str, Windows] | None:
    """Windows of one phantom by set: "real", and each number of steps; None where one lacks."""
    paths = {name: folder / f"{name}_{seed}.safetensors" for name in ("real", *map(str, every))}
    nothing = folder / f"nothing_{seed}.json"
    if nothing.is_file():
        return None
    if not all(path.is_file() for path in paths.values()):
        settings = PhantomSettings(shape=SHAPE, diameter_mm=DIAMETERS_MM[seed % len(DIAMETERS_MM)])
        phantom = make_phantom(seed, settings)
        tumor = torch.from_numpy(phantom.tumor)
        volume = BreastVolume(stack(phantom), phantom.spacing, tumor=tumor)
        lesions = lesions_of(tumor, volume.spacing)[:2]
        if not lesions:
            write_json(nothing, {"real": 0})
            return None
        twin = make_phantom(seed, replace(settings, with_tumor=False))
        free = BreastVolume(stack(twin), twin.spacing)
        scans = Scans(seed, volume, free, lesions, Host.of(volume))
        sets = {"real": cut_windows(scans.name, volume, lesions)}
        for steps, options in every.items():
            found = in_place_windows(scans, painter("diffusion", options, "cpu"), options)
            sets[str(steps)] = join(found) if found else sets["real"].take([])
        # A mask that one number of steps could not paint visibly is judged for none.
        if len({len(windows) for windows in sets.values()}) > 1:
            write_json(nothing, {name: len(windows) for name, windows in sets.items()})
            return None
        for name, windows in sets.items():
            windows.save(paths[name])
    return {name: Windows.load(path) for name, path in paths.items()}


def difference(one: Verdict, other: Verdict, cases: Sequence[str]) -> tuple[float, float, float]:
    """By how much two areas over the same windows differ, with an interval of 95 %."""
    count = len(cases)
    names = sorted(set(cases))
    of = np.array([names.index(case) for case in cases])
    scores = [np.array(v.scores).reshape(2, count) for v in (one, other)]
    right = [(s[1][None, :] > s[0][:, None]).astype(float) for s in scores]
    apart = right[0] - right[1]
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), share, size=2000)[:, of]
    areas = [(w @ apart @ w) / w.sum() ** 2 for w in drawn.astype(float)]
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(apart.mean()), float(low), float(high)


def main() -> None:
    """Paint, train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 2, 1])
    parser.add_argument(
        "--train", type=int, default=60, help="phantoms that classifiers learn from"
    )
    parser.add_argument("--test", type=int, default=50, help="phantoms that they are tested on")
    parser.add_argument("--classifier-steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = check_output_folder(given.output)
    every = {n: Options(weights=given.weights, place="own", steps=n) for n in given.steps}
    shown = painter("diffusion", every[given.steps[0]], "cpu")
    painting = {"weights": shown.weights.digest, **shown.texture.recipe(), "steps": given.steps}
    remembered = folder / "painting.json"
    if remembered.is_file() and read_json(remembered) != painting:
        raise SystemExit(f"{folder} holds windows painted otherwise. Name another folder with -o.")
    write_json(remembered, painting)
    parts: dict[str, dict[str, Windows]] = {}
    start = time.process_time()
    for part, first, count in (
        ("train", FIRST_SEED, given.train),
        ("test", FIRST_TEST_SEED, given.test),
    ):
        found = []
        for k in range(count):
            found.append(windows_of(first + k, folder, every))
            print(f"{part}: {k + 1} of {count} phantoms", file=sys.stderr)
        kept = [one for one in found if one is not None]
        if not kept:
            raise SystemExit(f"None of {count} phantoms for --{part} gave windows. Ask for more.")
        parts[part] = {name: join([one[name] for one in kept]) for name in kept[0]}
    train, test = parts["train"], parts["test"]
    settings = replace(CLASSIFIER_TRAINING, steps=given.classifier_steps)
    looks, verdicts, rows = radiomics_of(test["real"]), {}, []
    for n in given.steps:
        name = str(n)
        verdict = tell_apart(train["real"], train[name], test["real"], test[name], settings)
        verdicts[n] = verdict
        area = verdict.area
        ks = median_ks(ks_of(looks, radiomics_of(test[name])))
        more, low, high = difference(verdict, verdicts[given.steps[0]], test["real"].cases)
        rows.append(
            {
                "steps": n, "auc": area.value, "interval": (area.low, area.high), "ks": ks,
                "more": more, "more_interval": (low, high), "loss": verdict.last_loss,
            }
        )  # fmt: skip
        print(f"{n} steps judged", file=sys.stderr)
    write_json(folder / "steps.json", {"painting": painting, "rows": rows})
    print(
        f"Weights {shown.weights.digest[:12]}, {shown.texture.recipe()['precision']}; "
        f"{len(train['real'])} + {len(test['real'])} tumors of phantoms of {SHAPE}, "
        f"{given.classifier_steps} steps of each classifier; {time.process_time() - start:.0f} "
        f"CPU-s.\n"
    )
    print(f"| steps | AUC in place | more than {given.steps[0]} steps | median KS |")
    print("|---|---|---|---|")
    for row in rows:
        low, high = row["interval"]
        gained = "" if row["steps"] == given.steps[0] else (
            f"{row['more']:+.3f} ({row['more_interval'][0]:+.3f} to {row['more_interval'][1]:+.3f})"
        )  # fmt: skip
        print(
            f"| {row['steps']} | {row['auc']:.3f} ({low:.3f} to {high:.3f}) | {gained} | "
            f"{row['ks']:.3f} |"
        )


if __name__ == "__main__":
    main()
