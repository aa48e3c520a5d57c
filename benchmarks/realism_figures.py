"""The table of realism of a generator, on held-out phantoms (seeds from 1,000,000).

    python benchmarks/realism_figures.py -n 200 -o FOLDER
    python benchmarks/realism_figures.py -n 4 --train 16 --test 16 -o FOLDER   # a try

Writes `realism.html`, `realism.md` and `realism.json`, and prints the Markdown. What is measured
of each phantom is kept in FOLDER/phantoms: a run that was stopped goes on where it was. The
networks learn from phantoms from 1,100,000 on; no weights were trained on either.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from realism_examine import examine, figures_of, lacks, pca_windows
from realism_groups import codec_groups, control_group, diversity_group
from realism_phantoms import IN_PLACE, Options, Work, painter
from realism_real_case import real_case_group

from synbt_aug import __version__
from synbt_aug.cli.console import triple
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism import (
    TARGETS,
    Comparison,
    Figure,
    Group,
    RealismSettings,
    Sets,
    Windows,
    compare,
)
from synbt_aug.evaluate.realism.adherence import false_positives
from synbt_aug.evaluate.realism.codecs import BlockPCA, fit_block_pca
from synbt_aug.evaluate.realism.compare import too_few
from synbt_aug.evaluate.realism.pictures import gallery_of
from synbt_aug.evaluate.realism.radiomics import needs_skimage
from synbt_aug.evaluate.realism.segmenter import train_segmenter
from synbt_aug.evaluate.realism.table import distances_section, to_markdown, write_tables
from synbt_aug.evaluate.realism.training import TrainingSettings
from synbt_aug.evaluate.realism.windows import join
from synbt_aug.report.page import Gallery, Section
from synbt_aug.support.files import check_output_folder, read_json, write_json
from synbt_aug.support.workers import each_done
from synbt_aug.texture.gains import CORRECTION
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tumor.bank import load_bank
from synbt_aug.weights import load_without_networks

FIRST_SEED, FIRST_TRAINING_SEED = 1_000_000, 1_100_000

#: Settings that a later run may have more of: what is missing is measured then.
GROWING = ("textures", "ssim")

#: Percent of untouched places in which the segmenter of null paints may see a tumor.
MOST_FALSE = 25.0


def examined(
    works: list[Work], options: Options, pca: BlockPCA, device: str, workers: int
) -> Iterator[dict[str, Any]]:
    """Figures of all phantoms, those that are there already first."""
    todo = []
    for work in works:
        there = figures_of(work)
        if there is None or lacks(work, options, there):
            todo.append(work)
        else:
            yield there
    measure = partial(examine, options=options, pca=pca, device=device)
    with closing(each_done(measure, todo, workers)) as done:
        for _, figures in done:
            yield figures


def windows_of(works: list[Work], which: str) -> Windows:
    """One set of windows over several phantoms."""
    paths = [Path(work.folder) / f"{which}.safetensors" for work in works]
    return join(Windows.load(path) for path in paths if path.is_file())


def sets_of(works: list[Work], textures: tuple[str, ...]) -> Sets:
    synthetic = {texture: windows_of(works, texture) for texture in textures}
    real, rebuilt, in_place = (windows_of(works, set_) for set_ in ("real", "rebuilt", IN_PLACE))
    return Sets(real, synthetic, rebuilt, in_place)


def null_group(
    training: list[Work], test: list[Work], settings: TrainingSettings, device: str
) -> Group:
    """False positives of a segmenter that was trained on real and painted tumors."""
    tumors = join([windows_of(training, "real"), windows_of(training, "diffusion")])
    network = train_segmenter(
        tumors,
        settings,
        healthy=windows_of(training, "healthy"),
        device=device,
        on_step=lambda done, total: tell("segmenter of null paints", done, total),
    )
    null, untouched = (
        false_positives(network, windows_of(test, which), device=device)
        for which in ("null", "untouched")
    )
    a, b = 100 * float(np.mean(null)), 100 * float(np.mean(untouched))
    note = f"{a:.1f} % of {len(null)} null paints, {b:.1f} % of the same places untouched"
    doubt = "" if b <= MOST_FALSE else "the segmenter sees tumors in healthy tissue, too"
    figure = Figure(
        "null paints taken for tumors, less untouched tissue",
        a - b,
        TARGETS["null"],
        unit="points",
        note=note,
        digits=1,
        doubt=doubt,
    )
    words = "Of a segmenter trained on real and painted tumors and on healthy windows."
    return Group("Null paints", (figure,), words)


def report(
    folder: Path,
    title: str,
    facts: dict[str, Any],
    groups: list[Group],
    sections: list[Section],
    warnings: tuple[str, ...] = (),
) -> None:
    write_tables(folder, title, groups, facts, sections, warnings)
    values = {"facts": facts, "groups": [group.to_dict() for group in groups]}
    write_json(folder / "realism.json", values)
    print(to_markdown(title, groups, facts, sections))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=200, help="phantoms for codec and control")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--train", type=int, default=400, help="phantoms the networks learn from")
    parser.add_argument("--test", type=int, default=200, help="phantoms that are judged")
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--textures", nargs="+", default=["diffusion", "syntumor"])
    parser.add_argument("--bank", help="a bank with voxels, for copy_paste")
    parser.add_argument("--place", choices=("drawn", "own"), default="drawn")
    parser.add_argument("--lesions", type=int, default=2, help="of a phantom, at most")
    parser.add_argument("--control", type=int, default=2, help="tumors an attribute and phantom")
    parser.add_argument("--seeds", type=int, default=12, help="tumors a mask, for diversity")
    parser.add_argument("--diverse", type=int, default=10, help="masks, for diversity")
    parser.add_argument("--steps", type=int, default=1000, help="of each training")
    parser.add_argument(
        "--null-steps", type=int, help="of the segmenter for null paints; default: twice --steps"
    )
    parser.add_argument("--sampling-steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--shape", default="192x192x128", help="of the phantoms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, for the phantoms")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-ssim", action="store_true")
    parser.add_argument("--case", help="a dataset with a real case at 1 mm, to be looked at, too")
    parser.add_argument("--transplants", type=int, default=10, help="tumors painted into it")
    parser.add_argument("--phantoms-only", action="store_true", help="stop before the networks")
    return parser.parse_args()


def main() -> None:
    given = parse()
    if "diffusion" not in given.textures:
        raise SystemExit("--textures needs diffusion, which is judged.")
    if "copy_paste" in given.textures and not given.bank:
        raise SystemExit("copy_paste needs --bank: a bank with voxels of training cases.")
    if min(given.train, given.test) < 4:
        raise SystemExit("--train and --test need at least 4 phantoms each.")
    needs_skimage()
    folder = check_output_folder(given.output)
    options = Options(
        weights=given.weights,
        textures=tuple(given.textures),
        bank=given.bank,
        lesions=given.lesions,
        place=given.place,
        control=given.control,
        seeds=given.seeds,
        diverse=given.diverse,
        shape=triple(given.shape, "--shape", int),
        ssim=not given.no_ssim,
        steps=given.sampling_steps,
        guidance=given.guidance,
    )
    started = time.perf_counter()
    weights = load_without_networks(given.weights)
    remember(folder, options, weights.digest)
    works = {
        "test": [
            work(folder, FIRST_SEED + k, k < given.n, k < min(given.diverse, given.n), True)
            for k in range(max(given.test, given.n))
        ],
        "training": [
            work(folder, FIRST_TRAINING_SEED + k, False, False, False) for k in range(given.train)
        ],
    }
    everything = [*works["test"], *works["training"]]
    pca = fit_block_pca(
        pca_windows(options.shape), generator=torch.Generator().manual_seed(given.seed)
    )
    found = []
    for one in examined(everything, options, pca, given.device, given.workers):
        found.append(one)
        spent = time.perf_counter() - started
        print(f"{len(found)} of {len(everything)} phantoms, {spent:.0f} s", file=sys.stderr)
    if given.phantoms_only:
        return
    settings = RealismSettings(seed=given.seed)
    settings = replace(
        settings,
        classifier=replace(settings.classifier, steps=given.steps),
        segmenter=replace(settings.segmenter, steps=given.steps),
    ).seeded()
    training, test = (sets_of(works[part], options.textures) for part in ("training", "test"))
    comparison: Comparison = compare(
        training, test, settings, judged="diffusion", device=given.device, tell=tell
    )
    codebook = int(weights.contract.autoencoder["codebook_size"])
    groups, rows = codec_groups(found, codebook)
    tested = [one for one in found if one["seed"] < FIRST_TRAINING_SEED]
    groups += comparison.groups
    # It must know healthy tissue, too, which takes longer.
    nulls = replace(settings.segmenter, steps=given.null_steps or 2 * given.steps)
    groups.append(null_group(works["training"], works["test"], nulls, given.device))
    groups += [control_group(tested), diversity_group(tested)]
    shown = {"real": test.real, **({"same codec": test.rebuilt} if test.rebuilt else {})}
    sections = [gallery_of({**shown, **test.synthetic})]
    pictures = [Path(w.folder) / "decoders.png" for w in works["test"][:3]]
    gallery = [
        (f"{path.parent.name}: post; input, patch by patch, whole", Image.open(path), "decoders")
        for path in pictures
        if path.is_file()
    ]
    if gallery:
        sections.append(
            Section("Input, patch-only decoder, patch-to-volume", [Gallery(gallery, 1)])
        )
    if given.case:
        generator = painter("diffusion", options, given.device)
        group, section = real_case_group(given.case, generator, given.transplants)
        groups.append(group)
        sections.insert(0, section)
    if rows is not None:
        sections.append(rows)
    sections.append(distances_section(comparison.distances))
    refused = {t: sum(one["refused"].get(t, 0) for one in found) for t in options.textures}
    facts = {
        "weights": f"{given.weights}, {weights.digest[:12]}",
        "phantoms": f"{given.n} for codec and control from {FIRST_SEED}, {given.test} judged, "
        f"{given.train} learnt from, from {FIRST_TRAINING_SEED}",
        "windows": f"{len(training.real)} + {len(test.real)} real; diffusion "
        f"{len(training.synthetic['diffusion'])} + {len(test.synthetic['diffusion'])}",
        "wishes given up": ", ".join(f"{t} {k}" for t, k in refused.items()),
        "shape": given.shape,
        "place": "drawn by the generator, real diameter" if given.place == "drawn" else "real mask",
        "painting": f"{given.sampling_steps} steps of the sampler, guidance {given.guidance:g}, "
        f"correction {CORRECTION}",
        "steps of each training": f"{given.steps}, null paints {nulls.steps}",
        "device": device_name(given.device),
        "seconds of this run": round(time.perf_counter() - started),
        "synbt-aug": __version__,
    }
    few = too_few(training, test)
    warnings = () if few is None else (few,)
    report(folder, "Realism on held-out phantoms", facts, groups, sections, warnings)


def tell(what: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{what}: {done} of {total}", file=sys.stderr)


def work(folder: Path, seed: int, deep: bool, diverse: bool, judged: bool) -> Work:
    return Work(seed, str(folder / "phantoms" / str(seed)), deep, diverse, judged)


def remember(folder: Path, options: Options, digest: str) -> None:
    """Refuse to go on with other settings: files of two runs would mix."""
    path = folder / "options.json"
    wanted = {"weights digest": digest, "correction": CORRECTION, **asdict(options)}
    for key in GROWING:
        del wanted[key]
    # A bank speaks for copy_paste alone, which may come with a later run.
    wanted["bank"] = None if options.bank is None else load_bank(options.bank).digest
    wanted["shape"] = list(options.shape)
    there = read_json(path) if path.is_file() else wanted
    wanted["bank"] = wanted["bank"] or there["bank"]
    there["bank"] = there["bank"] or wanted["bank"]
    if differ := sorted(k for k in {*there, *wanted} if there.get(k) != wanted.get(k)):
        raise SynBTError(
            f"{folder} holds figures made with other settings ({', '.join(differ)}). "
            f"Name another folder with -o."
        )
    write_json(path, wanted)


def device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
