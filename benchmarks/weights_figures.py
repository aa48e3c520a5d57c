"""The figures of the model card, on held-out phantoms (seeds from 1,000,000).

    python benchmarks/weights_figures.py -n 10
    python benchmarks/weights_figures.py -n 10 --control-only --uncorrected

Prints Markdown: how the codec reconstructs, how asked-for appearance comes out, how much of the
labels is visible, how many wishes for a size are painted, and what painting "nothing" changes.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from torch import Tensor

from synbt_aug import Appearance, BreastVolume, TumorSynthesizer
from synbt_aug.evaluate.realism.control import ATTRIBUTES, ask, range_of, together
from synbt_aug.evaluate.realism.repaint import inpainter_of
from synbt_aug.grid.mask import gaussian
from synbt_aug.phantom import Phantom, make_phantom
from synbt_aug.signal.intensity import IntensityReference, measure_reference, to_linear, to_model
from synbt_aug.weights import Weights

FIRST_SEED = 1_000_000

#: Of the mapped signal: [-1, 1] is ordinary tissue.
RANGE = 2.0


def psnr(error: Tensor) -> float:
    """Of mapped signal, in dB, for a range of 2."""
    return 10 * math.log10(RANGE**2 / max(float(error.square().mean()), 1e-12))


def stack(phantom: Phantom, clean: bool = False) -> Tensor:
    """Pre and first post, `(2, X, Y, Z)`, float32."""
    pre, post = (phantom.clean_pre, phantom.clean_post) if clean else (phantom.pre, phantom.post)
    return torch.from_numpy(np.stack([pre, post[0]])).float()


def reconstruct(synthesizer: TumorSynthesizer, q: Tensor) -> Tensor:
    """Through encoder, codebook and decoder in one pass; sides are cut to multiples of 4."""
    weights = synthesizer.weights
    assert isinstance(weights, Weights)
    autoencoder = weights.autoencoder
    z, _ = autoencoder.quantize(autoencoder.encode(q[None]))
    return autoencoder.decode(z)[0]


def codec_rows(synthesizer: TumorSynthesizer, phantoms: list[Phantom]) -> dict[str, list[float]]:
    """PSNR by tissue and channel, and the bias of tumors."""
    rows: dict[str, list[float]] = {}
    for phantom in phantoms:
        image = stack(phantom)
        reference = measure_reference(image)
        q, ideal = to_model(image, reference), to_model(stack(phantom, clean=True), reference)
        seen = reconstruct(synthesizer, q)
        breast, tumor = torch.from_numpy(phantom.breast), torch.from_numpy(phantom.tumor)
        found = {
            "breast, pre": psnr((seen - q)[0][breast]),
            "breast, post": psnr((seen - q)[1][breast]),
            "breast, pre, against noise-free": psnr((seen - ideal)[0][breast]),
            "breast, post, against noise-free": psnr((seen - ideal)[1][breast]),
            "noise itself, pre": psnr((q - ideal)[0][breast]),
            "noise itself, post": psnr((q - ideal)[1][breast]),
            "tumor, post": psnr((seen - q)[1][tumor]),
            "tumor, post, bias of the mean (mapped)": float((seen - q)[1][tumor].mean()),
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return rows


def asked_and_found(
    synthesizer: TumorSynthesizer, hosts: list[BreastVolume], levels: tuple[float, ...]
) -> list[tuple[float, float, float]]:
    """Enhancement asked, found, and the label's visible share, for each host and level."""
    pairs = []
    for seed, host in enumerate(hosts):
        for level in levels:
            result = synthesizer(
                host,
                seed=seed,
                diameter_mm=18,
                appearance=Appearance(enhancement=level, category="mass", rim=1.0),
            )
            for measured in result.measured.get("tumors", []):
                found = measured["appearance"]["enhancement"]
                pairs.append((level, found, measured["visible_share"]))
    return pairs


def painted_by_size(
    synthesizer: TumorSynthesizer,
    hosts: list[BreastVolume],
    sizes_mm: tuple[tuple[float, float], ...],
    seeds: int,
) -> list[tuple[tuple[float, float], int, int, str]]:
    """How many wishes for a size were painted; the others were refused as not visible, or found
    no room. Sizes are spread evenly over each range; rows are range, painted, asked, reasons.
    """
    rows = []
    for low, high in sizes_mm:
        reasons: dict[str, int] = {}
        painted = 0
        for number, host in enumerate(hosts):
            for seed in range(seeds):
                diameter = low + (high - low) * (seed + 0.5) / seeds
                result = synthesizer(host, seed=1000 * number + seed, diameter_mm=diameter)
                painted += result.painted
                if not result.painted:
                    reason = str(result.reason).split(":")[0]
                    reasons[reason] = reasons.get(reason, 0) + 1
        why = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
        rows.append(((low, high), painted, len(hosts) * seeds, why))
    return rows


