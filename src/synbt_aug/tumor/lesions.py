"""Parts of a mask: which voxels belong to one lesion, and whether they can be painted at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import SMOOTHING_MM, bounding_box, equivalent_diameter_mm
from synbt_aug.grid.window import WINDOW_SIDES_MM, shape_for_mask
from synbt_aug.volume import Spacing

#: A part smaller than a sphere of this diameter is a speck: no lesion is told from noise by it.
SPECK_MM = 3.0

#: Most lesions that are painted one by one; each keeps two masks of the scan's size.
MAX_LESIONS = 24

#: A tumor is painted where smoothing keeps this share of its voxels. A ball of 5 mm keeps .14 or
#: more; one of 35 mm of whose voxels 40 % are marked, at random, keeps .05 at 1 mm.
_LEAST_KEPT = 0.1


@dataclass(frozen=True)
class Lesion:
    """One of a mask's lesions, which share one label map.

    Args:
        labels: Lesion numbers in the box around the whole mask, uint8.
        number: This one's.
        start: The box's first voxel in the host.
        shape: Of the host, `(D, H, W)`.
    """

    labels: np.ndarray
    number: int
    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    def mask(self) -> Tensor:
        """Boolean, shape `(D, H, W)`, on the CPU."""
        whole = torch.zeros(self.shape, dtype=torch.bool)
        box = tuple(
            slice(first, first + n) for first, n in zip(self.start, self.labels.shape, strict=True)
        )
        whole[box] = torch.from_numpy(self.labels == self.number)
        return whole


def split_lesions(
    mask: Tensor, spacing: Spacing, margin_mm: float, kind: str = "tumor"
) -> list[Tensor] | list[Lesion]:
    """A mask in one piece where a window holds it, else lesion by lesion.

    Args:
        mask: Boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        margin_mm: Dilation of the hole.
        kind: "tumor" or "removal"; only a tumor must be thick enough to be painted.

    Returns:
        The mask itself, or its lesions, the largest first.

    Raises:
        SynBTError: If the mask is empty, or too scattered or too thin for a tumor; if it must be
            split, and has specks or too many lesions, or one too long for a window.
    """
    if not bool(mask.any()):
        raise SynBTError("A tumor mask needs at least one voxel, this one is empty.")
    bounds = bounding_box(mask)
    inside = mask[tuple(slice(a, b) for a, b in bounds)].cpu().numpy()
    if kind == "tumor":
        _refuse_scattered(inside, spacing)
    if _fits(inside.shape, spacing, margin_mm):
        return [mask]
    # Voxels that touch at a corner belong together.
    labels, count = ndimage.label(inside, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    _refuse_specks(sizes, spacing)
    for box in ndimage.find_objects(labels):
        sides = tuple(side.stop - side.start for side in box)
        if not _fits(sides, spacing, margin_mm):
            raise SynBTError(
                f"A lesion needs to fit the {WINDOW_SIDES_MM[-1]} mm window with tissue around "
                f"it; one in this mask is {_extent_mm(sides, spacing):.0f} mm long. Pass a smaller "
                f"one, or a part of it."
            )
    numbers = labels.astype(np.uint8)
    d, h, w = (first for first, _ in bounds)
    depth, height, width = mask.shape
    return [
        Lesion(numbers, int(k) + 1, (d, h, w), (depth, height, width))
        for k in np.argsort(-sizes, kind="stable")
    ]


def _refuse_scattered(inside: np.ndarray, spacing: Spacing) -> None:
    """As `mask.smoothed_mask` smooths a shape before it is painted, on the scan's own grid."""
    sigmas = [SMOOTHING_MM / mm for mm in spacing]
    smooth = ndimage.gaussian_filter(inside.astype(np.float32), sigmas, mode="constant")
    kept = float((smooth[inside] >= 0.5).mean())
    if kept < _LEAST_KEPT:
        raise SynBTError(
            f"A tumor mask needs a body that can be painted, but smoothing by {SMOOTHING_MM:g} mm "
            f"leaves {kept:.0%} of this one: it is too scattered, too thin, or smaller than 5 mm. "
            f"Close its gaps first, for example with scipy.ndimage.binary_closing."
        )


def _refuse_specks(sizes: np.ndarray, spacing: Spacing) -> None:
    diameters = [equivalent_diameter_mm(float(size), spacing) for size in sizes]
    specks = sum(diameter < SPECK_MM for diameter in diameters)
    if specks:
        raise SynBTError(
            f"A mask longer than a window is painted lesion by lesion, but {specks} of the "
            f"{len(sizes)} parts of this one are specks of less than {SPECK_MM:g} mm. Take them "
            f"out first, for example with scipy.ndimage.binary_opening."
        )
    if len(sizes) > MAX_LESIONS:
        raise SynBTError(
            f"A mask longer than a window is painted lesion by lesion, at most {MAX_LESIONS}; this "
            f"one has {len(sizes)}. Pass fewer at a time."
        )


def _extent_mm(sides: tuple[int, ...], spacing: Spacing) -> float:
    return max(n * mm for n, mm in zip(sides, spacing, strict=True))


def _fits(sides: tuple[int, ...], spacing: Spacing, margin_mm: float) -> bool:
    extents = [n * mm for n, mm in zip(sides, spacing, strict=True)]
    return shape_for_mask(extents, margin_mm) is not None
