"""Do drawn tumors lie where the bank's lay, as large and as bright? Decided, not painted.

    python benchmarks/place_figures.py -n 60 --per-host 8 [--bank bank.npz] [--known]
    python benchmarks/place_figures.py --data DATASET --per-host 3

In tumor-free phantoms from 1,300,000 on tumors are decided by the defaults; with `--data` in a
cohort's own cases, beside their tumors and from a bank of them, as in a fold's training. Prints
Markdown: how each statistic of their places lies to the bank's (quantiles and the
Kolmogorov-Smirnov distance), in all and by thirds of the bank's sizes, and the same of diameters
and appearances; how many looks 24 tumors have; and the time of a decision, sites known, on one
thread. Places are measured as a bank's are,
by the tissues that the sites come from: the segmenter's, or with `--known` the phantoms' own, for a
bank of such. Beside each distance stands that of two halves of the bank's cases, which is what
chance gives.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from synbt_aug import BreastVolume
from synbt_aug.data.bank import bank_of_dataset
from synbt_aug.data.cohort import load_case
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import DatasetFiles
from synbt_aug.decide.decide import decide
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.grid.window import Shape
from synbt_aug.host import Host
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.tissue import TissueMap, tissue_labels, to_grid
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.bank import TumorBank, load_bank
from synbt_aug.tumor.places import STATISTICS, own_place
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import Spacing
from synbt_aug.weights import load_without_networks

FIRST_SEED = 1_300_000
HOLE_MARGIN_MM = 1.0
LOOKS = ("enhancement", "heterogeneity", "rim", "pre_contrast")
QUANTILES = (5, 25, 50, 75, 95)


def known_tissues(labels: Tensor) -> Segments:
    """A segmenter that knows."""

    def segment(pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
        return TissueMap.of_labels(labels, spacing)

    return segment


def place_of(plan: Plan, sites: SiteMap, shape: Shape, spacing: Spacing) -> np.ndarray:
    """How a decided tumor lies, in the order of `STATISTICS`, measured as a bank's tumors are."""
    assert sites.landmarks is not None
    inside = plan.distance <= 0
    window = plan.recipe.window
    tumor = torch.zeros(shape, dtype=torch.bool)
    # Hosts are at 1 mm: the window's voxels are the host's.
    tumor[window.host_box(shape)] = inside[window.inside_region(shape)]
    taken = to_grid(tumor[None], spacing)[0] > 1e-4
    landmarks = sites.landmarks.without(taken.numpy(), sites.grid_mm)
    return own_place(inside, window.centre, sites, landmarks, shape)


def by_chance(bank: TumorBank, column: int) -> float:
    """KS of a statistic of places between two halves of the bank's cases, mean of 50 divisions."""
    cases: dict[str, list[float]] = {}
    for one in bank.templates:
        if one.places is not None and not math.isnan(value := float(one.places[0, column])):
            cases.setdefault(one.group or one.source, []).append(value)
    names, numbers, found = sorted(cases), np.random.default_rng(0), []
    if len(names) < 2:
        return math.nan
    for _ in range(50):
        numbers.shuffle(names)
        halves = (names[::2], names[1::2])
        first, second = ([v for name in half for v in cases[name]] for half in halves)
        found.append(ks_2samp(first, second).statistic)
    return float(np.mean(found))


def phantoms(count: int, known: bool) -> Iterator[tuple[int, Ground]]:
    """Tumor-free phantoms."""
    segmenter = load_segmenter()
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        phantom = make_phantom(seed, PhantomSettings(with_tumor=False))
        image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])).float()
        labels = torch.from_numpy(tissue_labels(phantom.labels, phantom.breast))
        host = Host.of(BreastVolume(image, phantom.spacing))
        yield seed, Ground.of(host, known_tissues(labels) if known else segmenter)


def cases(files: DatasetFiles) -> Iterator[tuple[int, Ground]]:
    """A cohort's cases at 1 mm, with their tumors."""
    segmenter = load_segmenter()
    for number, one in enumerate(files.cases):
        case = load_case(one, first_post=True)
        level = (inverse_knee(case.q.float()) + 1) / 2
        host = Host.of(BreastVolume(level, (1.0, 1.0, 1.0), tumor=case.tumor > 0))
        yield number, Ground.of(host, segmenter)


def decided(
    bank: TumorBank, seed: int, ground: Ground, each: int
) -> list[tuple[Plan, np.ndarray, float]]:
    """Plans for one host, how they lie, and the seconds that each took."""
    sites = ground.sites()
    found = []
    for k in range(each):
        generator = torch.Generator().manual_seed(1000 * seed + k)
        started = time.process_time()
        plan = decide(ground, Wish(), bank, HOLE_MARGIN_MM, generator)
        seconds = time.process_time() - started
        if isinstance(plan, Plan):
            where = place_of(plan, sites, ground.shape, ground.spacing)
            found.append((plan, where, seconds))
    return found


