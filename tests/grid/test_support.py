"""What may change around a label: the same wherever it is told."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from analytic import seeded
from synbt_aug.grid.support import touched


@pytest.mark.parametrize("shape", [(2, 9, 8, 7), (1, 1, 5, 6)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_corners_touch_too(shape: tuple[int, ...], share: float) -> None:
    mask = torch.rand(shape, generator=seeded()) < share
    before = mask.clone()
    assert torch.equal(touched(mask), F.max_pool3d(mask.float(), 3, 1, 1) > 0)
    assert torch.equal(mask, before)