def null_change(
    synthesizer: TumorSynthesizer, hosts: list[BreastVolume]
) -> list[tuple[float, float]]:
    """Mean change of post inside a null paint, and the noise there, in reference ranges."""
    found = []
    for seed, host in enumerate(hosts):
        result = synthesizer(host, seed=seed, diameter_mm=18, kind="null")
        if not result.painted:
            continue
        reference = IntensityReference.from_dict((result.recipe or {})["reference"])
        before, after = (to_linear(x, reference)[1] / 2 for x in (host.image, result.image))
        grain = (before - gaussian(before, 0.8))[result.support]
        noise = 1.4826 * float((grain - grain.median()).abs().median())
        found.append((float((after - before)[result.support].mean()), noise))
    return found


def print_control(synthesizer: TumorSynthesizer, hosts: list[BreastVolume]) -> None:
    """One attribute asked for over the bank's range, two tumors of 18 mm a host."""
    print("\n| asked for | from - to | correlation | mean error | refused |\n|---|---|---|---|---|")
    for attribute in ATTRIBUTES:
        low, high = range_of(synthesizer.bank, attribute)
        wishes = [(k, low + (high - low) * ((k * 0.618) % 1)) for k in range(2 * len(hosts))]
        found = together([ask(synthesizer, hosts[k // 2], attribute, v, seed=k) for k, v in wishes])
        print(
            f"| {attribute} | {low:.2f} - {high:.2f} | {found.correlation:.2f} | "
            f"{found.mean_error:.3f} | {found.refused} of {len(wishes)} |"
        )


def print_sizes(synthesizer: TumorSynthesizer, hosts: list[BreastVolume], per_size: int) -> None:
    """The table of `painted_by_size`."""
    print("\n| size asked, mm | painted | why not |\n|---|---|---|")
    sizes = ((6.0, 9.0), (9.0, 13.0), (13.0, 17.0), (17.0, 25.0))
    for (low, high), painted, tried, why in painted_by_size(synthesizer, hosts, sizes, per_size):
        print(f"| {low:g}-{high:g} | {painted} of {tried} | {why} |")


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("-n", type=int, default=10, help="phantoms")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first phantom")
    parser.add_argument("--per-size", type=int, default=5, help="wishes a phantom and size range")
    parser.add_argument("--sizes-only", action="store_true", help="only how many are painted")
    parser.add_argument("--control-only", action="store_true", help="only how wishes are met")
    parser.add_argument("--uncorrected", action="store_true", help="what the networks paint alone")
    options = parser.parse_args()
    started = time.perf_counter()
    synthesizer = TumorSynthesizer(options.weights)
    inpainter_of(synthesizer).correct = not options.uncorrected
    phantoms = [make_phantom(options.first + k) for k in range(options.n)]
    hosts = [BreastVolume(stack(p), p.spacing, tumor=torch.from_numpy(p.tumor)) for p in phantoms]
    print(
        f"Weights {synthesizer.weights.digest[:12]}, {options.n} phantoms from {options.first}.\n"
    )
    if options.sizes_only:
        print_sizes(synthesizer, hosts, options.per_size)
        return
    if options.control_only:
        print_control(synthesizer, hosts)
        return
    print("| reconstruction, PSNR for a range of 2 | median |\n|---|---|")
    for name, values in codec_rows(synthesizer, phantoms).items():
        print(f"| {name} | {np.median(values):.2f} |")

    pairs = np.array(asked_and_found(synthesizer, hosts, (0.5, 1.0, 1.5, 2.0)))
    asked, found = pairs[:, 0], pairs[:, 1]
    print("\n| enhancement asked | found, mean +- SD | visible share |\n|---|---|---|")
    for level in sorted(set(asked)):
        of = pairs[asked == level]
        print(
            f"| {level:g} | {of[:, 1].mean():.2f} +- {of[:, 1].std():.2f} | {of[:, 2].mean():.2f} |"
        )
    print(
        f"\nError of the asked-for enhancement {np.abs(found - asked).mean():.2f} (mean absolute), "
        f"correlation {np.corrcoef(asked, found)[0, 1]:.2f}, {len(pairs)} tumors of 18 mm."
    )
    print_control(synthesizer, hosts)
    print_sizes(synthesizer, hosts, options.per_size)
    null = np.array(null_change(synthesizer, hosts))
    print(
        f"\nNull paints: mean change of post {np.abs(null[:, 0]).mean():.3f} reference ranges "
        f"(largest {np.abs(null[:, 0]).max():.3f}); noise there {null[:, 1].mean():.3f}."
    )
    print(f"\n{time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
