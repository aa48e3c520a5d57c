"""What a painted tumor lacks of the wish, made good by smooth gains.

A network paints what it was asked for on average, and less of it the rarer the wish: levels come
out in order, but drawn towards the middle. Here the answer is measured as every tumor is
(`tumor.appearance`), as it will show after the blend, and four gains follow: of the contrast to
the shell, of rim against core, of the spread around the mean, and a shift in pre. Each is smooth
and limited, so that texture and shape stay the network's own; a wish out of their reach is met in
part. What is not asked for is left as it was painted.

Two gains more are for what is always asked for. The mask: a 4 mm latent cell makes a softer edge
than a scanner does, and the outer voxels of a label would not show. They are lifted towards the
tumor beneath them until the label shows as it does in real tumors; where that is not enough, the
tumor varies less than asked. And a tumor's texture: what the networks err by on the compressed
scale grows in bright places before the knee, so that painted tumors have bright spots that real
ones lack. They are calmed until the signal inside is no more skewed than in real tumors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synbt_aug.mask import blend_weight, gaussian, signed_distance_mm
from synbt_aug.texture.local import linear_of, smoothed
from synbt_aug.tumor.appearance import SHELL_MM, Appearance, has_core, rim_ratio, variation
from synbt_aug.tumor.visibility import measure_visibility

#: Told in recipes: whoever changes a number here, in `gains_towards`, or of the grain in
#: `diffusion.py` raises it, since the same recipe would paint other voxels.
CORRECTION = 3

#: Least and most of each gain: beyond, it would be the gains that paint.
CONTRAST_GAIN = (0.6, 1.8)
SPREAD_GAIN = (0.6, 2.3)
RIM_GAIN = (0.5, 2.0)

#: Most that pre is shifted, in reference ranges.
PRE_SHIFT = 0.2

#: Skewness of post inside a tumor beyond which bright spots are calmed: the median of phantom
#: tumors (half of them lie between -.01 and .39).
SKEWNESS = 0.15

#: Most that bright spots are calmed.
MOST_CALM = 0.8

#: Calm added for each unit of skewness too much, a round.
_CALM_STEP = 0.6

#: Most of the way that the edge is lifted to the level beneath it.
EDGE_LIFT = 0.8

#: Share of the label that is to show: phantom tumors have .94, and below .9 a tumor is refused.
_SHOWN = 0.94

#: Factor of the spread, a round, where the edge's lift does not suffice.
_CALMER = 0.85

#: The edge's lift ends this deep, in mm; the level beneath is smoothed by `_BENEATH_MM`.
_LIFT_MM = 1.5
_BENEATH_MM = 2.0

#: Width of the soft edge of the texture's gain, in mm.
_EDGE_MM = 0.7

#: Rounds of measuring and correcting: the gains act on each other. Spread widens a rim and a rim
#: spreads: undamped the two swing.
_DAMPING = 0.65
_ROUNDS = 4

#: A contrast below this, in reference ranges, has no size to be scaled.
_LEAST_CONTRAST = 0.05

#: Depth of the core's middle less that of the periphery's, over the deepest.
_RIM_DEPTH = 0.55


@dataclass(frozen=True)
class Gains:
    """How a tumor is changed.

    Args:
        contrast: Factor of the contrast to the shell, in post.
        rim: Factor of the periphery over the core, in post.
        spread: Factor of the deviations from the mean, in post.
        calm: How much deviations above the mean are compressed, in post: x of them, in units of
            their root mean square, become `(1 - exp(-calm x)) / calm`.
        shift: Added in pre, in reference ranges.
        lift: Share of the way that the edge is raised to the level beneath it.
    """

    contrast: float = 1.0
    rim: float = 1.0
    spread: float = 1.0
    calm: float = 0.0
    shift: float = 0.0
    lift: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What a tumor looks like, as in `Appearance`; any number, since networks may stray.

    Args:
        enhancement: Contrast to the shell in post.
        heterogeneity: Coefficient of variation.
        rim: Periphery over core; None without a core.
        pre_contrast: Contrast to the shell in pre.
        skewness: Of post inside, the outermost millimetre left out.
    """

    enhancement: float
    heterogeneity: float
    rim: float | None
    pre_contrast: float
    skewness: float


