"""Paths that follow the host, and tubes around them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synbt_aug.phantom.strands import (
    FAR_MM,
    STEP_MM,
    follow,
    guide_field,
    tube_depth,
    tube_weight,
)
from synbt_aug.phantom.texture import Grid, Randomness


@pytest.fixture
def source() -> Randomness:
    return Randomness.stages(1_000_700, 1)[0]


def test_a_path_without_wobble_is_straight_and_has_its_length(source: Randomness) -> None:
    paths = follow(np.zeros((2, 3)), np.eye(3)[:2], np.array([6.0, 12.0]), source, wobble=0.0)
    assert [len(p) for p in paths] == [round(6 / STEP_MM), round(12 / STEP_MM)]
    np.testing.assert_allclose(paths[0][-1], [6.0, 0.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(paths[1][-1], [0.0, 12.0, 0.0], atol=1e-3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.5)])
def test_a_path_bends_towards_a_ligament_beside_it(
    source: Randomness, spacing: tuple[float, float, float]
) -> None:
    grid = Grid((24, 24, 24), spacing)
    sheet_mm = 13 * spacing[1]
    host = torch.zeros(grid.shape)
    host[:, 13] = 1.0
    start = np.array([3.0, sheet_mm - 2.5, 12.0])
    ahead = np.array([1.0, 0.0, 0.0])
    (free,) = follow(start, ahead, np.array([15.0]), source, wobble=0.0)
    (led,) = follow(
        start, ahead, np.array([15.0]), source, wobble=0.0, grid=grid, guide=guide_field(host, grid)
    )
    assert free[-1, 1] == pytest.approx(start[1])
    # It swings about the sheet.
    assert abs(led[5:, 1].mean() - sheet_mm) < 0.8
    assert np.abs(led[:, 1] - sheet_mm).max() < 2.6


def test_the_depth_of_a_ball_is_its_radius_less_the_distance() -> None:
    grid = Grid((11, 11, 11), (1.0, 2.0, 1.0))
    depth = tube_depth(grid, np.array([[5.0, 10.0, 5.0]]), np.array([3.0]))
    assert float(depth[5, 5, 5]) == 3.0
    assert float(depth[7, 5, 5]) == 1.0
    assert float(depth[5, 6, 5]) == 1.0  # one voxel of 2 mm
    assert float(depth[0, 0, 0]) == FAR_MM


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_a_tube_holds_about_its_volume(radius: float) -> None:
    grid = Grid((40, 16, 16), (1.0, 1.0, 1.0))
    line = np.stack([np.arange(4, 36, 0.25), np.full(128, 8.2), np.full(128, 7.7)], axis=1)
    weight = tube_weight(grid, line, np.full(128, radius))
    assert float(weight[10:30].sum()) / 20 == pytest.approx(math.pi * radius**2, rel=0.35)


def test_a_strand_thinner_than_a_voxel_fills_a_part_of_it() -> None:
    grid = Grid((12, 12, 12), (3.0, 3.0, 3.0))
    line = np.stack([np.arange(6, 30, 0.5), np.full(48, 15.0), np.full(48, 15.0)], axis=1)
    weight = tube_weight(grid, line, np.full(48, 0.5))
    # Its section over that of the voxel, where it runs through the middle.
    assert float(weight.max()) == pytest.approx(math.pi * 0.5**2 / 3.0**2, rel=0.05)
