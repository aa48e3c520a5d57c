"""A prediction beside its reference: slices with outlines of both.

Pictures lie as the voxels do, (z, y, x) with z upwards: axes are not turned by an affine, so that
left and right are the file's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from synbt_aug.volume import Spacing

REFERENCE = (90, 200, 120)
PREDICTION = (255, 150, 60)
_PLANES = ("axial", "coronal", "sagittal")
_PIXELS = 256


def outlined_slices(
    pre: NDArray[Any],
    post: NDArray[Any],
    reference: NDArray[Any],
    predicted: NDArray[Any],
    spacing: Spacing,
) -> list[tuple[str, Image.Image]]:
    """Four pictures of a case: the subtraction plain, then outlined in three planes.

    Each plane goes through the largest slice of the reference, of the prediction where there is
    no reference. The reference's outline is green, the prediction's orange.

    Args:
        pre: Pre-contrast, shape `(D, H, W)`.
        post: Post-contrast, same shape.
        reference: Boolean, same shape.
        predicted: Boolean, same shape.
        spacing: Voxel size along D, H and W, in mm.

    Returns:
        (caption, picture) of each.
    """
    contrast = post.astype(np.float32) - pre.astype(np.float32)
    high = float(np.percentile(contrast, 99.8))
    grey = (255 * np.clip(contrast / max(high, 1e-6), 0, 1)).astype(np.uint8)
    focus = reference if reference.any() else predicted
    pictures = []
    for axis, plane in enumerate(_PLANES):
        area = focus.sum(axis=tuple(a for a in range(3) if a != axis))
        index = int(area.argmax()) if focus.any() else focus.shape[axis] // 2
        tall, wide = (mm for a, mm in enumerate(spacing) if a != axis)

        def cut(
            volume: NDArray[Any],
            smooth: bool,
            axis: int = axis,
            index: int = index,
            sizes: tuple[float, float] = (tall, wide),
        ) -> Image.Image:
            flat = np.take(volume, index, axis=axis)
            # Rows run downwards, so axes that rise to the head are turned over.
            flat = flat[::-1] if axis else flat
            method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
            return _sized(np.ascontiguousarray(flat), sizes, method)

        shown = cut(grey, True).convert("RGB")
        if axis == 0:
            pictures.append((f"{plane}, subtraction", shown.copy()))
        for mask, color in ((reference, REFERENCE), (predicted, PREDICTION)):
            edge = _edge(cut(255 * mask.astype(np.uint8), False))
            shown.paste(color, mask=edge)
        pictures.append((f"{plane}, outlined", shown))
    return pictures


def _sized(
    flat: NDArray[np.uint8], spacing: tuple[float, float], method: Image.Resampling
) -> Image.Image:
    """At one scale in mm, the longer side of one length."""
    tall, wide = (n * mm for n, mm in zip(flat.shape, spacing, strict=True))
    scale = _PIXELS / max(tall, wide)
    return Image.fromarray(flat).resize((round(wide * scale), round(tall * scale)), method)


def _edge(mask: Image.Image) -> Image.Image:
    inside = np.asarray(mask) > 127
    rim = inside & ~ndimage.binary_erosion(inside, iterations=2)
    return Image.fromarray(255 * rim.astype(np.uint8))
