"""Whether a prediction found an implant, and what else it marked: the rules of a probe.

A prediction is taken apart into connected parts (26 neighbours). The parts that touch an implant
are held against it together; those that touch neither an implant nor a real tumor are false
positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synbt_aug.volume import Spacing

Mask = NDArray[np.bool_]

#: Smaller parts are no false positives: a sphere of 10 mm3 has a diameter of 2.7 mm.
SPECK_MM3 = 10.0

_NEIGHBOURS = np.ones((3, 3, 3))


@dataclass(frozen=True)
class Parts:
    """A prediction's connected parts.

    Args:
        numbers: 0 where nothing is predicted, else the part's number, shape `(D, H, W)`.
        volumes_mm3: Of each part, `[0]` being the rest, shape `(parts + 1,)`.
    """

    numbers: NDArray[Any]
    volumes_mm3: NDArray[np.float64]

    def touching(self, mask: Mask) -> NDArray[np.bool_]:
        """Which parts share a voxel with a mask, shape `(parts + 1,)`; never `[0]`."""
        found = np.zeros(len(self.volumes_mm3), bool)
        found[np.unique(self.numbers[mask])] = True
        found[0] = False
        return found


@dataclass(frozen=True)
class Overlap:
    """An implant and the parts of the prediction that touch it.

    Args:
        iou: Intersection over union.
        dice: Twice the intersection over the sum of both volumes.
    """

    iou: float
    dice: float


def parts_of(predicted: Mask, spacing: Spacing) -> Parts:
    """Take a prediction apart.

    Args:
        predicted: Boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
    """
    numbers, count = ndimage.label(predicted, _NEIGHBOURS)
    voxels = np.bincount(numbers.ravel(), minlength=count + 1)
    return Parts(numbers, voxels.astype(np.float64) * float(np.prod(spacing)))


def overlap_of(parts: Parts, implant: Mask, real: Mask) -> Overlap:
    """Hold a prediction against an implant.

    Args:
        parts: The prediction's.
        implant: Its label, boolean, shape `(D, H, W)`, not empty.
        real: Real tumors, same shape: where a part runs into one, that much is not counted.
    """
    near = parts.touching(implant)[parts.numbers] & ~(real & ~implant)
    both = int((near & implant).sum())
    sizes = int(near.sum()) + int(implant.sum())
    return Overlap(both / (sizes - both), 2 * both / sizes)


def false_positives(parts: Parts, *masks: Mask) -> int:
    """Parts of at least `SPECK_MM3` that touch none of the masks.

    Args:
        parts: The prediction's.
        masks: Real tumors and implants, boolean, shape `(D, H, W)`.
    """
    explained = np.zeros(len(parts.volumes_mm3), bool)
    explained[0] = True
    for mask in masks:
        explained |= parts.touching(mask)
    return int(((parts.volumes_mm3 >= SPECK_MM3) & ~explained).sum())


def dice_of(predicted: Mask, reference: Mask) -> float:
    """Dice of two masks, of which at least one is not empty."""
    return float(2 * (predicted & reference).sum() / (predicted.sum() + reference.sum()))