def row(name: str, bank: np.ndarray, drawn: np.ndarray, chance: float = math.nan) -> str:
    """Quantiles of both, how far apart they are, and how far chance alone takes them."""
    bank, drawn = bank[~np.isnan(bank)], drawn[~np.isnan(drawn)]
    if not len(bank):
        return f"| {name} | not known | | | |"
    both = (
        " / ".join(f"{v:.3g}" for v in np.percentile(part, QUANTILES)) for part in (bank, drawn)
    )
    distance = ks_2samp(bank, drawn).statistic
    beside = "" if math.isnan(chance) else f"{chance:.3f}"
    return f"| {name} | {' | '.join(both)} | {distance:.3f} | {beside} |"


def by_size(bank: TumorBank, sizes: np.ndarray, places: np.ndarray) -> Iterator[str]:
    """Rows of each statistic's medians, bank's and drawn, and KS, in thirds of the bank's sizes."""
    known = [t for t in bank.templates if t.places is not None]
    own_sizes = np.array([t.diameter_mm for t in known])
    own = np.stack([t.places[0].float().numpy() for t in known if t.places is not None])
    ends = [0.0, *np.quantile(own_sizes, (1 / 3, 2 / 3)), math.inf]
    for k, name in enumerate(STATISTICS):
        cells = []
        for low, high in itertools.pairwise(ends):
            parts = [
                rows[(mm > low) & (mm <= high), k]
                for rows, mm in ((own, own_sizes), (places, sizes))
            ]
            first, second = (part[~np.isnan(part)] for part in parts)
            if len(first) and len(second):
                distance = ks_2samp(first, second).statistic
                cells.append(f"{np.median(first):.3g}, {np.median(second):.3g}; {distance:.2f}")
            else:
                cells.append("none")
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Decide, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=60, help="phantoms")
    parser.add_argument("--per-host", type=int, default=8)
    parser.add_argument("--bank", type=Path)
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--data", type=Path, help="a dataset with tumor masks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.data is None:
        bank = load_without_networks().bank if options.bank is None else load_bank(options.bank)
        hosts, of = phantoms(options.n, options.known), "phantoms"
    else:
        files = read_dataset(options.data)
        if options.bank is not None:
            bank = load_bank(options.bank)
        else:
            bank = bank_of_dataset(options.data, segmenter=load_segmenter(), workers=1).bank
        hosts, of = cases(files), "cases, beside their own"
        options.n = len(files.cases)
    plans, places, seconds = [], [], []
    for seed, ground in hosts:
        for plan, place, took in decided(bank, seed, ground, options.per_host):
            plans.append(plan)
            places.append(place)
            seconds.append(took)
    # Sizes that are drawn are those of the largest lesions of their cases.
    alone = TumorBank(tuple(t for k, t in enumerate(bank.templates) if k not in bank.further))
    largest = f"{len(alone)} of them the largest of their cases: the bank here"
    print(f"{len(bank)} templates, {largest}; {len(plans)} tumors in {options.n} {of}\n")
    print(f"| {' / '.join(map(str, QUANTILES))} % | bank | drawn | KS | of halves |")
    print("|---|---|---|---|---|")
    told = [t.places[0].float().numpy() for t in alone.templates if t.places is not None]
    for k, name in enumerate(STATISTICS):
        own = np.array([one[k] for one in told])
        print(row(name, own, np.array([one[k] for one in places]), by_chance(alone, k)))
    sizes = np.array([plan.recipe.diameter_mm for plan in plans], float)
    print(row("diameter_mm", np.array(alone.diameters_mm), sizes))
    for name in LOOKS:
        own = np.array([getattr(t.appearance, name) for t in alone.templates], float)
        print(row(name, own, np.array([getattr(p.recipe.appearance, name) for p in plans], float)))
    print(
        "\n| medians, bank and drawn; KS | smallest third | middle | largest |\n|---|---|---|---|"
    )
    for line in by_size(alone, sizes, np.array(places)):
        print(line)
    looks = {tuple(p.recipe.appearance.to_dict().values()) for p in plans[:24]}
    print(f"\n{len(looks)} looks in {len(plans[:24])} tumors; a decision takes ", end="")
    print(f"{1000 * statistics.median(seconds):.0f} ms (median, sites known)")


if __name__ == "__main__":
    main()
