"""Does the label tell the truth? Whether a painted tumor can be seen where it is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.grid.mask import gaussian_mean, signed_distance_mm
from synbt_aug.signal.intensity import ranked_value
from synbt_aug.support.device import sent
from synbt_aug.support.wording import shown_beside
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.zones import LABEL, OUTER, SHELL, Zones, blur_matrices

#: Least share of the label that must be visible.
VISIBLE_SHARE = 0.9

#: Least contrast of the tumor to its shell, in SDs of the noise, unless a lower one was asked.
CONTRAST_TO_NOISE = 1.5

#: Least share of the label whose voxels must hold another value than before: where a scan's type
#: saturates or rounds, what was painted may not be there.
CHANGED_SHARE = 0.5

#: What varies within this many mm is grain.
_GRAIN_SIGMA = 0.8

#: Enclosed voxels count as shown in proportion to how far the rim around them shows beyond this.
_CLOSED_FROM = 0.85


@dataclass(frozen=True)
class Visibility:
    """How well a tumor shows in the post-contrast scan.

    Args:
        share: Of the label's voxels, those beyond the midpoint of tumor and shell, or enclosed
            by such voxels, as a necrotic core is.
        contrast: Mean of the tumor less that of the shell, in the units of `linear`.
        contrast_to_noise: Its size over the SD of the noise around.
        changed: Of the label's voxels, those that hold another value than before.
    """

    share: float
    contrast: float
    contrast_to_noise: float
    changed: float = 1.0

    def complaint(self, contrast_was_asked: bool) -> str | None:
        """Why the label may not stand; None where it may."""
        if self.convinces(contrast_was_asked):
            return None
        if self.changed < CHANGED_SHARE:
            changed = shown_beside(self.changed, CHANGED_SHARE, percent=True)
            return (
                f"the label did not change: {changed} of its voxels hold another value than "
                f"before (at least {CHANGED_SHARE:.0%}); the image's type saturates or rounds"
            )
        share = shown_beside(self.share, VISIBLE_SHARE, percent=True)
        contrast = shown_beside(self.contrast_to_noise, CONTRAST_TO_NOISE, places=1)
        return (
            f"not visible enough: {share} of the label shows (at least {VISIBLE_SHARE:.0%}), "
            f"contrast {contrast} times the noise (at least {CONTRAST_TO_NOISE:g})"
        )

    def convinces(self, contrast_was_asked: bool) -> bool:
        """Whether the label may stand."""
        found = (self.share, self.contrast_to_noise, self.changed, contrast_was_asked)
        return bool(convincing(*(torch.tensor(one) for one in found)))


def convincing(share: Tensor, contrast_to_noise: Tensor, changed: Tensor, asked: Tensor) -> Tensor:
    """Whether labels may stand, from tensors of one shape, as the fields of `Visibility`.

    Args:
        share: As there.
        contrast_to_noise: As there.
        changed: As there.
        asked: Whether the contrast was asked for, boolean: then a faint tumor may stand.
    """
    # Measured in float32, where nine voxels of ten are a hair less than .9.
    shows = (contrast_to_noise >= CONTRAST_TO_NOISE) & (share >= VISIBLE_SHARE - 1e-5)
    faint = (contrast_to_noise < CONTRAST_TO_NOISE) & asked
    return (changed >= CHANGED_SHARE) & (shows | faint)


def blur_sigma_mm(radius_mm: float) -> float:
    """Smoothing by which a tumor of this radius is judged.

    As the eye does, over about a millimetre: single voxels are noise. Smoothing by sigma pulls a
    ball's edge in by sigma^2 / radius: at a tenth of the radius it takes 3 % of the volume, more
    would hide small tumors.
    """
    return min(_GRAIN_SIGMA, radius_mm / 10)


def zones_of(shape: LabelShape, known: Tensor) -> Zones:
    """Zones of label shapes, smoothed as they are judged; `known` is tissue, `(B, d, h, w)`."""
    d, h, w = shape.distance.shape[1:]
    blur = [sent(m, known.device) for m in blurs_of(shape.radius_mm, (d, h, w))]
    return Zones.of(shape.distance, shape.depth, known, blur)


def blurs_of(
    radius_mm: Sequence[float], shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Smoothing by which tumors of these radii are judged, for `Zones.of`; on the CPU."""
    return blur_matrices([blur_sigma_mm(radius) for radius in radius_mm], shape)


