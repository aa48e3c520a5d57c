"""Site maps without tissues."""

from __future__ import annotations

import torch
from torch import Tensor

from analytic import MM
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.volume import Spacing


def sites_of(
    allowed: Tensor,
    weight: Tensor | None = None,
    factors: tuple[float, float, float] = (2.0, 2.0, 2.0),
    spacing: Spacing = MM,
) -> SiteMap:
    heavy = allowed.float() if weight is None else weight
    return SiteMap(heavy, allowed, factors, spacing)


def everywhere() -> Tensor:
    return torch.ones(30, 30, 30, dtype=torch.bool)
