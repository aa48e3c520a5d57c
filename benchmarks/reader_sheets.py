"""Sheets of tumors painted into one real scan, for readers who do not know which are which.

    python benchmarks/reader_sheets.py paint DATASET --first 8000 -n 40 -o new.npz
    python benchmarks/reader_sheets.py sheets old.npz new.npz -o FOLDER
    python benchmarks/reader_sheets.py patients SLICES -n 40 -o FOLDER
    python benchmarks/reader_sheets.py count FOLDER/key.json ANSWERS.txt

DATASET is a folder in either layout; its first labelled case at 1 mm is painted into, once a seed,
by the defaults. Sheets show 64 mm around the largest slice of each tumor, pre, post and their
difference, all in one window, in a random order, after the scan's own tumor. A file may come from
another version of the project. Each line of ANSWERS is one reader: `1g 2d 3b`, numbers with good,
doubtful or bad, or `1:70 2:45 3:10`, with a score from 0 to 100 (65 and more is good, less than 35
bad), which tells more of fewer tumors. Say of a reader's figure who read: a radiologist, or a
vision-language model. Two readings of the same sheets by one model say the same (docs/lab-book.md,
chapter 44): show more tumors rather than the same twice.

What a reader says of real tumors that it takes for painted ones tells what its verdicts are worth:
`patients` lays out slices (SLICES as for `real_patients.py`), each in a window of its own, after
another patient's. Patients are on these sheets, keep them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from synbt_aug import TumorSynthesizer
from synbt_aug.data import read_dataset, read_mask, read_pair
from synbt_aug.evaluate.slices import TumorSlice, read_png_folder
from synbt_aug.evaluate.slices.table import Rows, to_markdown
from synbt_aug.host import Host
from synbt_aug.support.files import read_json

HALF_MM = 32

#: Of a panel, in pixels; tiles in a row; tumors on a sheet.
PANEL, ACROSS, ON_A_SHEET = 150, 3, 20

#: Of the scan's own tumor in a file.
OWN = "own"

VERDICTS = {"g": "good", "d": "doubtful", "b": "bad"}

#: From this score on a tumor is good, and below this one bad.
GOOD, BAD = 65, 35

#: File, name, tile and window.
Numbered = tuple[str, str, np.ndarray, tuple[float, float]]


def cut(image: np.ndarray, tumor: np.ndarray) -> np.ndarray:
    """Pre and post around a tumor, in its largest slice, shape `(2, 64, 64)`."""
    slice_ = int(tumor.sum((0, 1)).argmax())
    i, j = np.argwhere(tumor[:, :, slice_]).mean(0).round().astype(int)
    around = ((0, 0), (HALF_MM, HALF_MM), (HALF_MM, HALF_MM))
    padded = np.pad(image[:2, :, :, slice_], around, mode="edge")
    return np.asarray(padded[:, i : i + 2 * HALF_MM, j : j + 2 * HALF_MM])


def paint(options: argparse.Namespace) -> None:
    case = next(c for c in read_dataset(options.dataset).cases if c.label is not None)
    assert case.label is not None
    pair = read_pair(case.pre, case.posts[0])
    mask = read_mask(case.label, pair.pre, "The tumor mask", label=case.tumor_label)
    host = Host.of(replace(pair.volume, tumor=mask))
    synthesizer = TumorSynthesizer(options.weights)
    tiles: dict[str, Any] = {OWN: cut(pair.volume.image.numpy(), mask.numpy())}
    for seed in range(options.first, options.first + options.n):
        painted = synthesizer(host, seed=seed)
        if painted.painted:
            tiles[str(seed)] = cut(painted.image.float().numpy(), painted.tumor.numpy())
        print(f"{len(tiles) - 1} of {seed - options.first + 1} seeds have a tumor", flush=True)
    np.savez_compressed(options.output, **tiles)


def panels(tile: np.ndarray, window: tuple[float, float], name: str) -> np.ndarray:
    """Pre, post and their difference beside each other, with a name, grey values."""
    low, high = window
    shown = []
    for panel, zero in ((tile[0], low), (tile[1], low), (tile[1] - tile[0], 0.0)):
        grey = np.clip((panel - zero) / (high - low), 0, 1).T * 255
        picture = Image.fromarray(grey.astype(np.uint8))
        shown.append(np.array(picture.resize((PANEL, PANEL), Image.Resampling.BICUBIC)))
    whole = Image.fromarray(np.concatenate(shown, 1))
    draw = ImageDraw.Draw(whole)
    draw.rectangle((0, 0, 34, 12), fill=0)
    draw.text((2, 0), name, fill=255)
    return np.pad(np.array(whole), ((2, 2), (3, 3)), constant_values=90)


def sheets(options: argparse.Namespace) -> None:
    files = {path.stem: np.load(path) for path in options.files}
    own = next(iter(files.values()))[OWN]
    if len(files) < len(options.files) or any((t[OWN] != own).any() for t in files.values()):
        raise SystemExit("Files need names of their own, and tumors in the same scan.")
    window = window_of(own)
    every = [
        (stem, name, tiles[name]) for stem, tiles in files.items() for name in tiles if name != OWN
    ]
    random.Random(options.seed).shuffle(every)
    lay_out(options.output, own, [(stem, name, tile, window) for stem, name, tile in every])


def patients(options: argparse.Namespace) -> None:
    slices = read_png_folder(options.folder)
    if len(slices) <= options.n:
        raise SystemExit(f"-n {options.n} needs as many slices and one more, got {len(slices)}.")
    random.Random(options.seed).shuffle(slices)
    tiles = [around_lesion(one) for one in slices[: options.n + 1]]
    first, *others = [(tile, window_of(tile)) for tile in tiles]
    names = [one.name for one in slices[1:]]
    every = [("patients", name, *one) for name, one in zip(names, others, strict=False)]
    lay_out(options.output, first[0], every)


def around_lesion(one: TumorSlice) -> np.ndarray:
    """Pre and post around the middle of a lesion's box, shape `(2, 64, 64)`."""
    top, bottom, left, right = one.box
    i, j = int(top + bottom) // 2, int(left + right) // 2
    around = ((0, 0), (HALF_MM, HALF_MM), (HALF_MM, HALF_MM))
    padded = np.pad(one.image.astype(float), around, mode="edge")
    # Panels are transposed.
    return np.asarray(padded[:, i : i + 2 * HALF_MM, j : j + 2 * HALF_MM].transpose(0, 2, 1))


