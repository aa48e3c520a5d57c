"""Room: what a site map holds, and that a place that exists is found."""

from __future__ import annotations

import math

import pytest
import torch

from analytic import MM, ball, breast, ellipsoid, find_tissue, seeded
from some_sites import everywhere, sites_of
from synbt_aug.grid.window import Window, cube, cut_mask
from synbt_aug.host import Host
from synbt_aug.tumor.choosing_place import draw_place
from synbt_aug.tumor.room import (
    AXIS_RATIOS,
    fits,
    largest_mm,
    room_of,
)
from synbt_aug.volume import Spacing

SHAPE = (60, 60, 60)


# --- how much there is ---


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_largest_tumor_is_the_ellipsoid_that_fits(axes: tuple[int, ...]) -> None:
    radii = [22 * AXIS_RATIOS[k] for k in axes]
    allowed = ellipsoid((60, 60, 60), (30, 30, 30), tuple(radii))
    found = largest_mm(sites_of(allowed, factors=(1.0, 1.0, 1.0)))
    expected = 2 * 22 * math.prod(AXIS_RATIOS) ** (1 / 3)
    # It is sought on every second voxel of 1 mm.
    assert found == pytest.approx(expected, abs=2.5)


def test_the_end_of_the_host_is_an_end() -> None:
    # Its longest axis is as long as the host.
    assert largest_mm(sites_of(everywhere())) == pytest.approx(
        60 * math.prod(AXIS_RATIOS) ** (1 / 3), abs=2.5
    )


def test_a_hole_of_one_voxel_takes_no_room() -> None:
    allowed = ball(30, 20.0, spacing=(2.0, 2.0, 2.0))
    whole = largest_mm(sites_of(allowed))
    pierced = allowed.clone()
    pierced[15, 15, 15] = False
    assert largest_mm(sites_of(pierced)) == pytest.approx(whole, rel=0.05)


def test_no_allowed_tissue_is_no_room() -> None:
    assert largest_mm(sites_of(~everywhere())) == 0


# --- where a shape fits ---


@pytest.mark.parametrize(
    "spacing, shape",
    [
        ((0.7, 1.1, 1.4), (83, 53, 41)),
        ((3.0, 0.8, 0.8), (19, 71, 70)),
        ((2.3, 2.3, 2.3), (25,) * 3),
    ],
)
def test_a_shape_fits_where_its_voxels_do_whatever_the_grid(
    spacing: Spacing, shape: tuple[int, int, int]
) -> None:
    grid = tuple(max(round(n * mm / 2), 1) for n, mm in zip(shape, spacing, strict=True))
    allowed = torch.zeros(grid, dtype=torch.bool)
    allowed[tuple(slice(n // 5, n - n // 5) for n in grid)] = True
    d, h, w = (n / g for n, g in zip(shape, grid, strict=True))
    sites = sites_of(allowed, factors=(d, h, w), spacing=spacing)
    room = room_of(sites, shape)
    mask = ball(64, 9)
    for seed in range(6):
        place = draw_place(room, mask, seeded(seed))
        assert place is not None and place.tries <= 3
        on_host = sites.to_host(shape)
        under = cut_mask(on_host, place.window)[mask]
        assert under.float().mean() >= 0.97
        assert fits(room, place.window, mask)
        away = Window((0, 0, 0), cube(64), spacing)
        assert not fits(room, away, mask) or cut_mask(on_host, away)[mask].float().mean() >= 0.97


def test_a_shape_may_lie_three_hundredths_beside_and_no_farther() -> None:
    allowed = ~everywhere()
    allowed[:15] = True
    room = room_of(sites_of(allowed), SHAPE)
    # Allowed up to 30 mm; a block of 20 mm whose end sticks out by 1 mm: 5 % beside.
    block = torch.zeros(64, 64, 64, dtype=torch.bool)
    block[22:42, 22:42, 22:42] = True
    assert fits(room, Window((-12, -10, -10), cube(64), MM), block)
    assert not fits(room, Window((-11, -10, -10), cube(64), MM), block)
    # One voxel in 4096, but 3 mm away from all that is allowed.
    thorn = block.clone()
    thorn[42:46, 32, 32] = True
    assert not fits(room, Window((-12, -10, -10), cube(64), MM), thorn)
    shorter = block.clone()
    shorter[42:44, 32, 32] = True
    assert fits(room, Window((-12, -10, -10), cube(64), MM), shorter)


def test_the_breast_holds_what_the_eye_sees() -> None:
    # 48 mm deep and 65 mm wide, less 5 mm all around: some 40 mm of room.
    sites = Host.of(breast()).sites_by(find_tissue)
    assert 25 < largest_mm(sites) < 50