def share_shown(post: Tensor, zones: Zones, outside: Tensor | None = None) -> Tensor:
    """Share of each label that can be seen.

    Args:
        post: Post-contrast signal of B windows, shape `(B, N)`.
        zones: Of their tumors.
        outside: Mean of the smoothed shell, shape `(B, 1)`; None measures it.

    Returns:
        Shape `(B, 1)`.
    """
    return _share_beyond(zones.smoothed(post), zones, outside)


def _share_beyond(smooth: Tensor, zones: Zones, outside: Tensor | None = None) -> Tensor:
    """As `share_shown`, of the smoothed signal."""
    inside = zones.mean(LABEL, smooth)
    outside = zones.mean(SHELL, smooth) if outside is None else outside
    middle = torch.lerp(inside, outside, 0.5)
    # Bright or dark, a tumor shows where it lies on its own side of the middle.
    shows = ((smooth > middle) == (inside > outside)).to(smooth.dtype)
    # A necrotic core is not brighter than what lies around, and is enclosed by what is.
    closed = (zones.mean(OUTER, shows) - _CLOSED_FROM) / (1 - _CLOSED_FROM)
    return zones.mean(LABEL, torch.maximum(shows, zones.enclosed * closed.clamp(0, 1)))


def visibility_of(post: Tensor, zones: Zones) -> Tensor:
    """How well B tumors show, without reading a number from a tensor.

    Args:
        post: Post-contrast signal, shape `(B, N)`.
        zones: Of their tumors.

    Returns:
        Share, contrast and contrast to noise, as in `Visibility`, shape `(B, 3)`.
    """
    # From the shell's level: float32 would coarsen a small contrast on a high one.
    post = post - zones.mean(SHELL, post)
    smooth = zones.smoothed(post)
    outside = zones.mean(SHELL, smooth)
    contrast = zones.mean(LABEL, smooth) - outside
    volume = post.unflatten(1, zones.shape)
    shell = zones.means[:, SHELL] > 0
    grain = (volume - gaussian_mean(volume, _GRAIN_SIGMA)).flatten(1)
    noise = 1.4826 * _median((grain - _median(grain, shell)).abs(), shell)
    parts = (
        _share_beyond(smooth, zones, outside),
        contrast,
        contrast.abs() / noise.clamp_min(1e-6),
    )
    return torch.cat(parts, 1)


def measure_visibility(linear: Tensor, label: Tensor, around: Tensor) -> Visibility:
    """Measure one painted tumor in its window.

    Args:
        linear: The painted window before the knee, shape `(2, d, h, w)` at 1 mm.
        label: The tumor, boolean, not empty, shape `(d, h, w)`.
        around: Tissue that counts as surroundings, boolean, shape `(d, h, w)`.
    """
    zones = zones_of(LabelShape.of(signed_distance_mm(label)), around[None])
    share, contrast, ratio = visibility_of(linear[1][None].flatten(1), zones)[0].tolist()
    return Visibility(share, contrast, ratio)


def _median(values: Tensor, among: Tensor) -> Tensor:
    """Lower median over a mask, shape `(B, N)` -> `(B, 1)`."""
    at = ((among.sum(1, keepdim=True) - 1) // 2).clamp_min(0)
    if values.device.type == "cpu" and bool(among.any(1).all()):
        # A shell is a few thousand of a hundred thousand voxels.
        rows = [ranked_value(row[there], k) for row, there, k in zip(values, among, at)]
        return torch.stack(rows)
    return ranked_value(torch.where(among, values, torch.inf), at)
