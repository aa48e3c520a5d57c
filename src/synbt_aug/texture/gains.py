"""Bounded gains that bring a painted tumor closer to the requested appearance.

A network paints what it was asked for on average, and less of it the rarer the request: levels come
out in order, but drawn towards the middle. Here the answer is measured as every tumor is
(`tumor.appearance`), as it will show after the blend and with the scan's noise, and four gains
follow: of the contrast to the shell, of rim against core, of the spread around the mean, and a
shift in pre. Each is smooth and limited, so that texture and shape stay the network's own; a
request out of their reach is met in part. What is not asked for is left as it was painted.

Two gains more are for what is always asked for. The mask: a 4 mm latent cell makes a softer edge
than a scanner does, and the outer voxels of a label would not show. They are lifted towards the
tumor beneath them until the label shows as it does in real tumors; where that is not enough, the
tumor varies less than asked. And a tumor's texture: what the networks err by on the compressed
scale grows in bright places before the knee, so that painted tumors have bright spots, where real
ones have dark ones. In both images what varies over a millimetre and more is bent towards the
skewness of real tumors, or, where no heterogeneity is asked for, towards none.

Before contrast, where nothing shows the label, the surroundings reach further into the edge.

A batch at once, in a fixed number of rounds, without reading a number from a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.grid.mask import blend_weight, gaussian
from synbt_aug.texture.detail import detailed
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.visibility import share_shown
from synbt_aug.tumor.zones import CORE, INTERIOR, LABEL, PERIPHERY, SHELL, Zones

#: Version of the gains and of the noise, stored in recipes; raise it when a constant of this file,
#: of `texture/detail.py`, `tumor/zones.py` or `signal/grain.py` changes, what the networks see
#: (`in_steps`), or where what leaves a body runs (`tumor/fringe_courses.py`), or when
#: what is drawn by default changes so much that figures of both are not to be mixed.
CORRECTION = 22

#: Limits of each gain: beyond, it would be the gains that paint.
CONTRAST_GAIN = (0.6, 1.8)
SPREAD_GAIN = (0.6, 2.3)
RIM_GAIN = (0.5, 2.0)

#: Maximum shift of pre, in reference ranges.
PRE_SHIFT = 0.2

#: Skewness inside a tumor, in pre and post, that levels are bent towards where a heterogeneity is
#: asked for; 0 elsewhere. Patients' slices have -.74 and -.42 in the median; the bend is bounded,
#: and most tumors come only part of the way.
SKEWNESS = -0.8

#: What is bent: what a blur of so many mm leaves, up to so many SD. Bent without a blur, the finest
#: detail becomes black pepper.
COARSE_MM, MOST_SD = 1.0, 3.0

#: Maximum bend, and what is added for each unit of skewness too much, a round.
MAX_BEND = 0.6
_BEND_STEP = 0.25

#: Maximum share of the way that the edge is lifted to the level beneath it.
EDGE_LIFT = 0.8

#: Share of the surroundings in the surface of a tumor before contrast, where fat reaches into it:
#: in patients' slices the outer millimetre has .82 of the level inside, the next one .93.
PRE_EDGE = 0.3

#: Share of the label that is to show: phantom tumors have .94, and below .9 a tumor is refused.
_SHOWN = 0.94

#: Factor of the spread, a round, where the edge's lift does not suffice.
_CALMER = 0.85

#: Rounds of measuring and correcting: the gains act on each other. Spread widens a rim and a rim
#: spreads: undamped the two swing.
_ROUNDS = 3
_DAMPING = 0.78

#: A contrast below this, in reference ranges, has no size to be scaled.
_MIN_CONTRAST = 0.05

#: A wish is raised for what a label's ragged or soft edge takes from it: down to this share.
_THINNEST = 0.6

#: Depth of the core's middle less that of the periphery's, over the deepest.
_RIM_DEPTH = 0.55


@dataclass(frozen=True)
class Request:
    """What is asked of B tumors.

    Args:
        values: Enhancement, heterogeneity, rim and pre-contrast, shape `(4, B, 1)`.
        asked: Which of them are, boolean, same shape.
    """

    values: Tensor
    asked: Tensor

    @classmethod
    def of(cls, appearances: Sequence[Appearance]) -> Request:
        """Read appearances, on the CPU; what is None is not asked for."""
        rows = [(a.enhancement, a.heterogeneity, a.rim, a.pre_contrast) for a in appearances]
        asked = torch.tensor([[v is not None for v in row] for row in rows])
        values = torch.tensor([[1.0 if v is None else v for v in row] for row in rows])
        return cls(values.T[..., None], asked.T[..., None])

    def in_label(self, distance: Tensor, outline: Tensor) -> Request:
        """The same of bodies, so that it is met in labels, in which less of them shows.

        Args:
            distance: Signed distance to the surface of bodies, in mm, `(B, d, h, w)`.
            outline: The same of what will be labelled; empty: of the bodies themselves.
        """
        if not outline.numel():
            return self
        # Rounded alike: in a batch with others, a shape without an outline has its body's.
        label, body = (_mean_weight(d.to(outline.dtype).float()) for d in (outline, distance))
        share = (label / body).nan_to_num(1.0).clamp(_THINNEST, 1.0)[:, None]
        enhancement, heterogeneity, rim, pre = self.values.unbind(0)
        # The periphery loses most of it, but keeps what its host shows.
        values = [enhancement / share, heterogeneity, rim / share.sqrt(), pre / share]
        return Request(torch.stack(values), self.asked)


def _mean_weight(distance: Tensor) -> Tensor:
    """Of the blend with the host, inside shapes, `(B,)`; nan where there is no inside."""
    inside = (distance <= 0).to(torch.float32)
    return (blend_weight(distance) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))


@dataclass(frozen=True)
class Seen:
    """What B tumors look like, shape `(B, 1)` each; as in `Appearance`.

    With the skewness of pre and post, shape `(B, 2)`.
    """

    enhancement: Tensor
    heterogeneity: Tensor
    rim: Tensor
    pre_contrast: Tensor
    skewness: Tensor


@dataclass
class Gains:
    """How B tumors are changed, shape `(B, 1)` each.

    Args:
        contrast: Factor of the contrast to the shell, in post.
        rim: Factor of the periphery over the core, in post.
        spread: Factor of the deviations from the mean, in post.
        bend: How much deviations from the mean are pressed above and stretched below it, in pre
            and post, shape `(B, 2)`: x SD of what varies coarsely become
            `(1 - exp(-bend x)) / bend`.
        shift: Added in pre, in reference ranges.
        lift: Share of the way that the edge is raised to the level beneath it.
    """

    contrast: Tensor
    rim: Tensor
    spread: Tensor
    bend: Tensor
    shift: Tensor
    lift: Tensor

    @classmethod
    def none(cls, like: Tensor) -> Gains:
        """Gains that change nothing; `like` has shape `(B, 1)`."""
        one, zero = torch.ones_like(like), torch.zeros_like(like)
        return cls(one, one, one, zero.expand(-1, 2), zero, zero)


class PaintedTumors:
    """B painted tumors, and how they show after the blend under some gains.

    Args:
        painted: Without noise, in reference ranges above `low`, shape `(B, 2, N)`.
        host: The windows as they were, likewise.
        noise_sd: Of the scan, in reference ranges, shape `(B, 2)`.
        zones: Of the shapes.
    """

    def __init__(self, painted: Tensor, host: Tensor, noise_sd: Tensor, zones: Zones) -> None:
        self.painted, self.host, self.zones = painted, host, zones
        self.noise_power = noise_sd.square()
        self.around = (host * zones.means[:, SHELL, None]).sum(-1)  # (B, 2)
        self.outside = zones.mean(SHELL, zones.smoothed(host[:, 1]))
        # Near the tumor's own level, around which float32 holds its moments.
        self.level = zones.mean(INTERIOR, painted[:, 1])
        shaped = painted.unflatten(2, zones.shape)
        coarse = gaussian(shaped, COARSE_MM).flatten(2).unbind(1)
        apart = torch.stack([level - zones.mean(INTERIOR, level) for level in coarse], 1)
        power = zones.all_means(apart.square().mT)[:, INTERIOR, :, None]
        unit = power.sqrt().clamp_min(1e-6)  # (B, 2, 1)
        # What varies coarsely, in SD, and how much of a bend of it shows.
        self.coarse = (apart / unit).clamp(-MOST_SD, MOST_SD)
        self._bent = unit * zones.soft[:, None]
        # The rim's gain is raised to this: positive in the periphery, negative in the core.
        self._outward = (0.5 - zones.height) / _RIM_DEPTH

    def under(self, gains: Gains) -> Tensor:
        """What is painted under these gains, without noise, shape `(B, 2, N)`.

        No gain needs an end of its own: the blend ends 1 mm beyond the label.
        """
        zones, around = self.zones, self.around[:, 1:]
        bend = gains.bend[..., None].clamp_min(1e-3)
        too_much = self.coarse + torch.expm1(-bend * self.coarse) / bend
        pre, post = torch.addcmul(self.painted, self._bent, too_much, value=-1).unbind(1)
        post = torch.lerp(around, post, gains.contrast) * gains.rim**self._outward
        middle = zones.mean(LABEL, post)
        post = torch.addcmul(post, zones.soft * (gains.spread - 1), post - middle)
        lifted = (zones.beneath(post) - post).clamp_min(0)
        post = torch.addcmul(post, gains.lift * zones.rising, lifted)
        pre = torch.lerp(pre + gains.shift, self.around[:, :1], PRE_EDGE * zones.thinned)
        # Nothing takes up less than nothing: a core no darker than it was before contrast.
        post = torch.addcmul(post, zones.soft, (pre - post).clamp_min(0))
        return torch.stack([pre, post], 1)

    def blended(self, gains: Gains) -> Tensor:
        """What the host will show, without noise, shape `(B, 2, N)`."""
        return torch.lerp(self.host, self.under(gains), self.zones.weight[:, None])

    def seen(self, blended: Tensor) -> Seen:
        """What tumors look like that show so, noise included."""
        zones = self.zones
        pre, post = blended[:, 0] - self.around[:, :1], blended[:, 1] - self.level
        powers = [level**k for k in (1, 2, 3) for level in (pre, post)]
        moments = zones.all_means(torch.stack(powers, -1)).unflatten(2, (3, 2))  # (B, zones, 3, 2)
        bright = (moments[:, :, 0, 1] + self.level).clamp_min(0.05)
        first, second, third = moments[:, INTERIOR].unbind(1)
        squared = first.square()
        variance = (second - squared).clamp_min(1e-12)
        skewed = third - first * (3 * variance + squared)
        # Noise adds to the variance, and, being symmetric, nothing to the third moment.
        variance = variance + self.noise_power
        return Seen(
            enhancement=moments[:, LABEL, 0, 1:] + (self.level - self.around[:, 1:]),
            heterogeneity=variance[:, 1:].sqrt() / bright[:, INTERIOR, None],
            rim=(bright[:, PERIPHERY, None] / bright[:, CORE, None]).clamp(0.05, 20.0),
            pre_contrast=moments[:, LABEL, 0, :1],
            skewness=torch.where(zones.has_interior, skewed / variance.pow(1.5), 0.0),
        )


def gains_towards(tumors: PaintedTumors, request: Request) -> Gains:
    """The gains that bring tumors as near to a request as their limits allow."""
    zones = tumors.zones
    _, spread_asked, rim_asked, _ = request.asked
    _, heterogeneity, rim, _ = request.values
    gains = Gains.none(tumors.outside)
    calmest = torch.full_like(gains.spread, SPREAD_GAIN[1])
    skewness = SKEWNESS * spread_asked
    for left in reversed(range(_ROUNDS)):
        blended = tumors.blended(gains)
        share = share_shown(blended[:, 1], zones, tumors.outside)
        seen, missing = tumors.seen(blended), _SHOWN - share
        new = (gains.rim * (rim / seen.rim) ** _DAMPING).clamp(*RIM_GAIN)
        gains.rim = torch.where(rim_asked & zones.has_core, new, gains.rim)
        # The last round is not damped: little moves after it, and a new bend would.
        factor = (heterogeneity / seen.heterogeneity.clamp_min(1e-6)) ** (_DAMPING if left else 1)
        new = (gains.spread * factor).clamp(*SPREAD_GAIN)
        new = torch.minimum(new, calmest).clamp_min(SPREAD_GAIN[0])
        gains.spread = torch.where(spread_asked, new, gains.spread)
        if left:
            bend = (gains.bend + _BEND_STEP * (seen.skewness - skewness)).clamp(0, MAX_BEND)
            gains.bend = torch.where(zones.has_interior, bend, gains.bend)
        _renew_means(gains, seen, request)
        bright = seen.enhancement > _MIN_CONTRAST
        stuck = bright & (missing > 0) & (gains.lift >= EDGE_LIFT)
        calmest = torch.where(stuck, _CALMER * gains.spread, calmest)
        gains.spread = torch.where(stuck, calmest.clamp_min(SPREAD_GAIN[0]), gains.spread)
        lifted = (gains.lift + 4 * missing).clamp(0, EDGE_LIFT)
        gains.lift = torch.where(bright, lifted, gains.lift)
    # Every other gain moves the mean a little: the contrast has the last word.
    _renew_means(gains, tumors.seen(tumors.blended(gains)), request)
    return gains


def _renew_means(gains: Gains, seen: Seen, request: Request) -> None:
    """Renew the gains of the means, post and pre."""
    asked, _, _, pre_asked = request.asked
    enhancement, _, _, pre_contrast = request.values
    scaled = gains.contrast * enhancement / seen.enhancement.clamp_min(1e-6)
    on = asked & (torch.minimum(enhancement, seen.enhancement) > _MIN_CONTRAST)
    gains.contrast = torch.where(on, scaled.clamp(*CONTRAST_GAIN), gains.contrast)
    shift = (gains.shift + pre_contrast - seen.pre_contrast).clamp(-PRE_SHIFT, PRE_SHIFT)
    gains.shift = torch.where(pre_asked, shift, gains.shift)


def corrected(
    painted: Tensor,
    host: Tensor,
    noise_sd: Tensor,
    zones: Zones,
    request: Request,
    starts: Tensor | None = None,
) -> Tensor:
    """Painted tumors, brought nearer to what was asked.

    Args:
        painted: Without noise, in reference ranges above `low`, shape `(B, 2, d, h, w)`.
        host: The windows as they were, likewise.
        noise_sd: Of the scan, in reference ranges, shape `(B, 2)`.
        zones: Of the shapes.
        request: What is asked of them; what is not is left as it was painted.
        starts: Of the detail's noise, as for `detailed`; None: none is to be added. Rows that no
            heterogeneity is asked of get none.

    Returns:
        Like `painted`.
    """
    if starts is not None:
        heterogeneity = torch.where(request.asked[1], request.values[1], 0.0)
        painted = detailed(painted, heterogeneity, starts)
    tumors = PaintedTumors(painted.flatten(2), host.flatten(2), noise_sd, zones)
    gains = gains_towards(tumors, request)
    return tumors.under(gains).view_as(painted)
