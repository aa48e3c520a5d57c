"""SynTumor, the analytic baseline, for DCE-MRI: blurred noise that takes up contrast.

The generator of the paper's reference 8 takes a texture of blurred noise off a CT scan inside a
blurred mask. Contrast agent adds signal, and to both channels' one tissue: here one texture field
raises post and hardly touches pre. The gain follows the local signal, so that it is multiplicative
under a coil's bias field.

Of an `Appearance` it meets `enhancement` in the mean, but never takes signal away: a loss is not
painted; `rim` as a step from periphery to core, as dark as a core can be that
loses no signal; `heterogeneity` by the texture's strength, where the host's own structure does not
exceed it. `pre_contrast` is followed for a tenth of the local signal at most, and the category
matters only where "rim" comes without a number: shape is the mask's.

Null paints leave the tissue as it is: an analytic rule adds nothing to repaint. Removals fill the
hole smoothly from the tissue around, with grain from there.

Source:
    Hu et al., "Label-free liver tumor segmentation", CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import EllipsisType

import torch
from torch import Tensor

from synbt_aug.grid.mask import gaussian
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.texture.job import PaintingJob
from synbt_aug.texture.local import (
    GRAIN_SIGMA_MM,
    Surroundings,
    level_of,
    linear_of,
    painted_away,
    smoothed,
)
from synbt_aug.tumor.appearance import Appearance

#: Widths of the two blurs of the noise, in mm: sites of clumps, and the clumps.
SITES_MM = (3.0, 6.0, 9.0, 12.0, 15.0)
CLUMPS_MM = (4.0, 7.0)

#: Chance of a clump's seed in a voxel, from the smallest to the largest value of the first blur.
_SEEDS = (0.05, 0.25)

#: The texture's mean where it exceeds `_BACKGROUND`.
_MEAN = (0.50, 0.55)
_BACKGROUND = 0.12

#: Width of the mask's soft edge, in mm; the blend adds 1 mm to either side of the surface.
_EDGE_MM = (0.6, 1.1)

#: Share of the host's structure of 1-5 mm that shows through: a mass displaces tissue.
_SHOWS_THROUGH = 0.45
_STRUCTURE_MM = 5.0

#: Reach of the local signal that the gain follows, in mm, and how far the gain may.
_BIAS_MM = 16.0
_BIAS_LIMITS = (0.75, 1.33)

#: The gain over the local signal, and the coefficient of variation, where nothing is asked.
_GAIN = (0.8, 1.6)
_VARIATION = (0.10, 0.25)

#: Most that pre may change, over the local signal.
_PRE_LIMIT = 0.1

#: Least and most that the clumps vary, over the mean; a rim broken by clumps would be no rim.
_LEAST_VARIATION = 0.04
_MOST_VARIATION = 0.25
_MOST_IN_RIM = 0.12

#: Dimmest clump over the mean.
_DIMMEST = 0.5

#: Periphery over core of a "rim" without a number, and where the core begins and is whole, over
#: the deepest depth.
_RIM = 1.8
_CORE = (0.40, 0.65)


def noise_texture(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Clumps of blurred noise.

    Args:
        shape: Of the window, in mm and voxels.
        generator: On the CPU.
        device: Where to blur.

    Returns:
        In [0, 1], shape `(*shape,)`, float32.

    Source:
        Hu et al., CVPR 2023, section 3.
    """
    first, second = torch.rand((2, *shape), generator=generator).to(device)
    sites_mm, clumps_mm, mean = torch.rand(3, generator=generator).tolist()
    blurred = smoothed(first[None], SITES_MM[int(sites_mm * len(SITES_MM))])[0]
    least, most = blurred.amin(), blurred.amax()
    min_chance, max_chance = _SEEDS
    chance = min_chance + (max_chance - min_chance) * (blurred - least) / (most - least)
    seeds = (second < chance).to(torch.float32)
    clumps = smoothed(seeds[None], CLUMPS_MM[int(clumps_mm * len(CLUMPS_MM))])[0]
    shown = clumps[clumps > _BACKGROUND]
    wanted = _MEAN[0] + (_MEAN[1] - _MEAN[0]) * mean
    now = shown.mean() if len(shown) else clumps.mean()
    return (clumps * wanted / now).clamp(0, 1)


