"""Where tumors are placed, on held-out phantoms (seeds from 1,000,000) with known anatomy.

    python benchmarks/placement_figures.py -n 100 --per-host 10 --known

Prints Markdown: what the labels touch, how many tries a place takes, whether sizes follow the
cohort's, and how long it takes on one thread. `--known` takes the phantoms' own tissues in place
of the segmenter's.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage
from scipy.stats import kstest

from synbt_aug import BreastVolume
from synbt_aug.host import Host
from synbt_aug.phantom import Phantom, make_phantom
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.signal.intensity import measure_reference, to_linear
from synbt_aug.tissue import TissueMap, tissue_labels, to_grid
from synbt_aug.tissue.sites import SiteMap, find_sites
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.placement import Placement, place_tumor
from synbt_aug.tumor.room import room_of
from synbt_aug.weights import load_weights

FIRST_SEED = 1_000_000

#: No voxel of a label may lie here.
WRONG = {
    "air": (Tissue.AIR,),
    "skin": (Tissue.SKIN,),
    "nipple": (Tissue.NIPPLE,),
    "muscle": (Tissue.MUSCLE,),
    "bone": (Tissue.BONE,),
    "lung": (Tissue.LUNG,),
    "heart and great vessels": (Tissue.BLOOD,),
    "liver": (Tissue.LIVER,),
    "existing tumor": (Tissue.TUMOR,),
}


@dataclass
class Tally:
    """Counts over all placements."""

    voxels: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    ranks: list[float] = field(default_factory=list)
    sizes: list[tuple[float, float]] = field(default_factory=list)
    poses: list[int] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)
    touches: list[bool] = field(default_factory=list)
    site_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    all_voxels: int = 0


def host_of(phantom: Phantom) -> Host:
    """A phantom as a scan, its tumors known."""
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])).float()
    return Host.of(BreastVolume(image, phantom.spacing, tumor=torch.from_numpy(phantom.tumor > 0)))


def sites_of(host: Host, phantom: Phantom, known: bool) -> SiteMap:
    """By the phantom's own tissues, or as the synthesizer finds them."""
    if not known:
        from synbt_aug.tissue.segmenter import load_segmenter

        return host.sites_by(load_segmenter())
    labels = torch.from_numpy(tissue_labels(phantom.labels, phantom.breast))
    tissue = TissueMap.of_labels(labels, phantom.spacing)
    v = host.volume
    level = (to_linear(to_grid(v.image, v.spacing), measure_reference(v.image)) + 1) / 2
    return find_sites(tissue, level, host.occupied, v.valid)


def look(tally: Tally, phantom: Phantom, near_gland: np.ndarray, placed: Placement) -> None:
    """What one placement's label touches."""
    d, h, w = phantom.labels.shape
    # Phantoms are at 1 mm: the window's voxels are the host's.
    seen = placed.window.inside_region((d, h, w))
    mask = np.zeros((d, h, w), bool)
    mask[placed.window.host_box((d, h, w))] = (placed.distance <= 0)[seen].numpy()
    found = np.bincount(phantom.labels[mask], minlength=len(Tissue))
    tally.all_voxels += int(mask.sum())
    for name, tissues in WRONG.items():
        count = int(sum(found[t] for t in tissues))
        tally.voxels[name] += count
        tally.labels[name] += count > 0
    behind = int((mask & ~phantom.breast).sum())
    tally.voxels["anything outside the breast"] += behind
    tally.labels["anything outside the breast"] += behind > 0
    if near_gland.any():
        tally.touches.append(bool((mask & near_gland).any()))
    assert placed.rank is not None and placed.max_mm is not None
    tally.ranks.append(placed.rank)
    tally.sizes.append((placed.diameter_mm, placed.max_mm))
    tally.poses.append(placed.poses)
    tally.sites.append(placed.sites)


def place(tally: Tally, bank: TumorBank, seed: int, each: int, known: bool) -> None:
    """Some placements in one phantom."""
    phantom = make_phantom(seed)
    host = host_of(phantom)
    started = time.process_time()
    sites = sites_of(host, phantom, known)
    room_of(sites, host.volume.shape)
    tally.site_seconds.append(time.process_time() - started)
    # A voxel of gland beside the label is touched, too.
    gland = ndimage.binary_dilation((phantom.labels == Tissue.GLAND) & phantom.breast)
    for k in range(each):
        generator = torch.Generator().manual_seed(1000 * seed + k)
        started = time.process_time()
        placed = None
        if sites.reason is None:
            placed = place_tumor(sites, host.volume.shape, bank, 2.0, generator)
        tally.seconds.append(time.process_time() - started)
        if placed is None:
            tally.reasons[sites.reason or "no room"] += 1
        else:
            look(tally, phantom, gland, placed)


def report(tally: Tally) -> None:
    """As Markdown."""
    placed = len(tally.ranks)
    print(f"{placed} placements, {sum(tally.reasons.values())} refused.\n")
    for reason, count in tally.reasons.most_common():
        print(f"- {reason}: {count}")
    print("\n| the label lies in | voxels | share | placements with any |\n|---|---|---|---|")
    for name in [*WRONG, "anything outside the breast"]:
        share = tally.voxels[name] / max(tally.all_voxels, 1)
        print(f"| {name} | {tally.voxels[name]} | {share:.2e} | {tally.labels[name]} |")
    poses, sites, ranks = np.array(tally.poses), np.array(tally.sites), np.array(tally.ranks)
    size, most = np.array(tally.sizes).T
    print("\n| figure | value |\n|---|---|")
    print(f"| place at the first pose | {(poses == 1).mean():.1%} |")
    print(f"| place at the first or second pose | {(poses <= 2).mean():.1%} |")
    print(f"| poses, most | {poses.max()} |")
    print(f"| limit lowered (more than eight poses) | {(poses > 8).mean():.1%} |")
    print(f"| site at the first or second look | {(sites <= 2).mean():.1%} |")
    print(f"| touches fibroglandular tissue, where there is any | {np.mean(tally.touches):.1%} |")
    print(f"| KS of the rank against uniform | {kstest(ranks, 'uniform').statistic:.3f} |")
    print(f"| diameter, 5 / 50 / 95 %, mm | {_three(size)} |")
    print(f"| limit, 5 / 50 / 95 %, mm | {_three(most)} |")
    print(f"| sites, s of one CPU thread a volume, median / most | {_two(tally.site_seconds)} |")
    milliseconds = np.array(tally.seconds) * 1000
    print(f"| placement, ms of one CPU thread, median / most | {_two(milliseconds)} |")
    print(f"| placements a second | {len(tally.seconds) / sum(tally.seconds):.0f} |")


def _three(values: np.ndarray) -> str:
    return " / ".join(f"{v:.1f}" for v in np.quantile(values, (0.05, 0.5, 0.95)))


def _two(values: list[float] | np.ndarray) -> str:
    return f"{np.median(values):.3g} / {np.max(values):.3g}"


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=100, help="phantoms")
    parser.add_argument("--per-host", type=int, default=10, help="placements a phantom")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first phantom")
    parser.add_argument("--known", action="store_true", help="the phantoms' own tissues")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bank = load_weights().bank
    tally = Tally()
    for k in range(options.n):
        place(tally, bank, options.first + k, options.per_host, options.known)
    tissues = "the phantoms' own tissues" if options.known else "the segmenter's tissues"
    print(f"{options.n} phantoms from {options.first}, {tissues}, one thread.\n")
    report(tally)


if __name__ == "__main__":
    main()
