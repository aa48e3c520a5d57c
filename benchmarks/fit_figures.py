"""The fit verdict on data that the weights were made for, and on data that they were not.

    python benchmarks/fit_figures.py
    SYNBT_REAL_DATA=FOLDER python benchmarks/fit_figures.py

Prints Markdown: one row of figures for each kind of data, from which the limits in
`synbt_aug/evaluate/findings.py` come. Phantoms have seeds from 1,000,000, which no weight was
trained on; the real case is looked at where it is there, once for each phase.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer, make_phantom
from synbt_aug.cli.demo_training import Plan
from synbt_aug.data import read_dataset, read_mask, read_pair
from synbt_aug.evaluate import FIT_CASES, Fit, FitCase, measure_fit
from synbt_aug.phantom import PhantomSettings
from synbt_aug.volume import Spacing

FIRST_SEED = 1_000_000

#: Full width at half maximum over the SD of a Gaussian.
_FWHM = 2.355

Change = Callable[[BreastVolume], BreastVolume]


def with_image(change: Callable[[Tensor], Tensor]) -> Change:
    """The same volume with another image."""
    return lambda volume: replace(volume, image=change(volume.image))


def blurred(fwhm_mm: float) -> Change:
    """A Gaussian over 1 mm voxels."""

    def blur(image: Tensor) -> Tensor:
        sigma = fwhm_mm / _FWHM
        return torch.stack([torch.from_numpy(ndimage.gaussian_filter(c, sigma)) for c in image])

    return with_image(blur)


def resampled(spacing: Spacing) -> Change:
    """From 1 mm to other voxels."""

    def resample(volume: BreastVolume) -> BreastVolume:
        assert volume.tumor is not None
        factors = [1 / mm for mm in spacing]
        image = [ndimage.zoom(channel.numpy(), factors, order=1) for channel in volume.image]
        tumor = ndimage.zoom(volume.tumor.float().numpy(), factors, order=1) >= 0.5
        return BreastVolume(
            torch.from_numpy(np.stack(image)), spacing, tumor=torch.from_numpy(tumor)
        )

    return resample


def sagittal(volume: BreastVolume) -> BreastVolume:
    """The axes in another order, one turned around."""

    def turn(x: Tensor) -> Tensor:
        return x.movedim(-1, -3).flip(-1)

    assert volume.tumor is not None
    return BreastVolume(turn(volume.image), tumor=turn(volume.tumor))


def as_int16(image: Tensor) -> Tensor:
    """Rounded, as scanners store it."""
    return image.round().to(torch.int16)


def z_scored(image: Tensor) -> Tensor:
    """Each channel by its mean and SD, as nnU-Net does."""
    mean, sd = image.mean((1, 2, 3), keepdim=True), image.std((1, 2, 3), keepdim=True)
    return (image - mean) / sd


def noise(image: Tensor) -> Tensor:
    """Nothing but noise."""
    return torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * 50 + 200


def inverted(image: Tensor) -> Tensor:
    """Bright is dark."""
    return image.amax((1, 2, 3), keepdim=True) - image


def ct_like(volume: BreastVolume) -> BreastVolume:
    """Air, fat, soft tissue and bone in Hounsfield units, other structures; tumors gain 60."""
    rng = np.random.default_rng(0)
    field = np.zeros(volume.shape)
    for size in (24, 12, 6):
        coarse = rng.normal(size=[n // size + 2 for n in volume.shape])
        fine = ndimage.zoom(coarse, size, order=1)
        field += size * fine[tuple(slice(n) for n in volume.shape)]
    kind = np.digitize(field, np.quantile(field, [0.3, 0.5, 0.9, 0.95]))
    pre = np.array([-1000.0, -100.0, 40.0, 300.0, 1000.0])[kind]
    assert volume.tumor is not None
    pre[volume.tumor.numpy()] = 40.0
    post = pre + 60.0 * volume.tumor.numpy() + 20.0 * (kind == 2)
    image = np.stack([pre, post]) + rng.normal(0, 15, (2, *volume.shape))
    return replace(volume, image=torch.from_numpy(image).float())


GOOD: dict[str, Change] = {
    "phantoms": lambda volume: volume,
    "0.7 x 0.7 x 2 mm": resampled((0.7, 0.7, 2.0)),
    "sagittal axes": sagittal,
    "int16": with_image(as_int16),
    "z-scored": with_image(z_scored),
    "blurred to 2 mm": blurred(2.0),
}
BAD: dict[str, Change] = {
    "blurred to 4 mm": blurred(4.0),
    "pre and post swapped": with_image(lambda image: image.flip(0)),
    "post = pre": with_image(lambda image: image[[0, 0]]),
    "post twice": with_image(lambda image: image[[1, 1]]),
    "noise": with_image(noise),
    "contrast inverted": with_image(inverted),
    "CT-like": ct_like,
}


#: Those that `synbt demo` trains nnU-Net on.
DEMO_SEED, DEMO = 1_100_000, PhantomSettings(shape=Plan.shape, diameter_mm=Plan.tumor_mm)


def phantoms(
    count: int, first: int = FIRST_SEED, settings: PhantomSettings | None = None
) -> list[BreastVolume]:
    """Held-out phantoms with their tumors."""
    volumes = []
    for seed in range(first, first + count):
        made = make_phantom(seed, settings or PhantomSettings())
        image = torch.from_numpy(np.stack([made.pre, made.post[0]])).float()
        volumes.append(BreastVolume(image, made.spacing, tumor=torch.from_numpy(made.tumor)))
    return volumes


def real_phases(folder: Path) -> Iterator[BreastVolume]:
    """The real case with each of its post-contrast scans, its rough mask as the tumor."""
    (case,) = read_dataset(folder).cases
    (label,) = folder.glob("segmentations/*/*.nii.gz")
    for post in case.posts:
        pair = read_pair(case.pre, post)
        yield replace(pair.volume, tumor=read_mask(label, pair.pre))


def row(name: str, fit: Fit) -> str:
    """One line of the table."""
    tissue, tumors, again = fit.tissue, fit.tumors, fit.repainted
    assert tumors is not None and again is not None
    verdict = fit.verdict
    why = ", ".join(f.what for f in fit.findings if f.verdict == verdict != "good")
    cells = [
        name,
        f"{min(tissue.explained):.2f}",
        "{:+.1f} / {:+.1f}".format(*tissue.gain_db),
        "{:+.1f} / {:+.1f}".format(*tumors.gain_db),
        f"{tumors.enhancement:.2f}",
        f"{tumors.in_range:.0%}",
        f"{len(tumors.swapped)} of {tumors.count}",
        f"{tumors.contrast_to_noise:.1f}",
        f"{again.off:.0%}",
        "{:.2f} / {:.2f}".format(*again.visible),
        "{:.2f} / {:.2f}".format(*again.grain),
        f"{verdict}: {why}" if why else verdict,
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("-n", type=int, default=FIT_CASES, help="phantoms")
    options = parser.parse_args()
    synthesizer = TumorSynthesizer(options.weights)

    def look(name: str, volumes: list[BreastVolume]) -> None:
        # One name, one seed: the same places and noise in every row.
        cases = [FitCase(f"case {k}", volume) for k, volume in enumerate(volumes)]
        fit = measure_fit(cases, synthesizer, max_cases=len(cases))
        print(row(name, fit), flush=True)
        seconds.append(fit.seconds / fit.cases)

    seconds: list[float] = []
    volumes = phantoms(options.n)
    print(f"Weights {synthesizer.weights.digest[:12]}, {len(volumes)} phantoms.\n")
    heads = ["data", "explained", "tissue, dB", "tumors, dB", "enhancement", "in range", "swapped"]
    heads += ["contrast / noise", "off", "visible", "grain", "verdict"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    look("phantoms of the demo", phantoms(options.n, DEMO_SEED, DEMO))
    for name, change in GOOD.items():
        look(name, [change(volume) for volume in volumes])
    real = Path(os.environ.get("SYNBT_REAL_DATA", "")) / "duke153_1mm"
    if real.is_dir():
        for number, volume in enumerate(real_phases(real), 1):
            look(f"real case, phase {number}", [volume])
    for name, change in BAD.items():
        look(name, [change(volume) for volume in volumes])
    if real.is_dir():
        for name in ("pre and post swapped", "blurred to 4 mm", "contrast inverted"):
            look(f"real case, {name}", [BAD[name](next(real_phases(real)))])
    print(f"\n{np.mean(seconds):.1f} s a case.")


if __name__ == "__main__":
    main()
