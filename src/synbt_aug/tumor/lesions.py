"""Parts of a mask: which voxels belong to one lesion."""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.mask import bounding_box
from synbt_aug.volume import Spacing
from synbt_aug.window import WINDOW_SIDES_MM, fitting_side


def split_lesions(mask: Tensor, spacing: Spacing, margin_mm: float) -> list[Tensor]:
    """A mask in one piece where a window holds it, else lesion by lesion.

    Args:
        mask: Boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        margin_mm: Dilation of the hole.

    Returns:
        Masks of the same shape, the largest lesion first.

    Raises:
        SynBTError: If the mask is empty, or one lesion alone is too long for a window.
    """
    if not bool(mask.any()):
        raise SynBTError("A tumor mask needs at least one voxel, this one is empty.")
    if _fits(mask, spacing, margin_mm):
        return [mask]
    labels, count = ndimage.label(mask.cpu().numpy())
    parts = [torch.from_numpy(labels == k).to(mask.device) for k in range(1, count + 1)]
    parts.sort(key=lambda part: -int(part.sum()))
    for part in parts:
        if not _fits(part, spacing, margin_mm):
            raise SynBTError(
                f"A lesion needs to fit the {WINDOW_SIDES_MM[-1]} mm window with tissue around "
                f"it; one in this mask is {_extent_mm(part, spacing):.0f} mm long. Pass a smaller "
                f"one, or a part of it."
            )
    return parts


def _extent_mm(mask: Tensor, spacing: Spacing) -> float:
    return max((b - a) * mm for (a, b), mm in zip(bounding_box(mask), spacing, strict=True))


def _fits(mask: Tensor, spacing: Spacing, margin_mm: float) -> bool:
    # 2 mm more: the smoothed shape may reach a voxel farther on either side.
    return fitting_side(_extent_mm(mask, spacing) + 2 * margin_mm + 2) is not None
