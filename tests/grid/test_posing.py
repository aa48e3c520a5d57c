"""Poses: turned, flipped, zoomed and bent as the numbers say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import ball, examples, seeded
from synbt_aug.grid.mask import bounding_box, signed_distance_mm
from synbt_aug.grid.posing import pose, posed_positions, rotation_matrix

STILL = torch.zeros(3, 4, 4, 4)
UPRIGHT = torch.eye(3)


@given(values=st.lists(st.floats(-1, 1), min_size=4, max_size=4))
@examples(30)
def test_every_quaternion_is_a_rotation(values: list[float]) -> None:
    quaternion = torch.tensor(values, dtype=torch.float64)
    if quaternion.norm() < 0.1:
        return
    rotation = rotation_matrix(quaternion)
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-5)
    assert rotation.det().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(rotation, rotation_matrix(-3 * quaternion), atol=1e-6)


def test_a_quarter_turn_about_the_first_axis_takes_the_second_to_the_third() -> None:
    half = math.sqrt(0.5)
    rotation = rotation_matrix(torch.tensor([half, half, 0.0, 0.0]))
    turned = rotation @ torch.tensor([0.0, 1.0, 0.0])
    assert torch.allclose(turned, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)


def block() -> Tensor:
    """Signed distance of a box of 6 x 10 x 14 voxels."""
    mask = torch.zeros(16, 20, 24, dtype=torch.bool)
    mask[5:11, 5:15, 5:19] = True
    return signed_distance_mm(mask, limit_mm=16.0)


def sides(distance: Tensor) -> list[int]:
    return [end - start for start, end in bounding_box(distance <= 0)]


def test_a_template_that_is_not_moved_lies_in_the_middle_of_its_window() -> None:
    posed = pose(block(), UPRIGHT, 1.0, STILL, 32)
    assert bounding_box(posed <= 0) == ((13, 19), (11, 21), (9, 23))


def test_a_zoom_of_two_doubles_every_side() -> None:
    assert sides(pose(block(), UPRIGHT, 2.0, STILL, 40)) == [12, 20, 28]


def test_a_quarter_turn_swaps_two_sides() -> None:
    half = math.sqrt(0.5)
    turn = rotation_matrix(torch.tensor([half, half, 0.0, 0.0]))
    assert sides(pose(block(), turn, 1.0, STILL, 32)) == [6, 14, 10]


def test_a_mirror_image_is_the_shape_flipped() -> None:
    lopsided = torch.zeros(12, 12, 12, dtype=torch.bool)
    lopsided[2:6, 3:9, 3:9] = True
    lopsided[6:10, 5:7, 5:7] = True
    distance = signed_distance_mm(lopsided, limit_mm=16.0)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    there = pose(distance, UPRIGHT, 1.0, STILL, 24)
    assert torch.allclose(pose(distance, mirror, 1.0, STILL, 24), there.flip(0), atol=1e-5)
    assert not torch.equal(there <= 0, there.flip(0) <= 0)


def test_a_constant_displacement_moves_the_shape_the_other_way() -> None:
    shift = STILL.clone()
    shift[1] = 3.0
    posed = pose(block(), UPRIGHT, 1.0, shift, 32)
    assert bounding_box(posed <= 0) == ((13, 19), (8, 18), (9, 23))


def test_outside_the_template_the_distance_goes_on_growing() -> None:
    posed = pose(signed_distance_mm(ball(12, 4), limit_mm=16.0), UPRIGHT, 1.0, STILL, 64)
    ray = posed[31, 31, 32:]
    assert bool((ray.diff() > 0.5).all())
    assert ray[-1].item() == pytest.approx(31.5 - 4, abs=1.0)


def test_a_part_of_a_window_is_what_the_whole_has_there() -> None:
    shift = torch.randn(3, 4, 4, 4, generator=seeded())
    turn = rotation_matrix(torch.tensor([0.8, 0.1, -0.3, 0.5]))
    whole = pose(block(), turn, 1.3, shift, 40)
    box = (slice(3, 30), slice(10, 40), slice(0, 17))
    assert torch.allclose(pose(block(), turn, 1.3, shift, 40, box), whole[box], atol=1e-5)
    every = (slice(3, 30, 2), slice(10, 40, 2), slice(0, 17, 2))
    assert torch.allclose(pose(block(), turn, 1.3, shift, 40, every), whole[every], atol=1e-5)


def test_the_surface_is_the_same_without_growth_outside_the_box() -> None:
    grown = pose(block(), UPRIGHT, 1.3, STILL, 40)
    flat = pose(block(), UPRIGHT, 1.3, STILL, 40, grow=False)
    near = grown < 1.3
    assert torch.equal(flat[near], grown[near])
    assert bool((flat[~near] >= 1.3).all())


def test_positions_are_those_of_the_formula() -> None:
    turn = rotation_matrix(torch.tensor([0.8, 0.1, -0.3, 0.5]))
    found = posed_positions(turn, 2.0, STILL, 8)
    voxel = torch.tensor([6.0, 1.0, 3.0])
    assert torch.allclose(found[:, 6, 1, 3], turn.T @ (voxel - 3.5) / 2, atol=1e-5)


def test_only_what_is_not_known_is_found() -> None:
    turn = rotation_matrix(torch.tensor([0.8, 0.1, -0.3, 0.5]))
    whole = pose(block(), turn, 1.3, STILL, 40, grow=False)
    known = torch.where(whole.abs() < 2, torch.nan, 7.0)
    found = pose(block(), turn, 1.3, STILL, 40, known=known)
    near = known.isnan()
    assert torch.allclose(found[near], whole[near], atol=1e-6)
    assert bool((found[~near] == 7.0).all())
