"""Margins of masses: rougher where a reader would say so, lobulated, with notches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synbt_aug.phantom.lesion_margin import LOBULE_MM, ROUGHNESS, lobules, roughness
from synbt_aug.phantom.texture import Grid, Randomness

GRID = Grid((64, 64, 64), (1.0, 1.0, 1.0))
SITE = np.array([31.5, 31.5, 31.5])


def _ball(radius: float, grid: Grid = GRID, site: np.ndarray = SITE) -> Tensor:
    """Distance from a ball's surface, mm, negative inside."""
    x, y, z = (c - float(s) for c, s in zip(grid.axes(), site))
    return torch.sqrt(x**2 + y**2 + z**2) - radius


def _solidity(mask: Tensor) -> float:
    """Of the middle slice."""
    from skimage.measure import regionprops

    return float(regionprops(mask[:, :, 32].numpy().astype(np.uint8))[0].solidity)


def test_margins_are_as_rough_as_they_are_called() -> None:
    surface = _ball(20.0).abs() < 1

    def spread(margin: str) -> float:
        sources = Randomness.stages(1_000_900, 12)
        moved = [roughness(GRID, SITE, 20.0, margin, s)[surface].std() for s in sources]
        return float(np.median(moved))

    rough = [spread(margin) for margin in ("spiculated", "irregular", "circumscribed")]
    assert set(ROUGHNESS) == {"spiculated", "irregular", "circumscribed"}
    assert rough == sorted(rough, reverse=True)
    assert rough[0] > 1.5 * rough[2]


@pytest.mark.parametrize("margin", ["irregular", "circumscribed"])
def test_lobules_stand_out_with_notches_between_them(margin: str) -> None:
    ball = _ball(20.0)
    at_surface, far = ball.abs() < 1, ball.abs() > LOBULE_MM[1]
    solidities = []
    for source in Randomness.stages(1_000_901, 8):
        moved = lobules(GRID, ball, 20.0, margin, source)
        assert float(moved[at_surface].max()) > 0.2
        assert float(moved[at_surface].min()) < -0.2
        assert not moved[far].any()
        solidities.append(_solidity(ball - moved < 0))
    assert np.mean(solidities) < _solidity(ball < 0) - 0.005


def test_lobules_fade_inwards_without_a_step() -> None:
    ball = _ball(20.0)
    steps = []
    for source in Randomness.stages(1_000_903, 8):
        moved = lobules(GRID, ball, 20.0, "irregular", source)
        steps.append(max(float(moved.diff(dim=d).abs().max()) for d in range(3)))
    # A mm apart: 2.0 in the mean; 4.3 where they end three quarters of a cell deep.
    assert np.mean(steps) < 3.0


def test_lobules_of_irregular_masses_stand_out_more_than_of_circumscribed_ones() -> None:
    ball = _ball(20.0)
    kinds = ("irregular", "circumscribed")
    sources = {kind: Randomness.stages(1_000_902, 12) for kind in kinds}
    spread = {
        k: np.mean([lobules(GRID, ball, 20.0, k, s).std() for s in sources[k]]) for k in kinds
    }
    assert spread["irregular"] > 1.2 * spread["circumscribed"]


def test_a_grid_without_any_surface_stays_as_it_is() -> None:
    grid = Grid((6, 6, 4), (5.0, 5.0, 7.0))
    surface = torch.full(grid.shape, 40.0)
    (source,) = Randomness.stages(1_000_904, 1)
    assert not lobules(grid, surface, 9.0, "spiculated", source).any()
