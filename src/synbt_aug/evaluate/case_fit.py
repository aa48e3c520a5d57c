"""How one scan comes through the networks: rebuilt by the codec, its own tumor painted again.

Figures only, in the units of the networks. Whether they are good is `fit.py`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.decide.decide import decide
from synbt_aug.decide.ground import Ground
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box, dilate_mm, gaussian
from synbt_aug.grid.window import Window, cube, cut, cut_mask, shape_for_mask, window_around
from synbt_aug.host import Host
from synbt_aug.networks.precision import autocast
from synbt_aug.paint.cut import Cut
from synbt_aug.signal.hole import tissue
from synbt_aug.signal.intensity import IntensityReference, knee, to_linear
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.segments import Segments
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.tumor.template import SMALLEST_VOXELS
from synbt_aug.tumor.visibility import measure_visibility
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing
from synbt_aug.weights import Weights
from synbt_aug.write import paint_and_write

#: Of the mapped signal: [-1, 1] is ordinary tissue.
RANGE = 2.0

Pair = tuple[float, float]

#: What is left out around tumors where ordinary tissue is measured, in mm.
_AWAY_MM = 3.0

#: Width of the Gaussian that tells grain from structure, in mm, and the edge left out, in mm.
_GRAIN_SIGMA = 0.8
_EDGE_MM = 2.0

#: Side of the part of a window that codec and pooling are compared on, in mm.
_VIEW_MM = 64

#: Mean difference of mapped pre and post below which they are one scan.
_SAME = 1e-3

#: Fewer voxels give no median worth having; smaller mean squares are rounding.
_FEWEST_VOXELS = 64
_LEAST_ERROR = 1e-8


@dataclass(frozen=True)
class FitCase:
    """A case of the data that the weights are to fit.

    Args:
        name: The case's id.
        volume: The scan; `volume.tumor` is its real tumor, or None where nobody drew one.
        reference: Intensity references, where the volume is only a part of the case.
    """

    name: str
    volume: BreastVolume
    reference: IntensityReference | None = None


@dataclass(frozen=True)
class Rebuilt:
    """Tissue after encoder, codebook and decoder. Pairs are (pre, post).

    Args:
        codec_db: PSNR of the mapped signal for a range of 2.
        gain_db: The same less that of average pooling over 2^3 voxels and linear interpolation.
        explained: Share of the signal's variance that the codec keeps; 0 or less: nothing.
    """

    codec_db: Pair
    gain_db: Pair
    explained: Pair


@dataclass(frozen=True)
class Look:
    """A tumor as it is, or as it was painted.

    Args:
        appearance: Measured, every attribute.
        enhancement: Of the appearance.
        pre_contrast: Of the appearance.
        visible: Share of the label that shows in post.
        contrast_to_noise: In post.
        grain: Robust SD of what varies within .8 mm, 2 mm and deeper inside, before the knee, of
            (pre, post).
    """

    appearance: Appearance
    enhancement: float
    pre_contrast: float
    visible: float
    contrast_to_noise: float
    grain: Pair

    @classmethod
    def at(cls, linear: Tensor, distance: Tensor, around: Tensor) -> Look:
        """Measure a tumor in its window.

        Args:
            linear: The window before the knee, shape `(2, n, n, n)` at 1 mm.
            distance: Signed distance to the tumor's surface, in mm, shape `(n, n, n)`.
            around: Tissue that counts as surroundings, boolean, shape `(n, n, n)`.
        """
        label = distance <= 0
        appearance = measure_appearance(linear, label, around=around)
        seen = measure_visibility(linear, label, around)
        assert appearance.enhancement is not None and appearance.pre_contrast is not None
        # The edge is no grain; a tumor without an inside has nothing else.
        deep = distance <= -_EDGE_MM
        fine = linear - gaussian(linear, _GRAIN_SIGMA)
        inside = fine[:, deep if int(deep.sum()) >= 30 else label]
        middle = inside.median(dim=1, keepdim=True).values
        return cls(
            appearance,
            appearance.enhancement,
            appearance.pre_contrast,
            seen.share,
            seen.contrast_to_noise,
            _pair(1.4826 * (inside - middle).abs().median(dim=1).values),
        )

    def grain_over(self, real: Look) -> Pair:
        """This grain over that of another, (pre, post); a scan without grain counts as 1e-3."""
        pre, post = (a / max(b, 1e-3) for a, b in zip(self.grain, real.grain, strict=True))
        return pre, post


@dataclass(frozen=True)
class TumorFit:
    """A case's real tumor.

    Args:
        rebuilt: Its voxels after the codec.
        real: What it looks like.
        painted: What the tumor painted in its place looks like, asked for its shape and
            appearance.
    """

    rebuilt: Rebuilt
    real: Look
    painted: Look


@dataclass(frozen=True)
class CaseFit:
    """What was measured of one case.

    Args:
        name: The case's id.
        tissue: Ordinary tissue after the codec.
        same_scan: Whether pre and post are one and the same scan.
        tumor: The largest real tumor; None where there is none that a window holds.
    """

    name: str
    tissue: Rebuilt
    same_scan: bool
    tumor: TumorFit | None = None


def measure_case(
    case: FitCase,
    synthesizer: TumorSynthesizer,
    generator: torch.Generator,
) -> CaseFit:
    """Rebuild a case's tissue and tumor, and paint its tumor again.

    Args:
        case: The case.
        synthesizer: With the weights.
        generator: On the CPU, for the place and the noise.

    Raises:
        SynBTError: If the case has no signal, or neither tissue nor a tumor.
    """
    host = Host.of(case.volume, case.reference)
    over = _over_the_tumor(host, synthesizer, generator)
    windows = [
        w for w in (_ordinary_window(host, synthesizer.segmenter, generator),) if w is not None
    ]
    if over is not None:
        windows.append(over.plans[0].recipe.window)
    if not windows:
        raise SynBTError("no breast tissue was found, and no tumor mask that a window holds")
    views = [_View.of(host, window, synthesizer) for window in windows]
    ordinary = [view.ordinary for view in views]
    same = all(bool((v.q[0] - v.q[1]).abs().mean() < _SAME) for v in views)
    tissue_fit = _compare(views, ordinary)
    if over is None:
        return CaseFit(case.name, tissue_fit, same)
    distance, view = over.label.distance[0], views[-1]
    rebuilt = _compare([view], [view.middle((distance <= 0) & over.inside[0])])
    around = over.known[0] & (distance > 0)
    if case.volume.tumor is not None:
        around &= ~cut_mask(case.volume.tumor, over.plans[0].recipe.window)
    real = Look.at(over.linear[0], distance, around)
    linear = _paint(synthesizer, over, real.appearance)
    painted = Look.at(linear, distance, around)
    return CaseFit(case.name, tissue_fit, same, TumorFit(rebuilt, real, painted))


def largest_lesion(tumor: Tensor, spacing: Spacing, margin_mm: float) -> Tensor | None:
    """The largest lesion of 6 mm or more that a window holds; windows of up to 96^3 mm first.

    Args:
        tumor: Boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        margin_mm: Dilation of the hole.

    Returns:
        Boolean, same shape; None where there is no such lesion.
    """
    if not bool(tumor.any()):
        return None
    box = tuple(slice(start, end) for start, end in bounding_box(tumor))
    inside = tumor[box].cpu().numpy()
    # Clumps that all but touch are one lesion.
    touching = np.ones((3, 3, 3))
    joined, _ = ndimage.label(ndimage.binary_dilation(inside, touching), touching)
    parts = np.where(inside, joined, 0)
    best: tuple[int, float, int] | None = None
    for number, part in enumerate(ndimage.find_objects(parts), 1):
        volume_mm3 = int((parts[part] == number).sum()) * math.prod(spacing)
        extents = [(s.stop - s.start) * mm for s, mm in zip(part, spacing, strict=True)]
        shape = shape_for_mask(extents, margin_mm)
        if volume_mm3 < SMALLEST_VOXELS or shape is None:
            continue
        # The time of a window grows with its volume: up to 96^3 mm is cheap enough.
        rank = (-max(math.prod(shape), 96**3), volume_mm3, number)
        best = rank if best is None else max(best, rank)
    if best is None:
        return None
    lesion = torch.zeros_like(tumor)
    lesion[box] = torch.from_numpy(parts == best[2]).to(tumor.device)
    return lesion


def _over_the_tumor(
    host: Host, synthesizer: TumorSynthesizer, generator: torch.Generator
) -> Cut | None:
    """The window of the real tumor; None where there is none that a window holds."""
    volume, margin = host.volume, synthesizer.texture.hole_margin_mm
    if volume.tumor is None:
        return None
    lesion = largest_lesion(volume.tumor, volume.spacing, margin)
    if lesion is None:
        return None
    # In training, too, the hole lies over the real tumor: it alone stops being blocked.
    free = Host(replace(volume, tumor=volume.tumor & ~lesion), host.reference)
    wish, fringe = Wish(mask=lesion), synthesizer.texture.replaces
    plan = decide(Ground.of(free), wish, synthesizer.bank, margin, generator, fringe=fringe)
    return None if isinstance(plan, str) else Cut.of([free], [plan])


@dataclass(frozen=True)
class _View:
    """The middle 64 mm of a window, before and after codec and pooling.

    Args:
        q: Mapped signal, shape `(2, n, n, n)`.
        codec: Through the codec.
        pooled: Through 2x pooling.
        ordinary: Tissue away from tumors, boolean, shape `(n, n, n)`.
    """

    q: Tensor
    codec: Tensor
    pooled: Tensor
    ordinary: Tensor

    @classmethod
    def of(cls, host: Host, window: Window, synthesizer: TumorSynthesizer) -> _View:
        volume = host.volume
        nothing = torch.zeros(volume.shape, dtype=torch.bool, device=volume.image.device)
        valid = ~nothing if volume.valid is None else volume.valid
        q = knee(to_linear(cut(volume.image, window), host.reference))
        ordinary = tissue(q[None])[0] & cut_mask(valid, window)
        if volume.tumor is not None:
            ordinary &= ~dilate_mm(cut_mask(volume.tumor, window), _AWAY_MM)
        q = cls.middle(q)
        return cls(q, rebuild(synthesizer, q), pool(q), cls.middle(ordinary))

    @staticmethod
    def middle(volume: Tensor) -> Tensor:
        """The middle of a window, or its mask, shape `(..., n, n, n)`: 64 mm are cheap."""
        starts = [max(n - _VIEW_MM, 0) // 2 for n in volume.shape[-3:]]
        d, h, w = (slice(start, start + _VIEW_MM) for start in starts)
        return volume[..., d, h, w]


def _ordinary_window(host: Host, segmenter: Segments, generator: torch.Generator) -> Window | None:
    """The smallest window around a place where a tumor might be painted."""
    sites = host.sites_by(segmenter)
    weight = sites.weight.flatten().double()
    if not bool((weight > 0).any()):
        return None
    chosen = int(torch.multinomial(weight, 1, generator=generator))
    index = np.unravel_index(chosen, tuple(sites.weight.shape))
    d, h, w = (f * (float(i) + 0.5) for i, f in zip(index, sites.factors, strict=True))
    return window_around((d, h, w), cube(_VIEW_MM), host.volume.spacing)


@torch.no_grad()
def rebuild(synthesizer: TumorSynthesizer, q: Tensor) -> Tensor:
    """Through encoder, codebook and decoder in one pass, as painting does, float32.

    Args:
        synthesizer: With the weights.
        q: Mapped signal at 1 mm, shape `(2, n, n, n)`, sides that divide by 4.
    """
    codec = getattr(synthesizer.texture, "autoencoder", None)
    if codec is None and isinstance(synthesizer.weights, Weights):
        codec = synthesizer.weights.autoencoder
    if codec is None:
        raise SynBTError(
            f"How weights fit data is measured with their networks, which the texture "
            f"{synthesizer.texture.name!r} does without. Make the synthesizer with "
            f'texture="diffusion".'
        )
    here = q[None].to(next(codec.parameters()).device)
    # In the precision that it paints in: its weights may be stored in that.
    with autocast(getattr(synthesizer.texture, "precision", "fp32"), here.device):
        codes, _ = codec.quantize(codec.encode(here).float())
        return codec.decode(codes)[0].to(q)


def pool(q: Tensor) -> Tensor:
    """Average pooling over 2^3 voxels, and linear interpolation back; shape kept."""
    small = F.avg_pool3d(q[None], 2)
    return F.interpolate(small, size=q.shape[1:], mode="trilinear", align_corners=False)[0]


def _compare(views: Sequence[_View], where: Sequence[Tensor]) -> Rebuilt:
    """Over all voxels of several views where it counts."""

    def voxels(of: Sequence[Tensor]) -> Tensor:
        return torch.cat([x[:, mask] for x, mask in zip(of, where, strict=True)], dim=1)

    q = voxels([view.q for view in views])
    if q.shape[1] < _FEWEST_VOXELS:
        raise SynBTError(f"only {q.shape[1]} voxels of tissue to compare")
    error = (voxels([view.codec for view in views]) - q).square().mean(1)
    pooled = (voxels([view.pooled for view in views]) - q).square().mean(1)
    gain = 10 * torch.log10(pooled.clamp_min(_LEAST_ERROR) / error.clamp_min(_LEAST_ERROR))
    return Rebuilt(
        _pair(10 * torch.log10(RANGE**2 / error.clamp_min(_LEAST_ERROR))),
        _pair(gain),
        _pair(1 - error / q.var(1, unbiased=False).clamp_min(_LEAST_ERROR)),
    )


def _pair(values: Tensor) -> tuple[float, float]:
    pre, post = values.tolist()
    return pre, post


def _paint(synthesizer: TumorSynthesizer, over: Cut, wish: Appearance) -> Tensor:
    """One attempt, written as in use: the window before the knee, shape `(2, d, h, w)`."""
    host, plan = over.hosts[0], over.plans[0]
    one = paint_and_write(over.asking_for(wish), synthesizer.texture, synthesizer.device)
    return to_linear(cut(one.result(0).image, plan.recipe.window), host.reference)
