"""A breast, tumors and a texture made of formulas, so that tests know what must come out.

Distances are in mm, and everything is made anew from a seed: no files, no trained weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from hypothesis import Phase, settings
from torch import Tensor
from torch.nn import functional as F

from geometric_tissue import geometric_tissue as find_tissue
from synbt_aug.contract import contract_of
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.host import Host
from synbt_aug.networks import VQVAE, Denoiser, DenoiserSettings, VQVAESettings
from synbt_aug.runner import Series, run
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob, TumorInpainter
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing, Synthesis
from synbt_aug.weights import Weights

MM: Spacing = (1.0, 1.0, 1.0)

#: Signal of the analytic breast, pre and post.
FAT, GLAND, CHEST = (100.0, 105.0), (120.0, 128.0), (110.0, 125.0)
NOISE = 4.0

#: The field of view along D, H and W, in mm: air at D = 0, the chest wall at its end.
EXTENT_MM = (56, 72, 72)

TINY_VQVAE = VQVAESettings(channels=(4, 8), residual_layers=1, codebook_size=64)
TINY_DENOISER = DenoiserSettings(channels=(16, 32, 32), norm_groups=8, head_channels=16)


def examples(count: int) -> settings:
    """Hypothesis with so many examples, the same in every run.

    A failure is told as it was met: to shrink it would paint hundreds of tumors.
    """
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def positions_mm(shape: tuple[int, ...], spacing: Spacing = MM) -> list[Tensor]:
    """Positions of the voxel centres along D, H and W, in mm from the corner of the grid."""
    axes = [(torch.arange(n) + 0.5) * mm for n, mm in zip(shape, spacing, strict=True)]
    return list(torch.meshgrid(*axes, indexing="ij"))


def ellipsoid(
    shape: tuple[int, ...],
    centre_mm: tuple[float, ...],
    radii_mm: tuple[float, ...],
    spacing: Spacing = MM,
) -> Tensor:
    """A filled ellipsoid, boolean; positions as in `positions_mm`."""
    parts = zip(positions_mm(shape, spacing), centre_mm, radii_mm, strict=True)
    return sum(((x - c) / r) ** 2 for x, c, r in parts) <= 1  # type: ignore[return-value]


def ball(
    side: int, radius: float, centre: tuple[float, ...] | None = None, spacing: Spacing = MM
) -> Tensor:
    """A ball in a cube of voxels, in its middle unless told otherwise."""
    middle = tuple(side * mm / 2 for mm in spacing)
    return ellipsoid((side,) * 3, centre or middle, (radius,) * 3, spacing)


def breast_image(
    spacing: Spacing = MM,
    seed: int = 0,
    extent_mm: tuple[int, ...] = EXTENT_MM,
    with_gland: bool = True,
) -> Tensor:
    """Half an ellipsoid of fat with gland inside on a slab of chest, noisy, in air."""
    d, h, w = (round(length / mm) for length, mm in zip(extent_mm, spacing, strict=True))
    shape = (d, h, w)
    depth, across, up = extent_mm
    wall = depth - 8
    fat = ellipsoid(
        shape, (wall, across / 2, up / 2), (wall - 4, across * 0.45, up * 0.45), spacing
    )
    gland = ellipsoid(shape, (wall - 8, across / 2, up / 2), (18, 14, 14), spacing)
    chest = positions_mm(shape, spacing)[0] > wall
    noise = torch.randn((2, *shape), generator=seeded(seed)) * NOISE
    channels = []
    for k in range(2):
        clean = torch.zeros(shape)
        for where, level in ((fat, FAT[k]), (gland, GLAND[k]), (chest, CHEST[k])):
            if with_gland or where is not gland:
                clean[where] = level
        channels.append((clean + noise[k]).abs())
    return torch.stack(channels)


@lru_cache(maxsize=32)
def breast(spacing: Spacing = MM, seed: int = 0) -> BreastVolume:
    """The analytic breast, float32."""
    return BreastVolume(breast_image(spacing, seed), spacing)


def _template(mask: Tensor, category: str) -> Template:
    rim = 1.8 if category == "rim" else 1.1
    return Template(mask, Appearance(0.8, 0.2, rim, 0.2, category), category)


@lru_cache(maxsize=1)
def small_bank() -> TumorBank:
    """Three balls, an ellipsoid, a rim and a ragged non-mass lesion."""
    clumps = [
        ((6, 6, 6), 5),
        ((12, 9, 7), 4),
        ((17, 14, 9), 4),
        ((10, 16, 12), 3),
        ((22, 9, 12), 3),
    ]
    ragged = torch.stack([ellipsoid((26, 20, 17), c, (r,) * 3) for c, r in clumps]).any(0)
    return TumorBank(
        (
            *(_template(ball(2 * r, r), "mass") for r in (4, 7, 10)),
            _template(ellipsoid((24, 16, 12), (12, 8, 6), (12, 8, 6)), "mass"),
            _template(ball(18, 9), "rim"),
            _template(ragged, "non-mass"),
        )
    )


@lru_cache(maxsize=1)
def voxel_bank() -> TumorBank:
    """The small bank with voxels: tissue at 0 and tumors at .3 in pre, 2.5 in post, with grain."""
    templates = []
    for k, template in enumerate(small_bank().templates):
        inside = F.pad(template.mask.to(torch.float32), (SIGNAL_MARGIN_MM,) * 6)
        grain = torch.randn((2, *inside.shape), generator=seeded(k)) * 0.05
        signal = inside * torch.tensor([0.3, 2.5]).view(2, 1, 1, 1) + grain
        templates.append(template._replace(signal=signal.half()))
    return TumorBank(tuple(templates))


class FlatTexture:
    """Adds a known contrast inside the mask, and grain that follows the noise seeds."""

    name = "flat"
    needs_signal = False
    replaces = False
    hole_margin_mm = 2.0

    def __init__(self, contrast: tuple[float, float] = (0.2, 1.5), grain: float = 0.02) -> None:
        self.contrast = contrast
        self.grain = grain
        self.batches: list[tuple[int, tuple[int, int, int]]] = []

    def __call__(self, job: PaintingJob) -> Tensor:
        self.batches.append((len(job), job.shape))
        contrast = torch.tensor(self.contrast).view(1, 2, 1, 1, 1)
        painted = inverse_knee(job.q) + contrast * job.mask.unsqueeze(1)
        return painted + self.grain * job.noise(2, job.shape)

    def recipe(self) -> dict[str, object]:
        return {"name": self.name, "contrast": list(self.contrast), "grain": self.grain}


@lru_cache(maxsize=1)
def tiny_weights() -> Weights:
    """Random networks far smaller than any that paint well, with every part of them at work."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        autoencoder, denoiser = VQVAE(TINY_VQVAE), Denoiser(TINY_DENOISER)
        for parameter in denoiser.parameters():
            # UNets start with a last layer of zeros, which would hide the noise seeds.
            if not bool(parameter.any()):
                torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(1, 2, 32, 32, 32, generator=seeded(1)) * 0.5
    with torch.no_grad():
        z = autoencoder.encode(x)
    autoencoder.codebook.initialise(z, generator=seeded(2))
    flat = z.movedim(1, 0).flatten(1)
    denoiser.latent_mean.copy_(flat.mean(1))
    denoiser.latent_std.copy_(flat.std(1))
    return Weights(
        "tiny", contract_of(autoencoder, denoiser), autoencoder, denoiser, small_bank(), "tiny"
    )


