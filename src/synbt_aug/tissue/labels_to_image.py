"""Images of no scanner: a label map, a random Gaussian a tissue, and what scanners do to images.

The known tissues keep their labels; the rest of the body is split by k-means of the case's own
scan into 2 to 8 clusters, so that the network learns tissue borders and no contrast. Gaussian
mixture, bias field, resolution, noise and gamma are cornucopia's; here is what is drawn, in which
order, and what is ours: that clusters may share the contrast of fat or gland, the fall of signal
away from a coil, and cut corners. Training only.

Source:
    Billot et al., "SynthSeg", Medical Image Analysis 86, 2023; Yang et al., "SynBT", section 2.4.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import ExtraMissingError
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.segmenter import normalise

try:
    import cornucopia as cc
    from sklearn.cluster import KMeans
except ImportError as error:
    raise ExtraMissingError("Drawing training images", "train", "cornucopia") from error

#: Clusters of the rest of the body, fewest and most (paper: 2 to 8).
CLUSTERS = (2, 8)

#: Generation labels: air, then tissues with a Gaussian of their own, then the clusters of the rest.
AIR, FAT, GLAND, SKIN, NIPPLE, VESSEL, TUMOR, FIRST_CLUSTER = range(8)

#: The rest of the body, before it is split.
REST = 255

#: Voxels of the rest that k-means is fitted to.
_FIT = 4000

#: Chances that things look alike, as they do in most scans.
_CLUSTER_LIKE_FAT = 0.7
_CLUSTER_LIKE_GLAND = 0.4
_SKIN_LIKE_GLAND = 0.4
_TUMOR_LIKE_GLAND = 0.5
_DARK_AIR = 0.95

#: Least difference of the means of fat and gland, which lie in [0, 1].
_LEAST_CONTRAST = 0.15

#: How far the mottling of the case's own scan may go, and how often it is taken.
_MOTTLED = 0.5
_MOTTLING = (0.5, 2.0)

#: Chance that gland is brighter than fat, as where fat is suppressed (all but 6 of MAMA-MIA's
#: 1491 cases). Both are learned; with even chances the network first learned neither, and drew
#: the gland as a ball in the middle of the breast.
_GLAND_IS_BRIGHTER = 0.6


@dataclass(frozen=True)
class LabelMap:
    """What training images are made from.

    Args:
        labels: Generation labels, `REST` for all without a Gaussian of its own, uint8, shape
            `(D, H, W)` at 1 mm.
        scan: The case's own pre-contrast signal, any scale, shape `(ceil(D / 2), ceil(H / 2),
            ceil(W / 2))`; k-means splits the rest by it.
        name: The case's.
    """

    labels: Tensor
    scan: Tensor
    name: str = ""


def tissue_of(labels: Tensor) -> Tensor:
    """The answer to generation labels: vessels count as fat, tumors as gland, nipples as skin.

    Args:
        labels: With `REST`, uint8, any shape.

    Returns:
        Values of `TissueLabel`, uint8, same shape.
    """
    table = torch.full((256,), int(TissueLabel.BEHIND), dtype=torch.uint8)
    table[AIR] = TissueLabel.BACKGROUND
    table[[FAT, VESSEL]] = TissueLabel.FAT
    table[[GLAND, TUMOR]] = TissueLabel.GLAND
    table[[SKIN, NIPPLE]] = TissueLabel.SKIN
    return table[labels.long()]


def draw_crop(
    case: LabelMap, sides_mm: tuple[int, int, int], *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A crop in a random axis order, turned, and zoomed.

    Args:
        case: Where from.
        sides_mm: Sides of the crop.
        generator: On the CPU.

    Returns:
        `labels` and `scan` (at the crop's resolution), shape `sides_mm`. Where the crop overhangs
        the case it repeats the last plane.
    """
    order = torch.randperm(3, generator=generator).tolist()
    sign = 1 - 2 * torch.randint(2, (3,), generator=generator)
    angles = (torch.rand(3, generator=generator) - 0.5) * 2 * np.deg2rad(20)
    zoom = torch.exp((torch.rand(3, generator=generator) - 0.5) * 2 * np.log(1.25))
    shape = torch.tensor(case.labels.shape, dtype=torch.float32)
    half = torch.tensor(sides_mm, dtype=torch.float32) / 2
    # In the case's axes, the crop's extent: random places, leaning towards those inside.
    extent = half[torch.tensor(order).argsort()] * zoom
    room = (shape / 2 - 0.8 * extent).clamp_min(0)
    centre = shape / 2 + (2 * torch.rand(3, generator=generator) - 1) * room
    permute = torch.zeros(3, 3)
    for axis, source in enumerate(order):
        permute[source, axis] = float(sign[axis])
    turn = _rotation(angles) @ torch.diag(zoom) @ permute
    steps = [torch.arange(n) - (n - 1) / 2 for n in sides_mm]
    places = torch.stack(torch.meshgrid(*steps, indexing="ij"), dim=-1)
    index = (places @ turn.T + centre - 0.5).round_()
    for axis in range(3):
        index[..., axis].clamp_(0, case.labels.shape[axis] - 1)
    d, h, w = index.long().unbind(-1)
    _, n_h, n_w = case.labels.shape
    flat = (d * n_h + h) * n_w + w
    _, s_h, s_w = case.scan.shape
    coarse = ((d // 2) * s_h + h // 2) * s_w + w // 2
    return case.labels.flatten()[flat], case.scan.flatten()[coarse].float()


def split_rest(
    labels: Tensor, scan: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Split what has no label of its own by k-means on the scan's signal.

    Args:
        labels: Generation labels with `REST`, uint8, shape `(D, H, W)`.
        scan: Signal, same shape.
        generator: On the CPU.

    Returns:
        Generation labels without `REST`, int64, same shape; and the mean signal of each label,
        shape `(labels,)`, NaN where there is none.
    """
    rest = labels == REST
    labels = labels.long()
    low, high = CLUSTERS
    count = int(torch.randint(low, high + 1, (), generator=generator))
    # Smoothed over 3 voxels: noise would make speckle, not tissue.
    smooth = F.avg_pool3d(scan[None], 3, 1, 1)[0]
    values = smooth[rest]
    if values.numel() >= 100:
        picked = values[torch.randint(values.numel(), (_FIT,), generator=generator)]
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        means = KMeans(count, n_init=1, random_state=seed).fit(picked[:, None].numpy())
        centres = np.sort(means.cluster_centers_.ravel())
        edges = torch.from_numpy((centres[1:] + centres[:-1]) / 2).to(values)
        labels[rest] = FIRST_CLUSTER + torch.bucketize(values, edges)
    else:
        labels[rest] = FIRST_CLUSTER
    total = FIRST_CLUSTER + count
    voxels = torch.bincount(labels.flatten(), minlength=total)
    sums = torch.bincount(labels.flatten(), smooth.flatten().double(), minlength=total)
    return labels, (sums / voxels).float()


def draw_contrast(signal: Tensor, *, generator: torch.Generator) -> tuple[list[float], list[float]]:
    """Mean and SD of a Gaussian for each generation label.

    Args:
        signal: Mean signal of each label in the case's own scan, which tells what looks alike,
            shape `(labels,)`.
        generator: On the CPU.
    """
    count = len(signal)
    mean = torch.rand(count, generator=generator)
    # Fat and gland of one signal cannot be told apart: a lesson in nothing.
    apart = _LEAST_CONTRAST + (0.9 - _LEAST_CONTRAST) * torch.rand((), generator=generator)
    lower = (1 - apart) * mean[FAT]
    up = bool(torch.rand((), generator=generator) < _GLAND_IS_BRIGHTER)
    mean[FAT], mean[GLAND] = (lower, lower + apart) if up else (lower + apart, lower)
    spread = torch.rand(count, generator=generator) ** 2 * 0.16
    chance = torch.rand(5, generator=generator).tolist()
    if chance[0] < _DARK_AIR:
        mean[AIR], spread[AIR] = 0.03 * mean[AIR], 0.2 * spread[AIR]

    def alike(label: int, other: int) -> None:
        mean[label], spread[label] = mean[other], spread[other]

    if chance[1] < _SKIN_LIKE_GLAND:
        alike(SKIN, GLAND)
    alike(NIPPLE, SKIN)
    if chance[2] < _TUMOR_LIKE_GLAND:
        alike(TUMOR, GLAND)
    clusters = signal[FIRST_CLUSTER:]
    if bool(torch.isfinite(clusters).any()):
        for share, tissue in ((_CLUSTER_LIKE_GLAND, GLAND), (_CLUSTER_LIKE_FAT, FAT)):
            if chance[2 + tissue] < share and bool(torch.isfinite(signal[tissue])):
                nearest = (clusters - signal[tissue]).abs().nan_to_num(torch.inf).argmin()
                alike(FIRST_CLUSTER + int(nearest), tissue)
    return mean.tolist(), spread.tolist()


def draw_image(
    labels: Tensor, scan: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A training image and its answer on the 2 mm grid.

    Args:
        labels: Generation labels with `REST`, uint8, shape `(D, H, W)` at 1 mm, even sides.
        scan: The case's own signal, same shape.
        generator: On the CPU; cornucopia's own draws follow from it.

    Returns:
        The image by `segmenter.normalise`, shape `(D/2, H/2, W/2)`, and the majority tissue of
        each of its voxels, int64, same shape.
    """
    split, signal = split_rest(labels, scan, generator=generator)
    mean, spread = draw_contrast(signal, generator=generator)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    numbers = torch.rand(14, generator=generator).tolist()
    with _seeded(seed):
        mixture = cc.GaussianMixtureTransform(mu=mean, sigma=spread)
        fine = mixture(split[None]).float().clamp_min(0)
        if numbers[12] < _MOTTLED:
            fine = fine * mottling(split, scan, signal) ** numbers[13]
        # From here on at 2 mm: voxels of mixed tissue come from 1 mm ones.
        image = F.avg_pool3d(fine[None], 2)[0]
        image = _corrupt(image, numbers)
    tissue = tissue_of(labels)
    one_hot = torch.stack([tissue == value for value in TissueLabel]).float()
    answer = F.avg_pool3d(one_hot[None], 2)[0].argmax(0)
    valid = _cut_corner(tuple(image.shape[1:]), numbers, generator)
    if valid is not None:
        answer = torch.where(valid, answer, int(TissueLabel.BACKGROUND))
    return normalise(image[0], valid), answer


def mottling(split: Tensor, scan: Tensor, signal: Tensor) -> Tensor:
    """How the scan's signal goes up and down within each label.

    Args:
        split: Generation labels by `split_rest`, shape `(D, H, W)`.
        scan: Signal, same shape.
        signal: Mean signal of each label, shape `(labels,)`.

    Returns:
        A factor around 1, within a factor of 2, shape `(D, H, W)`; 1 in air, which is noise.
    """
    factor = (scan / signal[split].clamp_min(1e-6)).clamp(*_MOTTLING)
    return torch.where(split == AIR, 1.0, factor)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """What cornucopia draws inside is a function of `seed`; the global states come back."""
    before = random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            random.setstate(random.Random(seed).getstate())
            yield
    finally:
        random.setstate(before)


def _corrupt(image: Tensor, numbers: list[float]) -> Tensor:
    """Coil, texture, resolution, noise, gamma; `image` has shape `(1, d, h, w)` at 2 mm."""
    # Mottled tissue: finer than a coil's field, coarser than noise.
    if numbers[0] < 0.5:
        image = cc.RandomMulFieldTransform(24, vmax=0.15, order=1, symmetric=1)(image)
    if numbers[1] < 0.9:
        depth = 0.1 + 0.4 * numbers[2]
        image = cc.RandomMulFieldTransform(6, vmax=depth, order=1, symmetric=1)(image)
    if numbers[3] < 0.5:
        # Surface coils: the signal falls along one direction, by up to a factor of 5.
        axis = int(3 * numbers[3] / 0.5)
        n = image.shape[1 + axis]
        fall = torch.exp(-1.6 * numbers[4] * torch.arange(n) / n)
        fall = fall.flip(0) if numbers[5] < 0.5 else fall
        image = image * fall.view([-1 if k == axis + 1 else 1 for k in range(4)])
    if numbers[6] < 0.5:
        image = cc.RandomSmoothTransform(2.0)(image)
    if numbers[7] < 0.35:
        # Slices of up to 4 mm.
        image = cc.RandomLowResSliceTransform(2.0)(image)
    noise = 0.08 * numbers[8] ** 2
    image = cc.ChiNoiseTransform(noise + 1e-4)(image)
    if numbers[9] < 0.6:
        image = cc.RandomGammaTransform((0.6, 1.7))(image.clamp_min(0))
    return image


def _cut_corner(
    shape: tuple[int, ...], numbers: list[float], generator: torch.Generator
) -> Tensor | None:
    """What a rotated or padded host leaves: a half-space without signal, or None."""
    if numbers[10] > 0.2:
        return None
    normal = torch.randn(3, generator=generator)
    normal = normal / normal.norm()
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    along = sum(float(c) * axis for c, axis in zip(normal, axes, strict=True))
    return torch.as_tensor(along) < 0.5 + 0.7 * numbers[11]


def _rotation(angles: Tensor) -> Tensor:
    """Rotation by three Euler angles, shape `(3, 3)`."""
    turn = torch.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [k for k in range(3) if k != axis]
        one = torch.eye(3)
        one[a, a] = one[b, b] = torch.cos(angle)
        one[a, b], one[b, a] = -torch.sin(angle), torch.sin(angle)
        turn = turn @ one
    return turn
