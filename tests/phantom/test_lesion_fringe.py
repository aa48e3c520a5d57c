"""Spicules, satellites and spread along ducts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from synbt_aug.phantom import lesion_fringe
from synbt_aug.phantom.lesion_fringe import Fringe, grow_fringe
from synbt_aug.phantom.texture import Grid, Randomness

GRID = Grid((64, 64, 64), (1.0, 1.0, 1.0))
SITE = np.array([32.0, 32.0, 32.0])
NIPPLE = np.array([32.0, 0.0, 32.0])


def _ball(radius: float) -> torch.Tensor:
    x, y, z = GRID.axes()
    return torch.sqrt((x - 32) ** 2 + (y - 32) ** 2 + (z - 32) ** 2) - radius


def _grown(fringe: Fringe) -> np.ndarray:
    source = Randomness.stages(1_000_710, 1)[0]
    host = torch.zeros(GRID.shape)
    return grow_fringe(GRID, SITE, _ball(10.0), host, NIPPLE, fringe, source).numpy()


def test_spicules_touch_the_body_and_reach_into_the_host() -> None:
    weight = _grown(Fringe((12, 12), (10.0, 20.0), satellites=0, duct_share=0))
    surface = _ball(10.0).numpy()
    together = (surface < 0) | (weight > 0.3)
    parts, count = ndimage.label(together, np.ones((3, 3, 3)))
    body = parts[32, 32, 32]
    assert (parts == body).sum() > 0.97 * together.sum()
    assert weight[surface > 6].max() > 0.5
    # Thin: a small share of the shell they cross.
    assert 0.001 < (weight[(surface > 3) & (surface < 6)] > 0.5).mean() < 0.12
    assert count < 8


def test_tents_are_wide_at_the_body_and_thin_at_their_tip(monkeypatch: pytest.MonkeyPatch) -> None:
    surface = _ball(10.0).numpy()

    def near_and_far(share: float) -> tuple[float, float]:
        monkeypatch.setattr(lesion_fringe, "TENT_SHARE", share)
        weight = _grown(Fringe((12, 12), (14.0, 20.0), satellites=0, duct_share=0))
        return tuple(  # type: ignore[return-value]
            float((weight * ((surface > low) & (surface <= low + 2))).sum()) for low in (0.0, 10.0)
        )

    (near, far), (plain_near, plain_far) = near_and_far(1.0), near_and_far(0.0)
    assert near > 1.8 * plain_near
    assert far < 1.3 * plain_far


def test_satellites_lie_off_the_body() -> None:
    weight = _grown(Fringe((0, 0), (1.0, 2.0), satellites=20, duct_share=0))
    surface = _ball(10.0).numpy()
    assert (weight > 0.5).sum() > 20
    assert weight[surface < 0].sum() < 0.1 * weight.sum()


def test_spread_along_ducts_heads_for_the_nipple() -> None:
    weight = _grown(Fringe((0, 0), (1.0, 2.0), satellites=0, duct_share=1.0))
    outside = weight * (_ball(10.0).numpy() > 2)
    assert outside[:, :32].sum() > 3 * outside[:, 32:].sum()


def test_no_fringe_is_nothing() -> None:
    assert _grown(Fringe((0, 0), (1.0, 2.0), satellites=0, duct_share=0)).max() == 0
