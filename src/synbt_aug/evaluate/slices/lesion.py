"""The lesion of a slice, found by its enhancement, and the regions that features are taken from.

The lesion is the largest connected part of the box in which the enhancement (post less pre) is at
least half of its 95th percentile there. Any factor on the signal leaves it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synbt_aug.evaluate.slices.tumor_slice import Floats, TumorSlice

Mask = NDArray[np.bool_]

#: Width of the Gaussian that evens out how finely scans are sampled, in mm.
_SMOOTHING_MM = 0.5

#: The lesion's least enhancement, over this quantile of the box's.
_HALF, _TOP = 0.5, 0.95

#: Below this share of the lesion's median signal, in pre and in post, a pixel is air.
_AIR = 0.15

#: Ring around the lesion, and the part of it that is nearest, in mm from the surface.
_RING_MM, _NEAR_MM = (2.0, 7.0), (1.0, 4.0)

#: Fewer pixels, of 1 mm2, give no features worth having.
_FEWEST_INSIDE, _FEWEST_AROUND = 25, 30


@dataclass(frozen=True)
class Lesion:
    """A lesion in its slice; masks and maps have the shape `(H, W)`.

    Args:
        pre: Signal before contrast, slightly smoothed.
        post: After contrast, likewise.
        mask: The lesion.
        filled: With its holes.
        edge: Its pixels beside others.
        depth_mm: Distance into the filled lesion, 0 outside.
        outside_mm: Distance from the filled lesion, 0 inside.
        ring: Tissue 2 to 7 mm outside.
        near: Tissue 1 to 4 mm outside.
        piece_sizes: Pixels of every enhancing part of the box.
    """

    pre: Floats
    post: Floats
    mask: Mask
    filled: Mask
    edge: Mask
    depth_mm: Floats
    outside_mm: Floats
    ring: Mask
    near: Mask
    piece_sizes: NDArray[np.int64]

    @property
    def enhancement(self) -> Floats:
        """Post less pre."""
        return self.post - self.pre

    @property
    def contrast(self) -> float:
        """Mean enhancement of the lesion less that of the ring."""
        s = self.enhancement
        return float(s[self.mask].mean() - s[self.ring].mean())


def find_lesion(slice_: TumorSlice) -> Lesion | None:
    """Find the lesion.

    Args:
        slice_: At 1 mm.

    Returns:
        None where nothing in the box enhances, or less than 25 mm2 of it, or less than 30 mm2 of
        tissue lie around.
    """
    pre, post = (ndimage.gaussian_filter(c.astype(np.float64), _SMOOTHING_MM) for c in slice_.image)
    enhancement = post - pre
    top, bottom, left, right = (round(edge) for edge in slice_.box)
    box = np.zeros(enhancement.shape, dtype=bool)
    box[top:bottom, left:right] = True
    most = float(np.quantile(enhancement[box], _TOP))
    if most <= 0:
        return None
    parts, count = ndimage.label(box & (enhancement >= _HALF * most))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    mask = parts == 1 + int(np.argmax(sizes))
    if mask.sum() < _FEWEST_INSIDE:
        return None
    filled = ndimage.binary_fill_holes(mask)
    outside_mm = ndimage.distance_transform_edt(~filled)
    body = (pre > _AIR * np.median(pre[filled])) | (post > _AIR * np.median(post[filled]))

    def between(limits: tuple[float, float]) -> Mask:
        return (outside_mm > limits[0]) & (outside_mm <= limits[1]) & body

    ring = between(_RING_MM)
    if ring.sum() < _FEWEST_AROUND:
        return None
    return Lesion(
        pre,
        post,
        mask,
        filled,
        edge=mask & ~ndimage.binary_erosion(mask),
        depth_mm=ndimage.distance_transform_edt(filled),
        outside_mm=outside_mm,
        ring=ring,
        near=between(_NEAR_MM),
        piece_sizes=sizes,
    )
