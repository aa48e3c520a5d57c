"""The shape of a mask that was given, on the grid of its window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import signed_distance_mm, smooth_surface, tilted
from synbt_aug.grid.window import cut, inside_host
from synbt_aug.tumor.fringe_shape import softened
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe

#: A tumor is taken away to this far beyond its label, in mm: scans blur.
REMOVAL_MARGIN_MM = 1.0

#: On another grid than 1 mm: the share of a voxel from which on it is inside.
_HALF = (0.3, 0.5)


def _reached_by(values: Tensor, count: int) -> float:
    """The value that so many reach, or all or one of them."""
    rank = min(max(values.numel() - count + 1, 1), values.numel())
    return float(values.flatten().kthvalue(rank).values)


def shape_of_mask(mask: Tensor, recipe: TumorRecipe) -> LabelShape:
    """A body that a network can paint; with a fringe, in the mask's own surface.

    Args:
        mask: On the host's grid, boolean, shape `(D, H, W)`, CPU.
        recipe: With its window.

    Raises:
        SynBTError: If nothing of the mask is left in the window at 1 mm.
    """
    # Edge padding is for signal: a mask at the edge of the host ends there.
    d, h, w = mask.shape
    there = inside_host(recipe.window, (d, h, w), mask.device)
    share = torch.where(there, cut(mask.to(torch.float32), recipe.window), 0.0)
    inside = share >= 0.5
    if recipe.fringe is not None and bool(inside.any()):
        # Half of a share takes the ends off what is a voxel wide: the volume is the mask's.
        voxels = round(int(mask.sum()) * math.prod(recipe.window.spacing))
        low, high = _HALF
        inside = share >= min(max(_reached_by(share, voxels), low), high)
    if not bool(inside.any()):
        raise SynBTError(
            "The given tumor mask is thinner than a millimetre: nothing is left of it."
        )
    distance = signed_distance_mm(inside)
    if recipe.kind == "removal":
        return LabelShape.of(distance - REMOVAL_MARGIN_MM)
    smooth = smooth_surface(distance)
    body = smooth - smooth.flatten().kthvalue(int(inside.sum())).values
    if recipe.fringe is None:
        return LabelShape.of(body)
    # Where a host's voxels are not of 1 mm its volume is met by moving the surface: no two alike.
    return LabelShape.of(body, softened(tilted(distance), recipe.fringe))