class Tumor:
    """One painted tumor, and how it shows after the blend under some gains.

    Args:
        level: What was painted, without grain, in levels (`texture.local`), `(2, n, n, n)`.
        grain: The scan's own, in levels, same shape.
        host: The window as it was, in levels, same shape.
        distance: Signed distance to the label's surface, in mm, `(n, n, n)`.
        known: Tissue, boolean, `(n, n, n)`.
    """

    def __init__(
        self, level: Tensor, grain: Tensor, host: Tensor, distance: Tensor, known: Tensor
    ) -> None:
        self.painted, self.grain, self.host, self.known = level, grain, host, known
        self.label, self.weight = distance <= 0, blend_weight(distance)
        radius_mm = (0.75 / math.pi * float(self.label.sum())) ** (1 / 3)
        away = signed_distance_mm(self.label, limit_mm=max(2 * radius_mm, 8.0))
        least, most = SHELL_MM
        shell = (away >= least) & (away <= most) & known
        if int(shell.sum()) < 20:
            shell = known & ~self.label
        if not bool(shell.any()):
            shell = ~self.label
        self.around = host[:, shell].mean(1)
        depth = -away
        self.depth = depth[self.label]
        self.deepest = float(self.depth.amax())
        self.height = (depth / max(self.deepest, 1.0)).clamp(0, 1)
        inner = depth >= min(_LIFT_MM, self.deepest)
        self.inner = inner
        self.rising = (1 - depth / _LIFT_MM).clamp(0, 1)
        self.interior = gaussian((depth >= 1).to(level.dtype), _EDGE_MM)

    def under(self, gains: Gains) -> Tensor:
        """What is painted under these gains, without grain, in levels, shape `(2, n, n, n)`.

        No gain needs an end of its own: the blend ends 1 mm beyond the label.
        """
        pre, post = self.painted
        around = float(self.around[1])
        post = around + gains.contrast * (post - around)
        post = post * torch.exp(math.log(gains.rim) / _RIM_DEPTH * (0.5 - self.height))
        middle = post[self.label].mean()
        post = post + self.interior * (gains.spread - 1) * (post - middle)
        if gains.calm > 0:
            above = (post - middle).clamp_min(0)
            unit = above[self.label].square().mean().sqrt().clamp_min(1e-6) / gains.calm
            calmer = -unit * torch.expm1(-above / unit)
            post = post + self.interior * (calmer - above)
        if gains.lift > 0:
            beneath = smoothed(post[None], _BENEATH_MM, self.inner)[0]
            post = post + gains.lift * self.rising * (beneath - post).clamp_min(0)
        return torch.stack([pre + gains.shift, post])

    def after_blend(self, gains: Gains) -> Tensor:
        """What the host will show, in levels, shape `(2, n, n, n)`."""
        return self.host + self.weight * (self.under(gains) + self.grain - self.host)

    def seen(self, gains: Gains) -> Seen:
        """What it looks like under these gains."""
        pre, post = self.after_blend(gains)[:, self.label]
        return Seen(
            enhancement=float(post.mean() - self.around[1]),
            heterogeneity=variation(post, self.depth),
            rim=rim_ratio(post, self.depth) if has_core(self.depth) else None,
            pre_contrast=float(pre.mean() - self.around[0]),
            skewness=skewness(post[self.depth >= 1.0]),
        )

    def shown(self, gains: Gains) -> float:
        """Share of the label that can be seen."""
        blended = linear_of(self.after_blend(gains))
        return measure_visibility(blended, self.label, self.known).share


def gains_towards(tumor: Tumor, wish: Appearance) -> Gains:
    """The gains that bring a tumor as near to a wish as their limits allow."""
    gains, calmest = Gains(), SPREAD_GAIN[1]
    for _ in range(_ROUNDS):
        seen = tumor.seen(gains)
        if wish.rim is not None and seen.rim is not None:
            factor = (wish.rim / seen.rim) ** _DAMPING
            gains = replace(gains, rim=_within(RIM_GAIN, gains.rim * factor))
        if wish.heterogeneity is not None and seen.heterogeneity > 0:
            factor = (wish.heterogeneity / seen.heterogeneity) ** _DAMPING
            spread = _within(SPREAD_GAIN, gains.spread * factor)
            gains = replace(gains, spread=max(min(spread, calmest), SPREAD_GAIN[0]))
        calm = gains.calm + _CALM_STEP * (seen.skewness - SKEWNESS)
        gains = replace(gains, calm=_within((0.0, MOST_CALM), calm))
        gains = _with_contrast(gains, seen, wish)
        if seen.enhancement > _LEAST_CONTRAST:
            missing = _SHOWN - tumor.shown(gains)
            if missing > 0 and gains.lift == EDGE_LIFT:
                calmest = _CALMER * gains.spread
                gains = replace(gains, spread=max(calmest, SPREAD_GAIN[0]))
            gains = replace(gains, lift=_within((0.0, EDGE_LIFT), gains.lift + 4 * missing))
    # Every other gain moves the mean a little: the contrast has the last word.
    return _with_contrast(gains, tumor.seen(gains), wish)


def _with_contrast(gains: Gains, seen: Seen, wish: Appearance) -> Gains:
    """The gains with those of the means, post and pre, renewed."""
    asked, now = wish.enhancement, seen.enhancement
    if asked is not None and min(asked, now) > _LEAST_CONTRAST:
        gains = replace(gains, contrast=_within(CONTRAST_GAIN, gains.contrast * asked / now))
    if wish.pre_contrast is not None:
        shift = gains.shift + wish.pre_contrast - seen.pre_contrast
        gains = replace(gains, shift=_within((-PRE_SHIFT, PRE_SHIFT), shift))
    return gains


def corrected(
    level: Tensor, grain: Tensor, host: Tensor, distance: Tensor, known: Tensor, wish: Appearance
) -> Tensor:
    """A painted tumor, brought nearer to the wish.

    Args:
        level: As for `Tumor`, like the next four.
        grain: The scan's own.
        host: The window as it was.
        distance: To the label's surface, in mm; it is not empty.
        known: Tissue.
        wish: What is None is left as it was painted.

    Returns:
        What is painted, without grain, in levels, shape `(2, n, n, n)`.
    """
    tumor = Tumor(level, grain, host, distance, known)
    return tumor.under(gains_towards(tumor, wish))


def skewness(values: Tensor) -> float:
    """Third standardized moment, any shape; 0 of fewer than 30 values."""
    if values.numel() < 30:
        return 0.0
    centred = values - values.mean()
    return float(centred.pow(3).mean() / centred.square().mean().clamp_min(1e-12) ** 1.5)


def _within(limits: tuple[float, float], value: float) -> float:
    return min(max(value, limits[0]), limits[1])
