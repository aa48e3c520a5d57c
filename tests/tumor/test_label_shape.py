"""The shape of a label, with all distances that painting needs."""

from __future__ import annotations

import pytest
import torch

from analytic import ball
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.tumor.label_shape import LabelShape

SIDE = 48


def test_a_large_ball_is_deeper_than_distances_are_elsewhere_cut_off_at() -> None:
    shape = LabelShape.of(signed_distance_mm(ball(SIDE, 15)))
    assert float(shape.depth.max()) == pytest.approx(14, abs=0.6)
    assert shape.radius_mm[0] == pytest.approx(15, abs=0.1)


def test_near_the_surface_depth_is_the_negative_distance() -> None:
    distance = signed_distance_mm(ball(SIDE, 9))
    shape = LabelShape.of(distance)
    near = -signed_distance_mm(distance <= 0)
    assert torch.allclose(shape.depth[0].clamp(max=8), near, atol=1e-5)
    assert bool((shape.depth[0][distance <= 0] > 0).all())
    assert bool((shape.depth[0][distance > 0] < 0).all())


def test_nothing_to_label_is_a_shape_without_a_radius() -> None:
    shape = LabelShape.of(torch.full((SIDE, SIDE, SIDE), 5.0))
    assert shape.radius_mm == (0.0,) and bool((shape.depth < 0).all())


def test_shapes_are_joined_in_their_order() -> None:
    one, two = (LabelShape.of(signed_distance_mm(ball(SIDE, r))) for r in (4, 8))
    both = LabelShape.join([one, two])
    assert both.radius_mm == one.radius_mm + two.radius_mm
    assert torch.equal(both.depth[1:], two.depth) and torch.equal(both.distance[:1], one.distance)


def cut_off(side: int, radius: int, farthest: float) -> torch.Tensor:
    distance = signed_distance_mm(ball(side, radius), limit_mm=20)
    return distance.clamp_max(farthest)


@pytest.mark.parametrize("outlined", [False, True])
@pytest.mark.parametrize("farthest", [3.2, 5.1, 12.0])
def test_what_travels_is_what_lies_near_wherever_distances_are_cut_off(
    farthest: float, outlined: bool
) -> None:
    distance = cut_off(64, 8, farthest)
    outline = (distance - 0.3).clamp_max(3.0) if outlined else None
    shape = LabelShape.of(distance, outline)
    (box,) = shape.boxes()
    # As far as the depth, or distances that reach farther.
    reach = 8 + max(8, min(farthest, 10))
    assert all(s.stop - s.start <= 2 * reach + 2 for s in box)
    for field, (far,) in zip(shape.fields(), shape.outside(), strict=True):
        beyond = torch.ones(64, 64, 64, dtype=torch.bool)
        beyond[box] = False
        assert bool((field[0][beyond] == far).all())


def test_in_a_larger_window_no_more_travels() -> None:
    distance = cut_off(48, 6, 5.2)
    shape = LabelShape.of(distance, distance - 0.3)
    (own,) = shape.boxes()
    place = (slice(8, 56), slice(0, 48), slice(32, 80))
    (there,) = shape.laid_out(place, (80, 64, 80)).boxes()
    assert [(s.start - p.start, s.stop - p.start) for s, p in zip(there, place, strict=True)] == [
        (s.start, s.stop) for s in own
    ]
