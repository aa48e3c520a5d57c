"""Benign things: their sizes, and numbers that give the same shape again."""

from __future__ import annotations

import json
import math

import pytest
import torch
from scipy import ndimage

from analytic import seeded
from synbt_aug.grid.mask import equivalent_diameter_mm, longest_mm
from synbt_aug.tumor.distractor import (
    SHAPES,
    Distractor,
    distractor_count,
    distractor_distance,
    draw_distractor,
)

UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def many(count: int = 60) -> list[Distractor]:
    generator = seeded(4)
    return [draw_distractor(generator) for _ in range(count)]


def test_all_shapes_are_drawn_and_come_back_from_json() -> None:
    assert {one.shape for one in many()} == set(SHAPES)
    for one in many(9):
        assert Distractor.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_what_is_no_distractor_is_refused() -> None:
    values = many(1)[0].to_dict()
    with pytest.raises(ValueError, match="no distractor of shape 'cube'"):
        Distractor.from_dict({**values, "shape": "cube"})
    with pytest.raises(ValueError, match="no distractor"):
        Distractor.from_dict({**values, "size_mm": [1.0, 2.0, 500.0]})


def test_masses_are_of_6_to_15_mm_and_nodes_of_5_to_10() -> None:
    for one in many(30):
        mask = distractor_distance(one) <= 0
        if one.shape == "mass":
            wanted = 2 * math.prod(one.size_mm) ** (1 / 3)
            assert 6 <= wanted <= 15
            assert equivalent_diameter_mm(int(mask.sum())) == pytest.approx(wanted, rel=0.05)
        elif one.shape == "node":
            assert 5 <= 2 * max(one.size_mm) <= 10
            # A voxel is counted whole at either end.
            assert longest_mm(mask) == pytest.approx(2 * max(one.size_mm), abs=1.2)


def test_a_ball_has_the_distance_to_a_ball() -> None:
    ball = Distractor("mass", UPRIGHT, (6.0, 6.0, 6.0), 0.0, 0.3)
    distance = distractor_distance(ball)
    axis = torch.arange(64) - 31.5
    exact = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt() - 6
    assert (distance - exact.clamp(-8, 8)).abs().max() < 1e-4


def test_a_straight_vessel_has_its_length_and_tapers() -> None:
    vessel = Distractor("vessel", UPRIGHT, (24.0, 4.0, 2.0), 1e-3, 0.6)
    distance = distractor_distance(vessel)
    rows = (distance <= 0).flatten(1).any(1).nonzero().flatten()
    # Half a thickness of round end on either side.
    assert int(rows[-1] - rows[0]) + 1 == pytest.approx(24 + 2 + 1, abs=1)
    areas = (0.5 - distance).clamp(0, 1).flatten(1).sum(1)
    thick, thin = areas[24:28].mean(), areas[38:42].mean()
    # Diameters a sixth of the way from either end: 3.6 and 2.4 mm, roughly.
    assert float(thick / thin) == pytest.approx((3.6 / 2.4) ** 2, rel=0.25)


def test_a_vessel_that_turns_is_shorter_across_and_in_one_piece() -> None:
    distances = [
        distractor_distance(Distractor("vessel", UPRIGHT, (26.0, 3.0, 2.0), turn, 0.6))
        for turn in (1e-3, 1.5)
    ]
    straight, bent = (distance <= 0 for distance in distances)
    # The chord of an arc: 2 r sin(turn / 2), with r = length / turn.
    chord = 2 * 26 / 1.5 * math.sin(0.75)
    assert longest_mm(straight) - longest_mm(bent) == pytest.approx(26 - chord, abs=1.0)
    volumes = [float((0.5 - distance).clamp(0, 1).sum()) for distance in distances]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)
    assert ndimage.label(bent.numpy())[1] == 1


def test_every_distractor_fits_its_window_with_tissue_around() -> None:
    for one in many(30):
        mask = distractor_distance(one) <= 3
        edge = torch.zeros_like(mask)
        edge[12:-12, 12:-12, 12:-12] = True
        assert not bool((mask & ~edge).any()), one


def test_the_mean_count_is_what_is_expected() -> None:
    counts = [distractor_count(1.3, seeded(k)) for k in range(400)]
    assert set(counts) == {1, 2}
    # SD of the mean: sqrt(.3 * .7 / 400) = .023.
    assert sum(counts) / 400 == pytest.approx(1.3, abs=0.08)


def test_counting_leaves_the_generator_where_it_is() -> None:
    generator = seeded(1)
    before = generator.get_state()
    assert distractor_count(0.0, generator) == 0 and distractor_count(2.0, generator) == 2
    assert torch.equal(generator.get_state(), before)


def test_a_benign_mass_enhances_less_than_most_tumors_and_a_node_has_a_hilum() -> None:
    for one in many():
        asked = one.appearance
        assert asked.enhancement == one.enhancement and 0.15 <= one.enhancement <= 0.9
        if one.shape == "mass":
            assert one.enhancement <= 0.4 and asked.rim == 1.0
        assert (asked.rim == 1.8) is (one.shape == "node")
