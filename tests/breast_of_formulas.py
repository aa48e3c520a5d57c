"""Tissues of one breast or two, made of formulas, at 1 mm: what a perfect segmenter would find."""

from __future__ import annotations

import torch
from torch import Tensor

from analytic import ellipsoid, positions_mm
from synbt_aug.tissue import TissueLabel, TissueMap
from synbt_aug.volume import Spacing

#: One breast, and two side by side; air at D = 0, the chest wall from D = 60 on.
ONE, TWO = (72, 80, 80), (72, 160, 80)
MM: Spacing = (1.0, 1.0, 1.0)

GLAND_RADII = (16.0, 14.0, 14.0)


def centres(shape: tuple[int, ...]) -> list[tuple[float, float, float]]:
    """Middle of each breast's gland."""
    return [(38.0, h, 40.0) for h in ((40.0,) if shape == ONE else (40.0, 120.0))]


def tissues(
    shape: tuple[int, ...] = ONE, gland_radii: tuple[float, ...] | None = GLAND_RADII
) -> Tensor:
    """Half ellipsoids with 2 mm of skin on a chest; values of `TissueLabel`."""
    labels = torch.full(shape, int(TissueLabel.BACKGROUND), dtype=torch.uint8)
    labels[58:60] = TissueLabel.SKIN
    for _, across, up in centres(shape):
        labels[ellipsoid(shape, (60, across, up), (50, 36, 36))] = TissueLabel.SKIN
        labels[ellipsoid(shape, (60, across, up), (48, 34, 34))] = TissueLabel.FAT
        if gland_radii is not None:
            where = ellipsoid(shape, (38, across, up), gland_radii)
            labels[where] = TissueLabel.GLAND
    labels[positions_mm(shape)[0] > 60] = TissueLabel.BEHIND
    return labels


def tissue_map(labels: Tensor | None = None, spacing: Spacing = MM) -> TissueMap:
    return TissueMap.of_labels(tissues() if labels is None else labels, spacing)
