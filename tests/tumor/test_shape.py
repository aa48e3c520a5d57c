"""Shapes of posed templates: met to a voxel, in the smallest window, the same every time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from analytic import ball, ellipsoid, examples, seeded, small_bank
from synbt_aug.grid.mask import bounding_box, smooth_surface, sphere_voxels
from synbt_aug.grid.posing import pose
from synbt_aug.grid.window import WINDOW_MARGIN_MM, WINDOW_SIDES_MM
from synbt_aug.tumor.bank import Template, TumorBank, template_distance
from synbt_aug.tumor.placement import draw_pose
from synbt_aug.tumor.pose import Pose, rotation_and_displacement
from synbt_aug.tumor.shape import rasterize, rasterized

MARGIN = 2.0
STRAIGHT = Pose(0, (1.0, 0.0, 0.0, 0.0), False, 0.0, 0)


def test_a_pose_survives_json() -> None:
    pose = draw_pose(small_bank(), 10.0, seeded())
    assert Pose.from_dict(json.loads(json.dumps(pose.to_dict()))) == pose


@given(diameter=st.floats(6.0, 70.0), seed=st.integers(0, 999))
@examples(12)
def test_the_volume_is_met_to_a_voxel_in_the_smallest_window_with_room(
    diameter: float, seed: int
) -> None:
    how = draw_pose(small_bank(), diameter, seeded(seed))
    distance = rasterize(small_bank(), how, diameter, MARGIN)
    if distance is None:
        assert diameter > 40
        return
    target = sphere_voxels(diameter)
    assert target <= int((distance <= 0).sum()) <= target + 1
    box = bounding_box(distance <= MARGIN)
    for (start, end), side in zip(box, distance.shape, strict=True):
        fitting = [s for s in WINDOW_SIDES_MM if s >= end - start + 2 * WINDOW_MARGIN_MM]
        assert side == fitting[0]
    for (start, end), length in zip(box, distance.shape, strict=True):
        assert abs((start + end) / 2 - length / 2) <= 1


def pieces(distance: Tensor) -> list[int]:
    """Voxels of each piece of a shape, the largest first."""
    parts, _ = ndimage.label((distance <= 0).numpy())
    return sorted(np.bincount(parts.ravel())[1:].tolist(), reverse=True)


def two_balls(first: float, second: float, gap: float) -> TumorBank:
    """A template of two balls with so many mm between them."""
    length = 2 * first + gap + 2 * second
    wide = 2 * max(first, second)
    middle = wide / 2
    shape = tuple(round(n) for n in (length, wide, wide))
    mask = ellipsoid(shape, (first, middle, middle), (first,) * 3)
    mask |= ellipsoid(shape, (length - second, middle, middle), (second,) * 3)
    return TumorBank((Template(mask, small_bank().templates[0].appearance, "two"),))


@pytest.mark.parametrize(
    "second, gap, count",
    [(2.2, 5, 1), (2.6, 1, 1), (4.5, 5, 2), (8.0, 3, 2)],
    ids=["a speck far off", "a speck close by", "a piece that can be seen", "two alike"],
)
def test_a_piece_that_nobody_would_see_goes_and_the_rest_has_the_whole_volume(
    second: float, gap: float, count: int
) -> None:
    bank = two_balls(8.0, second, gap)
    for diameter in (16.0, bank.templates[0].diameter_mm):
        distance = rasterize(bank, STRAIGHT, diameter, MARGIN)
        assert distance is not None
        found = pieces(distance)
        assert len(found) == count, found
        assert sphere_voxels(diameter) <= sum(found) <= sphere_voxels(diameter) + 1


@given(seed=st.integers(0, 9999), diameter=st.floats(6.0, 30.0))
@examples(12)
def test_no_piece_but_the_largest_is_smaller_than_a_ball_of_5_mm(
    seed: int, diameter: float
) -> None:
    ragged = TumorBank(small_bank().templates[-1:])
    distance = rasterize(ragged, draw_pose(ragged, diameter, seeded(seed)), diameter, MARGIN)
    assert distance is not None
    assert all(size >= sphere_voxels(5.0) for size in pieces(distance)[1:])


def test_a_shape_too_long_for_any_window_is_none() -> None:
    rod = torch.ones(60, 6, 6, dtype=torch.bool)
    bank = TumorBank((Template(rod, small_bank().templates[0].appearance, "rod"),))
    assert rasterize(bank, STRAIGHT, bank.templates[0].diameter_mm, MARGIN) is not None
    assert rasterize(bank, STRAIGHT, 2.2 * bank.templates[0].diameter_mm, MARGIN) is None


def test_a_wider_hole_needs_more_room() -> None:
    bank = small_bank()
    sides = [
        rasterize(bank, STRAIGHT, 34.0, margin).shape[0]  # type: ignore[union-attr]
        for margin in (1.0, 6.0)
    ]
    assert sides == [64, 80]


def test_a_pose_is_rasterized_the_same_every_time() -> None:
    how = draw_pose(small_bank(), 15.0, seeded(3))
    first, second = (rasterize(small_bank(), how, 15.0, MARGIN) for _ in range(2))
    assert first is not None and second is not None and torch.equal(first, second)


def test_a_flip_is_a_mirror_image() -> None:
    mask = torch.zeros(16, 16, 16, dtype=torch.bool)
    mask[:8, 2:14, 2:14] = True
    mask[8:, 5:11, 5:11] = True
    bank = TumorBank((Template(mask, small_bank().templates[0].appearance, "step"),))
    there, back = (
        rasterize(bank, Pose(0, (1.0, 0, 0, 0), flip, 0.0, 0), 15.0, MARGIN)
        for flip in (False, True)
    )
    assert there is not None and back is not None
    a, b = (d[tuple(slice(*s) for s in bounding_box(d <= 0))] <= 0 for d in (there, back))
    assert a.shape == b.shape
    assert (a != b.flip(0)).float().mean() < 0.02 < (a != b).float().mean()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("diameter", [9.0, 26.0, 40.0])
def test_work_in_the_tumor_s_box_gives_what_work_in_the_window_gives(
    diameter: float, seed: int
) -> None:
    how = draw_pose(small_bank(), diameter, seeded(seed))
    raster = rasterized(small_bank(), how, diameter, MARGIN)
    assert raster is not None
    rotation, displacement = rotation_and_displacement(how)
    template = template_distance(small_bank(), how.template)
    whole = smooth_surface(pose(template, rotation, raster.zoom, displacement, raster.side))
    whole = whole - whole.flatten().kthvalue(sphere_voxels(diameter)).values
    box = [
        slice(max(f, 0), f + n) for f, n in zip(raster.first, raster.distance.shape, strict=True)
    ]
    there = whole[tuple(box)]
    mine = raster.distance[
        tuple(
            slice(b.start - f, b.start - f + n)
            for b, f, n in zip(box, raster.first, there.shape, strict=True)
        )
    ]
    near = there.abs() < 3
    assert torch.allclose(mine[near], there[near], atol=1e-3)


def test_a_ball_is_a_ball_wherever_it_is_turned_to() -> None:
    bank = TumorBank(small_bank().templates[2:3])
    turned = Pose(0, (0.8, 0.36, 0.48, 0.0), False, 0.0, 0)
    distance = rasterize(bank, turned, 24.0, MARGIN)
    assert distance is not None
    expected = ball(distance.shape[0], 12.0)
    assert int(((distance <= 0) ^ expected).sum()) < 0.04 * int(expected.sum())


@given(diameter=st.floats(8.0, 30.0), seed=st.integers(0, 999))
@examples(8)
def test_the_outline_goes_on_beyond_the_box_of_its_template(diameter: float, seed: int) -> None:
    how = draw_pose(small_bank(), diameter, seeded(seed))
    raster = rasterized(small_bank(), how, diameter, MARGIN)
    assert raster is not None
    # Where it stopped at the box, whatever moves the surface outward was cut off straight.
    beside = (raster.distance > 1.0) & (raster.distance < 2.0)
    assert float(raster.outline[beside].quantile(0.99)) < 3.0