class SynTumor:
    """Paints tumors by rules alone: no network, no weights.

    Args:
        hole_margin_mm: Dilation of the label that gives the hole of a removal.
    """

    name = "syntumor"
    replaces = False
    needs_signal = False

    def __init__(self, *, hole_margin_mm: float) -> None:
        self.hole_margin_mm = hole_margin_mm

    def recipe(self) -> dict[str, object]:
        """Settings that the painted voxels depend on."""
        return {"name": self.name, "hole_margin_mm": self.hole_margin_mm}

    @torch.no_grad()
    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint; see `Texture`."""
        painted = inverse_knee(job.q)
        removes = job.removes or (False,) * len(job)
        for row, (wish, seed, away) in enumerate(
            zip(job.appearance, job.noise_seeds, removes, strict=True)
        ):
            level, known = level_of(painted[row]), job.known[row]
            if bool(job.mask[row].any()):
                painted[row] = linear_of(_painted(level, job.mask[row], known, wish, seed))
            elif away:
                painted[row] = linear_of(painted_away(level, job.hole[row], known))
        return painted


def _painted(level: Tensor, mask: Tensor, known: Tensor, wish: Appearance, seed: int) -> Tensor:
    """One tumor: levels of one window, shape `(2, d, h, w)`."""
    generator = torch.Generator().manual_seed(seed)
    softness, gain, spread = torch.rand(3, generator=generator).tolist()
    texture = noise_texture(mask.shape, generator, level.device)
    rim = wish.rim or (_RIM if wish.category == "rim" else 1.0)
    radius_mm = (0.75 / torch.pi * float(mask.sum())) ** (1 / 3)
    place = Surroundings(mask, known, max(radius_mm if rim != 1 else 0.0, _BIAS_MM + 1))
    around_pre, around_post = place.mean_around(level).tolist()

    fine, broad = smoothed(level, GRAIN_SIGMA_MM), smoothed(level, _STRUCTURE_MM)
    structure = fine - broad
    displaced = (_SHOWS_THROUGH - 1) * structure
    pattern = _profile(place, rim) * _bias(level[1], place, known)
    pattern = pattern / pattern[place.label].mean()

    enhancement = wish.enhancement
    if enhancement is None:
        enhancement = _between(_GAIN, gain) * max(around_post, 0.05)
    wanted = max(around_post + enhancement, 0.02)
    variation = _between(_VARIATION, spread) if wish.heterogeneity is None else wish.heterogeneity
    plain = wanted * pattern + (level[1] - fine[1]) + _SHOWS_THROUGH * structure[1]
    inner = place.label & (place.depth >= 2) if bool((place.depth >= 3).any()) else place.label
    missing = variation**2 - float(plain[inner].var(unbiased=False)) / wanted**2
    most = _MOST_VARIATION if rim <= 1.2 else _MOST_IN_RIM
    share = min(max(missing, _LEAST_VARIATION**2) ** 0.5, most)
    clumps = texture - texture[place.label].mean()
    clumps = clumps / clumps[place.label].std(unbiased=False).clamp_min(1e-6)
    pattern = pattern * (1 + share * clumps).clamp_min(_DIMMEST)

    edge = gaussian(mask.to(torch.float32), min(_between(_EDGE_MM, softness), radius_mm / 4))

    def gain_of(strength: float, where: Tensor | EllipsisType) -> Tensor:
        change = strength * pattern[where] - broad[1][where]
        # Contrast agent adds signal and takes none.
        return displaced[1][where] + change.clamp_min(0)

    blend = (place.weight * edge)[place.label]
    before = level[1][place.label]
    strength = _solved(
        lambda s: float((before + blend * gain_of(s, place.label)).mean()), wanted, 4 * wanted + 1
    )
    post = level[1] + edge * gain_of(strength, ...)
    # Near zero in pre: a tenth of the local signal, and the same clumps.
    away = (wish.pre_contrast or 0.0) + around_pre - float(level[0][place.label].mean())
    limit = _PRE_LIMIT * max(around_pre, 0.0)
    shift = 0.0 if wish.pre_contrast is None else min(max(away, -limit), limit)
    pre = level[0] + edge * (displaced[0] + shift * pattern)
    return torch.stack([pre, post])


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def _profile(place: Surroundings, rim: float) -> Tensor:
    """1 in the periphery, 1 / rim in the core, shape `(d, h, w)`."""
    if rim == 1:
        return torch.ones_like(place.depth)
    deepest = place.depth.amax().clamp_min(1)
    start, whole = _CORE
    core = ((place.depth / deepest - start) / (whole - start)).clamp(0, 1)
    return 1 - core * (1 - 1 / rim)


def _bias(post: Tensor, place: Surroundings, known: Tensor) -> Tensor:
    """How the signal of the tissue around slopes across the tumor, shape `(d, h, w)`.

    A plane through the voxels within 16 mm: a coil's field varies no faster. 1 in the middle.
    """
    around = known & (place.depth < -1) & (place.depth > -_BIAS_MM)
    flat = torch.ones_like(post)
    if int(around.sum()) < 1000:
        return flat
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64, device=post.device) for n in post.shape]
    terms = [flat.double(), *torch.meshgrid(*axes, indexing="ij")]
    x = torch.stack([term[around] for term in terms])
    # A little of a ridge: tissue in one plane alone has no slope across it.
    ridge = 1e-3 * len(x[0]) * torch.eye(4, dtype=x.dtype, device=x.device)
    plane = torch.linalg.solve(x @ x.T + ridge, x @ post[around].double())
    local = sum(term * weight for term, weight in zip(terms, plane, strict=True))
    assert isinstance(local, Tensor)
    middle = local[place.label].mean().clamp_min(1e-3)
    return (local / middle).clamp(*_BIAS_LIMITS).to(post.dtype)


def _solved(mean_of: Callable[[float], float], wanted: float, most: float) -> float:
    """Where a function that never falls reaches a value, from 0 to `most`."""
    low, high = 0.0, most
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_of(middle) < wanted else (low, middle)
    return high
