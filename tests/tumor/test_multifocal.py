"""Multifocal groups: lesions that keep how they lay to each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from analytic import MM, ball, breast, painter, seeded, small_bank
from synbt_aug.grid.posing import rotation_matrix
from synbt_aug.grid.window import Window, cube
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.multifocal import (
    Satellite,
    group_chance,
    largest_of_groups,
    place_satellite,
    satellites_of,
)
from synbt_aug.tumor.placement import Pose

SHAPE = (96, 96, 96)
MIDDLE = Window((16, 16, 16), cube(64), MM)  # its middle: 47.5
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def lesion(radius: int, group: str, offset: tuple[float, float, float], kind: str) -> Template:
    appearance = Appearance(0.8, 0.2, 1.1, 0.2, kind)
    return Template(ball(2 * radius, radius), appearance, group, group, offset)


def group_bank() -> TumorBank:
    """Three lesions of one case, two of another, the satellite first, and one alone."""
    return TumorBank(
        (
            lesion(8, "a", (0.0, 0.0, 0.0), "mass"),
            lesion(5, "a", (0.0, 0.0, 20.0), "mass"),
            lesion(4, "a", (-15.0, 0.0, 0.0), "rim"),
            lesion(4, "b", (10.0, 0.0, 0.0), "mass"),
            lesion(6, "b", (0.0, 0.0, 0.0), "rim"),
            lesion(7, "", (0.0, 0.0, 0.0), "mass"),
        )
    )


def pose_of(template: int, quaternion: tuple[float, float, float, float], flip: bool) -> Pose:
    return Pose(template, quaternion, flip, 0.5, 3)


def sites_of(allowed: Tensor) -> SiteMap:
    return SiteMap(allowed.float(), allowed, (2.0, 2.0, 2.0), MM)


def satellite(centre: tuple[float, float, float], diameter: float = 8.0) -> Satellite:
    return Satellite(pose_of(2, UPRIGHT, False), diameter, centre, (47.5,) * 3, 18.0)


# --- which they are ---


def test_a_group_is_known_by_its_largest_lesion() -> None:
    assert largest_of_groups(group_bank()) == [0, 4]
    assert largest_of_groups(group_bank(), "rim") == [4]
    assert largest_of_groups(group_bank(), "non-mass") == []
    assert largest_of_groups(small_bank()) == []


def test_satellites_keep_size_and_place_to_the_largest() -> None:
    found = satellites_of(group_bank(), pose_of(0, UPRIGHT, False), 16.0, MIDDLE, seeded())
    # A ball of 8 voxels' radius is nearly 16 mm wide: the zoom is nearly 1.
    assert [s.pose.template for s in found] == [1, 2]
    assert found[0].diameter_mm == pytest.approx(10.0, abs=0.3)
    assert found[0].centre == pytest.approx((47.5, 47.5, 67.5), abs=0.3)
    assert found[1].centre == pytest.approx((32.5, 47.5, 47.5), abs=0.3)
    assert all(s.beside == (47.5, 47.5, 47.5) for s in found)


def test_satellites_turn_flip_and_grow_with_the_largest() -> None:
    half_turn = (0.0, 1.0, 0.0, 0.0)  # about the first axis
    found = satellites_of(group_bank(), pose_of(0, half_turn, True), 32.0, MIDDLE, seeded())
    zoom = 32.0 / group_bank().diameters_mm[0]
    # The first axis is mirrored, the third one turned around, and all of it zoomed.
    assert found[0].centre == pytest.approx((47.5, 47.5, 47.5 - 20 * zoom))
    assert found[1].centre == pytest.approx((47.5 + 15 * zoom, 47.5, 47.5))
    assert found[1].diameter_mm == pytest.approx(zoom * group_bank().diameters_mm[2])
    assert all(s.pose.quaternion == half_turn and s.pose.flip for s in found)


def test_offsets_are_turned_as_the_shapes_are() -> None:
    w, x, y, z = (0.5, 0.5, -0.5, 0.5)
    found = satellites_of(group_bank(), pose_of(0, (w, x, y, z), False), 16.0, MIDDLE, seeded())
    turned = rotation_matrix(torch.tensor([w, x, y, z])) @ torch.tensor([0.0, 0.0, 20.0])
    zoom = 16.0 / group_bank().diameters_mm[0]
    expected = [47.5 + zoom * float(v) for v in turned]
    assert found[0].centre == pytest.approx(expected, abs=1e-4)


def test_offsets_are_in_mm_whatever_the_host() -> None:
    window = Window((8, 20, 5), cube(64), (2.0, 1.0, 4.0))
    found = satellites_of(group_bank(), pose_of(0, UPRIGHT, False), 16.0, window, seeded())
    zoom = 16.0 / group_bank().diameters_mm[0]
    assert found[0].centre == pytest.approx((8 + 15.75, 20 + 31.5, 5 + 7.875 + 5 * zoom))


def test_no_satellite_is_smaller_than_six_millimetres() -> None:
    found = satellites_of(group_bank(), pose_of(0, UPRIGHT, False), 8.0, MIDDLE, seeded())
    assert [s.diameter_mm for s in found] == [6.0, 6.0]


@pytest.mark.parametrize("template", [5, 1])
def test_a_lesion_without_a_group_gets_small_ones_around_it(template: int) -> None:
    counts, away = set(), []
    for seed in range(40):
        how = pose_of(template, UPRIGHT, False)
        found = satellites_of(group_bank(), how, 14.0, MIDDLE, seeded(seed))
        counts.add(len(found))
        sizes = [s.diameter_mm for s in found]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] >= 6 and sizes[0] <= 14
        away += [math.dist(s.centre, (47.5,) * 3) for s in found]
    assert counts == {1, 2, 3}
    # Three axes of 17 mm each: 29.4 mm in the quadratic mean.
    assert math.sqrt(float(np.mean(np.square(away)))) == pytest.approx(29.4, rel=0.2)


def test_where_groups_are_not_wanted_no_number_is_drawn() -> None:
    generator = seeded()
    before = generator.get_state()
    assert not group_chance(0.0, generator)
    assert torch.equal(generator.get_state(), before)
    assert group_chance(1.0, generator)
    assert 20 < sum(group_chance(0.4, generator) for _ in range(100)) < 60


# --- where they go ---


def test_a_satellite_goes_where_it_belongs() -> None:
    everywhere = torch.ones(48, 48, 48, dtype=torch.bool)
    found = place_satellite(sites_of(everywhere), SHAPE, group_bank(), 2.0, satellite((70.5,) * 3))
    assert found is not None
    assert list(found.window.centre) == [70.5, 70.5, 70.5]
    assert found.diameter_mm == 8.0


def test_a_satellite_without_room_goes_to_the_nearest_place() -> None:
    allowed = torch.ones(48, 48, 48, dtype=torch.bool)
    allowed[:, :, 30:] = False
    found = place_satellite(
        sites_of(allowed), SHAPE, group_bank(), 2.0, satellite((47.5, 47.5, 75.5))
    )
    assert found is not None
    d, h, w = found.window.centre
    # Allowed up to 60 mm, the ball's radius is 4 mm.
    assert abs(d - 47.5) <= 1.5 and abs(h - 47.5) <= 1.5 and 54 <= w <= 58


def test_a_satellite_stays_in_its_breast() -> None:
    allowed = torch.zeros(48, 48, 48, dtype=torch.bool)
    allowed[:, :, :24], allowed[:, :, 36:] = True, True
    # The largest lesion took the middle of its breast: that is no border.
    allowed[:, :, 20:28] = False
    allowed[:, :, 24:27] = True
    found = place_satellite(
        sites_of(allowed), SHAPE, group_bank(), 2.0, satellite((47.5, 47.5, 84.5))
    )
    assert found is not None
    assert found.window.centre[2] < 60


def test_a_satellite_without_a_place_is_left_out() -> None:
    nowhere = torch.zeros(48, 48, 48, dtype=torch.bool)
    assert (
        place_satellite(sites_of(nowhere), SHAPE, group_bank(), 2.0, satellite((47.5,) * 3)) is None
    )


# --- painted ---


def with_bank(bank: TumorBank) -> TumorSynthesizer:
    synthesizer = painter()
    synthesizer.bank = bank
    return synthesizer


@pytest.mark.parametrize("bank", [group_bank(), small_bank()], ids=["groups", "none"])
def test_a_group_is_painted_lesion_by_lesion(bank: TumorBank) -> None:
    for seed in range(3):
        result = with_bank(bank)(breast(), seed=seed, diameter_mm=10.0, multifocal=1.0)
        assert result.painted and result.recipe is not None
        lesions = result.recipe["tumors"]
        left_out = result.measured.get("left_out", [])
        assert len(lesions) + len(left_out) >= 2
        assert lesions[0]["diameter_mm"] == 10.0
        assert all(t["diameter_mm"] <= 10.0 for t in lesions)
        assert all("no room" in reason for reason in left_out)


def test_a_painted_group_replays_bit_by_bit() -> None:
    synthesizer = with_bank(group_bank())
    result = synthesizer(breast(), seed=1, diameter_mm=9.0, multifocal=1.0)
    assert result.recipe is not None and len(result.recipe["tumors"]) > 1
    again = synthesizer.replay(breast(), result.recipe)
    assert torch.equal(again.image, result.image) and torch.equal(again.tumor, result.tumor)


def test_lesions_of_a_group_do_not_touch() -> None:
    result = with_bank(group_bank())(breast(), seed=1, diameter_mm=9.0, multifocal=1.0)
    assert result.recipe is not None
    _, count = ndimage.label(result.tumor.numpy(), np.ones((3, 3, 3)))
    assert count == len(result.recipe["tumors"]) > 1


def test_without_multifocal_nothing_changes() -> None:
    one = painter()(breast(), seed=4)
    other = painter()(breast(), seed=4, multifocal=0.0)
    assert torch.equal(one.image, other.image)
    assert one.recipe is not None and len(one.recipe["tumors"]) == 1


def test_null_paints_have_no_satellites() -> None:
    result = painter()(breast(), seed=0, kind="null", multifocal=1.0, diameter_mm=9.0)
    assert result.recipe is not None and len(result.recipe["tumors"]) == 1
