"""Long strands through the fat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from synbt_aug.phantom import stroma
from synbt_aug.phantom.stroma import long_strands
from synbt_aug.phantom.texture import Grid, Randomness

GRID = Grid((70, 70, 70), (1.0, 1.0, 1.0))
NIPPLE = np.array([35.0, 0.0, 35.0])


@pytest.fixture
def source() -> Randomness:
    return Randomness.stages(5, 1)[0]


def test_strands_are_centimetres_long_and_a_millimetre_thin(
    source: Randomness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stroma, "PER_100_CM3", (3.0, 3.0))
    weight = long_strands(GRID, NIPPLE, torch.ones(GRID.shape, dtype=torch.bool), source)
    parts, count = ndimage.label(weight.numpy() > 0.05, structure=np.ones((3, 3, 3)))
    assert count >= 2
    longest = max(
        max(part.stop - part.start for part in box) for box in ndimage.find_objects(parts)
    )
    assert longest >= 12
    # Ten strands of at most 50 mm and 1.5 mm across hold at most 900 of 343,000 mm3.
    assert 0 < float(weight.sum()) < 3000


def test_without_tissue_there_are_no_strands(source: Randomness) -> None:
    nothing = torch.zeros(GRID.shape, dtype=torch.bool)
    assert float(long_strands(GRID, NIPPLE, nothing, source).max()) == 0
