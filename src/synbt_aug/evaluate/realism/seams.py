"""Seams: whether the decoded volume jumps where patches were joined.

The energy of a step across the planes between patches, over that across other planes. Latent
cells have steps of their own every 4 voxels, so only planes between cells are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError


def seam_energy(
    error: Tensor, patch: int = 64, cell: int = 4, where: Tensor | None = None
) -> float:
    """Mean squared step of the error across patch borders, over that across other cell borders.

    Args:
        error: Reconstruction less input, shape `(C, D, H, W)`: what the scan itself does at a
            border is no seam.
        patch: Side of the patches, in voxels; they tile from the first voxel on.
        cell: Side of a latent cell, in voxels.
        where: What counts, boolean, shape `(D, H, W)`; both sides of a step must.

    Returns:
        1 where borders are like any other place.

    Raises:
        SynBTError: If no border between patches lies in the volume.
    """
    at_border: list[Tensor] = []
    elsewhere: list[Tensor] = []
    for axis in (-3, -2, -1):
        length = error.shape[axis]
        step = error.diff(dim=axis).square()
        counts = None
        if where is not None:
            inside = where.narrow(axis, 1, length - 1) & where.narrow(axis, 0, length - 1)
            counts = inside.expand_as(step)
        # Plane k of the difference lies between voxels k and k + 1.
        for start in range(cell, length, cell):
            plane = step.select(axis, start - 1)
            if counts is not None:
                plane = plane[counts.select(axis, start - 1)]
            (elsewhere if start % patch else at_border).append(plane.flatten().double())
    borders = torch.cat(at_border) if at_border else torch.empty(0)
    others = torch.cat(elsewhere) if elsewhere else torch.empty(0)
    if not len(borders) or not len(others):
        raise SynBTError(
            f"Seams need a volume longer than a patch of {patch} voxels along an axis, got "
            f"{tuple(error.shape[1:])}"
            + ("." if where is None else f" with {int(where.sum())} voxels that count.")
        )
    return float(borders.mean() / others.mean().clamp_min(1e-20))
