"""A real tumor's signal for a recipe: posed with its template, or stretched to a given shape.

For a given shape it is the bank's tumor nearest in size. Its box is stretched to the shape's box
along each axis; where the two shapes differ, the shape is filled from the nearest of the tumor's
own voxels, and what lies around it from the tissue around the tumor.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box
from synbt_aug.tumor.bank import TumorBank, template_signal
from synbt_aug.tumor.posed_signal import posed_signal
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM


def signal_for(
    recipe: TumorRecipe, distance: Tensor, bank: TumorBank, hole_margin_mm: float
) -> tuple[TumorRecipe, Tensor]:
    """The signal to paste where a recipe puts a tumor.

    Args:
        recipe: Of a tumor.
        distance: Signed distance to its surface in its window, in mm, shape `(n, n, n)`.
        bank: With voxels.
        hole_margin_mm: Of the texture.

    Returns:
        The recipe, which names the template for a given shape, too; and the signal by
        `intensity.to_linear` of the template's case, shape `(2, n, n, n)`, CPU.

    Raises:
        SynBTError: If the bank has no voxels, or not the template that the recipe names.
    """
    if recipe.pose is not None and recipe.diameter_mm is not None:
        return recipe, posed_signal(bank, recipe.pose, recipe.diameter_mm, hole_margin_mm)
    mask = (distance <= 0).cpu()
    index = recipe.voxels_of
    if index is None:
        index = nearest_in_size(bank, int(mask.sum()))
    elif not 0 <= index < len(bank):
        raise SynBTError(
            f"The recipe needs template {index}, the bank has {len(bank)}. Pass the bank that the "
            f"recipe was made with."
        )
    return replace(recipe, voxels_of=index), stretched_signal(bank, index, mask)


def nearest_in_size(bank: TumorBank, voxels: int) -> int:
    """Index of the template whose volume is nearest in ratio to so many voxels of 1 mm."""
    away = [abs(math.log(int(t.mask.sum()) / max(voxels, 1))) for t in bank.templates]
    return away.index(min(away))


def stretched_signal(bank: TumorBank, index: int, mask: Tensor) -> Tensor:
    """A template's signal in the box of a mask.

    Args:
        bank: With voxels.
        index: Of the template.
        mask: The given shape in its window, boolean, not empty, CPU, shape `(n, n, n)`.

    Returns:
        By `intensity.to_linear` of the template's case, float32, shape `(2, n, n, n)`: the
        tumor's own voxels in the mask, the tissue around the tumor elsewhere.

    Raises:
        SynBTError: If the bank has no voxels.
    """
    signal = template_signal(bank, index).to(torch.float32)
    shape = bank.templates[index].mask
    own = F.pad(shape.to(torch.float32), (SIGNAL_MARGIN_MM,) * 6)[None]
    # Both boxes run from face to face; the signal's voxel k lies at k + .5 from its box's face.
    grids = []
    for (start, stop), side, inner, whole in zip(
        bounding_box(mask), mask.shape, shape.shape, signal.shape[1:], strict=True
    ):
        at = (torch.arange(side) + 0.5 - start) * inner / (stop - start)
        grids.append((at + SIGNAL_MARGIN_MM) * 2 / whole - 1)
    d, h, w = torch.meshgrid(*grids, indexing="ij")
    sampled = F.grid_sample(
        torch.cat([signal, own])[None],
        torch.stack([w, h, d], dim=-1)[None],
        padding_mode="border",
        align_corners=False,
    )[0]
    tumor = sampled[2] >= 0.5
    result = sampled[:2].clone()
    for inside, there in ((mask, tumor), (~mask, ~tumor)):
        _fill_from_nearest(result, sampled[:2], inside & ~there, there)
    return result


def _fill_from_nearest(result: Tensor, source: Tensor, needed: Tensor, there: Tensor) -> None:
    """Write into `result` where `needed` the value of the nearest voxel of `there`."""
    if not bool(needed.any()) or not bool(there.any()):
        return
    nearest = ndimage.distance_transform_edt(
        ~there.numpy(), return_distances=False, return_indices=True
    )
    d, h, w = torch.from_numpy(nearest[:, needed.numpy()]).long()
    result[:, needed] = source[:, d, h, w]
