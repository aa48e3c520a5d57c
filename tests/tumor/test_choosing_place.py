"""A place for a shape: one that exists is found, by its weight, and by a seed on any machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analytic import ball, seeded
from some_sites import everywhere, sites_of
from synbt_aug.grid.window import Window
from synbt_aug.tumor.choosing_place import Weighs, draw_place, nearest_place
from synbt_aug.tumor.room import Footprint, Room, room_of

SHAPE = (60, 60, 60)


def middle_of(window: Window) -> list[float]:
    return list(window.centre)


def test_the_one_place_with_room_is_found_to_its_voxel() -> None:
    weight = torch.zeros(30, 30, 30)
    weight[15, 12, 17] = 1.0
    room = room_of(sites_of(everywhere(), weight), SHAPE)
    for seed in range(5):
        place = draw_place(room, ball(64, 4), seeded(seed))
        assert place is not None and place.tries == 1
        # Grid voxel k covers host voxels 2k and 2k + 1; a window's middle lies between voxels.
        for c, k in zip(middle_of(place.window), (15, 12, 17), strict=True):
            assert 2 * k - 1 <= c <= 2 * k + 2


@pytest.mark.parametrize("seed", range(4))
def test_a_place_that_exists_is_found_at_the_first_try(seed: int) -> None:
    # Slits and crumbs everywhere, and one room that holds the shape and hardly more.
    allowed = torch.rand(48, 48, 48, generator=seeded(seed)) < 0.3
    corner = torch.randint(2, 30, (3,), generator=seeded(seed + 10)).tolist()
    allowed[tuple(slice(c, c + 13) for c in corner)] = True
    room = room_of(sites_of(allowed), (96, 96, 96))
    place = draw_place(room, ball(64, 11.5), seeded(seed))
    assert place is not None and place.tries == 1
    for c, k in zip(middle_of(place.window), corner, strict=True):
        assert abs(c - (2 * (k + 6.5) - 0.5)) <= 4


def test_likely_sites_are_drawn_as_often_as_they_are_likely() -> None:
    weight = torch.zeros(30, 30, 30)
    weight[15, 15, 8], weight[15, 15, 20] = 1.0, 4.0
    room = room_of(sites_of(everywhere(), weight), SHAPE)
    generator = seeded()
    right = 0
    for _ in range(100):
        place = draw_place(room, ball(64, 3), generator)
        assert place is not None
        right += middle_of(place.window)[2] > 30
    # 80 expected, 4 SDs are 16.
    assert 64 <= right <= 96


@pytest.mark.parametrize("sites", ["two", "all"])
def test_places_are_drawn_by_the_weights_of_their_shape(sites: str) -> None:
    # Of two all sites are looked at, of thousands some.
    weight = torch.zeros(30, 30, 30)
    if sites == "two":
        weight[15, 15, 8], weight[15, 15, 20] = 1.0, 1.0
    else:
        weight[5:25, 5:25, 5:25] = 1.0
    room = room_of(sites_of(everywhere(), weight), SHAPE)

    def weigh(_: Footprint, found: np.ndarray) -> np.ndarray:
        return np.where(found % 30 >= 15, 4.0, 1.0)

    generator, right = seeded(), 0
    for _ in range(100):
        place = draw_place(room, ball(16, 3), generator, weigh=weigh)
        assert place is not None
        right += middle_of(place.window)[2] > 29
    assert 64 <= right <= 96


@pytest.mark.parametrize("weighed", [False, True])
def test_rounding_of_the_tissues_leaves_nearly_all_sites_of_seeds(weighed: bool) -> None:
    # Other tissues at the border, other weights everywhere: what another machine's network gives.
    numbers = torch.Generator().manual_seed(0)
    here = ball(30, 11)
    weight = here * (0.2 + torch.rand((30, 30, 30), generator=numbers))
    border = ball(30, 11.5) & ~ball(30, 10.5)
    flipped = border & (torch.rand(border.shape, generator=numbers) < 0.03)
    noise = 1 + 0.01 * torch.randn(weight.shape, generator=numbers)
    there = here ^ flipped
    assert 5 < int(flipped.sum()) < 100
    rooms = [
        room_of(sites_of(here, weight), SHAPE),
        room_of(sites_of(there, there * weight * noise), SHAPE),
    ]
    shape = ball(24, 6)

    def weigh(room: Room) -> Weighs:
        return lambda _, found: room.weight[found] ** 2

    same = 0
    for seed in range(100):
        places = [
            draw_place(room, shape, seeded(seed), weigh=weigh(room) if weighed else None)
            for room in rooms
        ]
        assert places[0] is not None and places[1] is not None
        same += places[0].window == places[1].window
    assert same >= 90


def test_a_draw_takes_as_many_random_numbers_whatever_the_tissues() -> None:
    shape = ball(24, 6)
    after = []
    # No site; sites without room; little room; much.
    for radius in (0.0, 2.0, 3.5, 8.0, 14.0):
        generator = seeded(1)
        draw_place(room_of(sites_of(ball(30, radius)), SHAPE), shape, generator)
        after.append(float(torch.rand((), generator=generator)))
    assert len(set(after)) == 1


def test_sites_without_room_leave_their_share_to_the_others() -> None:
    allowed = torch.zeros(30, 30, 30, dtype=torch.bool)
    allowed[10:22, 10:22, 10:22] = True
    allowed[2, 2, 2] = True
    weight = allowed.float()
    weight[2, 2, 2] = 1e6
    place = draw_place(room_of(sites_of(allowed, weight), SHAPE), ball(64, 6), seeded())
    assert place is not None
    assert all(20 <= c <= 44 for c in middle_of(place.window))


def test_where_there_is_no_room_there_is_no_place() -> None:
    assert draw_place(room_of(sites_of(~everywhere()), SHAPE), ball(64, 4), seeded()) is None
    slit = ~everywhere()
    slit[14:16] = True
    assert draw_place(room_of(sites_of(slit), SHAPE), ball(64, 8), seeded()) is None


def test_no_part_of_a_shape_leaves_the_host() -> None:
    room = room_of(sites_of(everywhere()), SHAPE)
    for seed in range(20):
        place = draw_place(room, ball(64, 12), seeded(seed))
        assert place is not None
        for c in middle_of(place.window):
            assert 11.5 <= c <= 60 - 12.5


def test_a_place_with_room_is_kept() -> None:
    room = room_of(sites_of(everywhere()), SHAPE)
    place = nearest_place(room, ball(64, 5), (30.5, 22.5, 33.5), np.ones((30, 30, 30), bool))
    assert place is not None
    assert middle_of(place.window) == [30.5, 22.5, 33.5]


def test_otherwise_the_nearest_is_taken() -> None:
    allowed = everywhere()
    allowed[:, :, :12] = False
    room = room_of(sites_of(allowed), SHAPE)
    place = nearest_place(room, ball(64, 5), (30.5, 30.5, 16.5), allowed.numpy())
    assert place is not None
    d, h, w = middle_of(place.window)
    # Allowed from host voxel 24 on: the ball's middle lies 5 mm behind it, to a grid voxel.
    assert abs(d - 30.5) <= 1 and abs(h - 30.5) <= 1 and 27 <= w <= 31


def test_the_nearest_place_is_sought_only_among_the_voxels_named() -> None:
    among = np.zeros((30, 30, 30), bool)
    among[20:] = True
    room = room_of(sites_of(everywhere()), SHAPE)
    place = nearest_place(room, ball(64, 5), (20.5, 30.5, 30.5), among)
    assert place is not None and 40 <= middle_of(place.window)[0] <= 43
    none = nearest_place(room, ball(64, 5), (20.5, 30.5, 30.5), np.zeros((30, 30, 30), bool))
    assert none is None