def window_of(tile: np.ndarray) -> tuple[float, float]:
    """Black and white of pre and post."""
    return float(np.percentile(tile, 1)), float(np.percentile(tile[1], 99.5))


def lay_out(output: Path, own: np.ndarray, every: list[Numbered]) -> None:
    """Write sheets and their key.

    Args:
        output: A folder.
        own: The tile that each sheet begins with, in its own window.
        every: File, name, tile and window of each numbered one.
    """
    output.mkdir(parents=True, exist_ok=True)
    key = {number: [stem, name] for number, (stem, name, _, _) in enumerate(every, 1)}
    (output / "key.json").write_text(json.dumps(key), encoding="utf-8")
    for first in range(0, len(every), ON_A_SHEET):
        part = every[first : first + ON_A_SHEET]
        tiles = [panels(own, window_of(own), "REAL")]
        tiles += [panels(t, window, str(k)) for k, (_, _, t, window) in enumerate(part, first + 1)]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % ACROSS)
        rows = [np.concatenate(tiles[k : k + ACROSS], 1) for k in range(0, len(tiles), ACROSS)]
        sheet = output / f"sheet-{first // ON_A_SHEET + 1}.png"
        Image.fromarray(np.concatenate(rows)).save(sheet)


def count(options: argparse.Namespace) -> None:
    key = read_json(options.key)
    rows: Rows = [("reader", "file", *VERDICTS.values(), "mean score", "standard error")]
    lines = [line for line in options.answers.read_text(encoding="utf-8").splitlines() if line]
    for reader, line in enumerate(lines, 1):
        verdicts, scores = read_answers(line)
        if verdicts.keys() != key.keys():
            raise SystemExit(
                f"Line {reader} needs each number of the key once, as 1g, 2d or 3b, or with a "
                f"whole score from 0 to 100, as 1:70."
            )
        for stem in dict.fromkeys(entry[0] for entry in key.values()):
            own = [number for number, entry in key.items() if entry[0] == stem]
            found = Counter(verdicts[number] for number in own)
            given = np.array([scores[number] for number in own if number in scores])
            told = [""] * 2
            if len(given):
                told = [f"{given.mean():.1f}", f"{given.std(ddof=1) / len(given) ** 0.5:.1f}"]
            rows.append((str(reader), stem, *(str(found[one]) for one in VERDICTS), *told))
    print(to_markdown(rows))


def read_answers(line: str) -> tuple[dict[str, str], dict[str, int]]:
    """Verdicts by number, and scores where these were given; empty where it is no answer."""
    verdicts, scores = {}, {}
    for answer in line.split():
        number, colon, score = answer.partition(":")
        if colon and score.isdigit() and int(score) <= 100:
            scores[number] = int(score)
            verdicts[number] = "g" if int(score) >= GOOD else "b" if int(score) < BAD else "d"
        elif not colon and answer[-1] in VERDICTS:
            verdicts[answer[:-1]] = answer[-1]
        else:
            return {}, {}
    return verdicts, scores


def main() -> None:
    """Paint, lay out or count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ways = parser.add_subparsers(required=True)
    way = ways.add_parser("paint", help="tumors into a real scan")
    way.add_argument("dataset")
    way.add_argument("--first", type=int, default=0, help="seed")
    way.add_argument("-n", type=int, default=40)
    way.add_argument("--weights", default="shipped")
    way.add_argument("-o", "--output", type=Path, required=True, help="an .npz")
    way.set_defaults(run=paint)
    way = ways.add_parser("sheets", help="of painted tumors, shuffled")
    way.add_argument("files", type=Path, nargs="+")
    way.add_argument("--seed", type=int, default=23, help="of the order")
    way.add_argument("-o", "--output", type=Path, required=True)
    way.set_defaults(run=sheets)
    way = ways.add_parser("patients", help="of real tumors, as a control")
    way.add_argument("folder", type=Path)
    way.add_argument("-n", type=int, default=40)
    way.add_argument("--seed", type=int, default=23, help="of the order")
    way.add_argument("-o", "--output", type=Path, required=True)
    way.set_defaults(run=patients)
    way = ways.add_parser("count", help="what readers said")
    way.add_argument("key", type=Path)
    way.add_argument("answers", type=Path)
    way.set_defaults(run=count)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