def painter(texture: FlatTexture | None = None) -> TumorSynthesizer:
    """A synthesizer whose paint is known."""
    return TumorSynthesizer(tiny_weights(), texture=texture or FlatTexture(), tissue=find_tissue)


class VisibleDiffusion(TumorInpainter):
    """The real texture with tiny random networks, brightened so that its tumors show."""

    def __call__(self, job: PaintingJob) -> Tensor:
        return super().__call__(job) + 3.0 * job.mask.unsqueeze(1)


def diffusion_painter(steps: int = 2, **settings: Any) -> TumorSynthesizer:
    """A synthesizer with the real texture and tiny random networks."""
    w = tiny_weights()
    texture = VisibleDiffusion(
        w.autoencoder, w.denoiser, w.schedule, hole_margin_mm=2.0, steps=steps, **settings
    )
    return TumorSynthesizer(w, texture=texture, tissue=find_tissue)


def syntumor_painter() -> TumorSynthesizer:
    """A synthesizer with the analytic texture."""
    return TumorSynthesizer(tiny_weights(), texture="syntumor", tissue=find_tissue)


def copy_paste_painter() -> TumorSynthesizer:
    """A synthesizer that pastes the tumors of the small bank."""
    return TumorSynthesizer(
        tiny_weights(), bank=voxel_bank(), texture="copy_paste", tissue=find_tissue
    )


def ground_of(host: Host) -> Ground:
    """A host as deciding sees it."""
    return Ground.of(host, find_tissue)


def paint_each(
    synthesizer: TumorSynthesizer,
    hosts: Sequence[Host],
    wishes: Sequence[Wish],
    seeds: Sequence[int],
) -> list[Synthesis]:
    """One thing into each of several hosts, together."""
    running = []
    for host, wish, seed in zip(hosts, wishes, seeds, strict=True):
        ground = Ground.of(host, synthesizer.segmenter)
        margin = synthesizer.texture.hole_margin_mm
        decided = decide_all(ground, [wish], synthesizer.bank, margin, seeded(seed), fringe=False)
        running.append(Series(host, decided, ground))
    run(synthesizer.painter, running, attempts=True)
    return [series.results()[0] for series in running]


def digest(result: Synthesis) -> str:
    """SHA-256 of all voxels."""
    content = [result.image.numpy(), result.tumor.numpy(), result.support.numpy()]
    return hashlib.sha256(b"".join(c.tobytes() for c in content)).hexdigest()


def with_image(volume: BreastVolume, image: Tensor) -> BreastVolume:
    return replace(volume, image=image)


def axis_orders() -> list[tuple[tuple[int, int, int], tuple[int, ...]]]:
    """All 48 ways to lay the axes: a permutation, and the axes to flip afterwards."""
    permutations = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    flips = [tuple(k for k in range(3) if code >> k & 1) for code in range(8)]
    return [(order, flip) for order in permutations for flip in flips]


def reorder(volume: Tensor, order: tuple[int, int, int], flip: tuple[int, ...]) -> Tensor:
    """The last three axes permuted, then flipped."""
    lead = volume.ndim - 3
    moved = volume.permute(*range(lead), *(lead + k for k in order))
    return moved.flip([lead + k for k in flip]).contiguous()
