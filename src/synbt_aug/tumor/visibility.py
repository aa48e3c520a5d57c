"""Does the label tell the truth? Whether a painted tumor can be seen where it is labelled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.mask import equivalent_diameter_mm, gaussian, signed_distance_mm
from synbt_aug.tumor.appearance import SHELL_MM
from synbt_aug.wording import shown_beside

#: Least share of the label that must be visible.
VISIBLE_SHARE = 0.9

#: Least contrast of the tumor to its shell, in SDs of the noise, unless a lower one was asked.
CONTRAST_TO_NOISE = 1.5

#: Least share of the label whose voxels must hold another value than before: where a scan's type
#: saturates or rounds, what was painted may not be there.
CHANGED_SHARE = 0.5

#: What varies within this many mm is grain.
_GRAIN_SIGMA = 0.8


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
        if self.changed < CHANGED_SHARE:
            return False
        if self.contrast_to_noise < CONTRAST_TO_NOISE:
            return contrast_was_asked
        return self.share >= VISIBLE_SHARE


def measure_visibility(
    linear: Tensor, label: Tensor, around: Tensor, changed: float = 1.0
) -> Visibility:
    """Measure a painted tumor in its window.

    Args:
        linear: The painted window before the knee, shape `(2, n, n, n)` at 1 mm.
        label: The tumor, boolean, not empty, shape `(n, n, n)`.
        around: Tissue that counts as surroundings, boolean, shape `(n, n, n)`.
        changed: Share of the label's voxels that hold another value than before, for the record.
    """
    post = linear[1]
    distance = signed_distance_mm(label)
    shell = (distance >= SHELL_MM[0]) & (distance <= SHELL_MM[1]) & around
    if int(shell.sum()) < 20:
        shell = ~label & around
    if not bool(shell.any()):
        shell = ~label
    # Judged as the eye does, over about a millimetre: single voxels are noise. Smoothing by
    # sigma pulls a ball's edge in by sigma^2 / radius: at a tenth of the radius it takes 3 % of
    # the volume, more would hide small tumors.
    radius_mm = equivalent_diameter_mm(int(label.sum())) / 2
    smooth = _smoothed(post, min(_GRAIN_SIGMA, radius_mm / 10))
    inside, outside = float(smooth[label].mean()), float(smooth[shell].mean())
    contrast = inside - outside
    middle = (inside + outside) / 2
    shown = label & (smooth > middle if contrast > 0 else smooth < middle)
    enclosed = torch.from_numpy(ndimage.binary_fill_holes(shown.cpu().numpy())).to(label.device)
    # Of whole numbers: in float32, nine voxels of ten are less than .9.
    share = int((enclosed & label).sum()) / int(label.sum())
    grain = (post - _smoothed(post, _GRAIN_SIGMA))[shell]
    noise = 1.4826 * float((grain - grain.median()).abs().median())
    return Visibility(share, contrast, abs(contrast) / max(noise, 1e-6), changed)


def _smoothed(volume: Tensor, sigma: float) -> Tensor:
    return gaussian(volume, sigma) / gaussian(torch.ones_like(volume), sigma)
