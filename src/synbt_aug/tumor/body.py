"""Bodies of tumors without what is rough on them.

What is rough at a millimetre is drawn anew whenever a template is painted (`tumor/fringe.py`). A
template that kept its own teeth, notches and corners would be rough twice over, as no patient's
tumor is: there compact bodies go with a few long strands (docs/lab-book.md, chapter 44).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.grid.mask import (
    around,
    bounding_box,
    equivalent_diameter_mm,
    gaussian,
    signed_distance_mm,
    tilted,
)
from synbt_aug.tumor.template import Template

#: SD of the Gaussian that a surface is smoothed by, over the diameter; that of a non-mass lesion,
#: which keeps its branches.
ROUNDED, ROUNDED_NON_MASS = 0.11, 0.033

#: Lobules with notches between them take the place of corners: SD of how far they stand out, and
#: their width (the blur of the noise that they follow), over the diameter.
LOBULES, LOBULE_WIDTH = 0.018, 0.1

#: Mean and SD of the absolute value of a standard normal, and the most that lobules differ, in SD.
_FOLDED_MEAN, _FOLDED_SD, _MOST = 0.8, 0.6, 2.0

#: Smaller tumors stay as they are, in mm: nothing would be left of their shape.
SMALLEST_MM = 12.0

#: Distances from the surface count as far as this, inside and outside, in mm.
_DEEPEST_MM, _FARTHEST_MM = 12.0, 6.0

#: Pieces of less than this share of the largest are left out.
_LEAST_PIECE = 0.1


def smooth_body(mask: Tensor, generator: torch.Generator, *, non_mass: bool = False) -> Tensor:
    """A tumor of nearly the same volume with a rounded, lobulated surface.

    Args:
        mask: Boolean, shape `(a, b, c)` at 1 mm, not empty.
        generator: Draws the lobules; on the CPU.
        non_mass: Whether it is a non-mass lesion, which is smoothed less and has none.

    Returns:
        Boolean, in a box with the same middle, larger on all sides but where the tumor stays as it
        is. Pieces far smaller than the largest are left out.
    """
    diameter = equivalent_diameter_mm(int(mask.sum()))
    if diameter < SMALLEST_MM:
        return mask
    beside = int(_FARTHEST_MM) + 4
    wide = F.pad(mask, (beside,) * 6)
    distance = signed_distance_mm(wide, limit_mm=_DEEPEST_MM).clamp_max(_FARTHEST_MM)
    # Beyond the box it is as far as can be.
    sigma = (ROUNDED_NON_MASS if non_mass else ROUNDED) * diameter
    surface = _FARTHEST_MM - gaussian(_FARTHEST_MM - distance, sigma)
    if not non_mass:
        noise = gaussian(torch.randn(wide.shape, generator=generator), LOBULE_WIDTH * diameter)
        lobules = ((noise / noise.std()).abs() - _FOLDED_MEAN) / _FOLDED_SD
        surface = surface - LOBULES * diameter * lobules.clamp(-_MOST, _MOST)
    # Of equal values a level would take all or none.
    surface = tilted(surface)
    level = surface.flatten().kthvalue(int(mask.sum())).values
    return _without_crumbs(surface <= level)


def smooth_bodies(case: Sequence[Template], seed: int) -> tuple[Template, ...]:
    """The templates of one case with such bodies, in the same places beside each other.

    What they looked like and how they lay is as it was measured of the bodies that they had.

    Args:
        case: The lesions of one case, none with a signal.
        seed: Of the case.

    Returns:
        The largest first.

    Raises:
        ValueError: If a template has a signal, which belongs to the shape that it had.
    """
    found = []
    for k, template in enumerate(case):
        if template.signal is not None:
            raise ValueError("a template with a signal keeps its shape")
        generator = torch.Generator().manual_seed(seed * 64 + k)
        wide = smooth_body(
            template.mask, generator, non_mass=template.appearance.category == "non-mass"
        )
        box = around(wide, 0)
        assert box is not None
        # From the middle of the old box to that of the new one.
        moved = np.array(bounding_box(wide)).mean(1) - np.array(wide.shape) / 2
        offset_mm = _plus(template.offset_mm, moved)
        found.append(template._replace(mask=wide[box].clone(), offset_mm=offset_mm))
    found.sort(key=lambda t: -int(t.mask.sum()))
    # Offsets are from the largest, which comes first.
    return tuple(
        t._replace(
            offset_mm=_plus(t.offset_mm, -np.array(found[0].offset_mm)) if t.group else (0.0,) * 3
        )
        for t in found
    )


def _plus(offset_mm: tuple[float, float, float], by: np.ndarray) -> tuple[float, float, float]:
    d, h, w = (np.array(offset_mm) + by).tolist()
    return d, h, w


def _without_crumbs(mask: Tensor) -> Tensor:
    parts, count = ndimage.label(mask.numpy())
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    kept = 1 + np.flatnonzero(sizes >= _LEAST_PIECE * sizes.max())
    return torch.from_numpy(np.isin(parts, kept))
