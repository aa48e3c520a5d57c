"""Places: a tumor's border on the grid, its statistics, and the places beside its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analytic import ball, seeded
from breast_of_formulas import ONE, tissue_map, tissues
from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue.sites import SiteMap, find_sites
from synbt_aug.tumor.places import (
    ELSEWHERE,
    STATISTICS,
    border_of,
    own_place,
    places_of,
    statistics_at,
)
from synbt_aug.tumor.room import footprint_of, room_of

GRID_MM = (2.0, 2.0, 2.0)


def sites(gland: bool = True) -> SiteMap:
    return find_sites(tissue_map(tissues() if gland else tissues(gland_radii=None)))


def test_the_border_is_what_lies_within_four_millimetres() -> None:
    room = room_of(sites(), ONE)
    border = border_of(footprint_of(room, ball(32, 8.0), [0.5] * 3), GRID_MM)
    assert 0 < len(border) <= 128 and border.dtype == np.int64
    away = np.linalg.norm(border * 2.0, axis=1)
    # From the surface of the ball to 4 mm from it, to a voxel of the grid.
    assert away.min() >= 8 - 2 and away.max() <= 12 + 2 * 3**0.5
    # On all sides alike.
    assert np.abs(border.mean(0)).max() < 1


def test_a_shape_smaller_than_a_voxel_of_the_grid_has_a_border() -> None:
    room = room_of(sites(), ONE)
    border = border_of(footprint_of(room, ball(16, 1.0), [0.5] * 3), GRID_MM)
    assert 6 <= len(border) <= 128


def test_statistics_come_from_the_voxel_and_the_border_around_it() -> None:
    found = sites()
    assert found.landmarks is not None
    border = np.array([[4, 0, 0], [-4, 0, 0]])
    # In the middle of the gland, and 20 mm across from it.
    rows = statistics_at(found.landmarks, np.array([[19, 20, 20], [19, 30, 20]]), border)
    assert rows.shape == (2, len(STATISTICS)) and rows.dtype == np.float32
    assert rows[0, 3] == 1.0 and rows[1, 3] == 0.0
    assert rows[0, 0] > rows[1, 0]
    assert rows[0, 1] == pytest.approx(rows[1, 1], abs=1)


def test_beyond_the_box_statistics_are_those_of_its_nearest_voxel() -> None:
    found = sites()
    assert found.landmarks is not None
    far = statistics_at(found.landmarks, np.array([[100, 20, 20]]), np.array([[90, 0, 0]]))
    last = found.landmarks.start[0] + found.landmarks.gland.shape[0] - 1
    near = statistics_at(found.landmarks, np.array([[last, 20, 20]]), np.array([[0, 0, 0]]))
    assert np.array_equal(far[:, :3], near[:, :3], equal_nan=True)


def test_a_tumor_s_places_are_its_own_and_others_where_it_fits() -> None:
    places = places_of(ball(14, 6.0), (30.0, 40.0, 40.0), sites(), ONE, seeded())
    assert places is not None and places.shape == (1 + ELSEWHERE, len(STATISTICS))
    own, others = places[0].float(), places[1:].float()
    found = sites()
    assert found.landmarks is not None
    alone = own_place(ball(14, 6.0), (30.0, 40.0, 40.0), found, found.landmarks, ONE)
    assert alone == pytest.approx(own.numpy(), rel=1e-3)
    assert own[0] == pytest.approx(18, abs=2) and own[1] == pytest.approx(30, abs=2)
    # All of the shape lies 2 mm below the skin and 4 mm before the chest.
    assert float(others[:, 0].min()) >= 6 and float(others[:, 1].min()) >= 8
    assert len({tuple(row.tolist()) for row in others}) > 20


def test_a_tumor_that_fits_nowhere_else_has_its_own_place_alone() -> None:
    places = places_of(ball(64, 30.0), (40.0, 40.0, 40.0), sites(), ONE, seeded())
    assert places is not None
    assert not bool(places[0].isnan().any()) and bool(places[1:].isnan().all())


def test_places_are_not_known_where_tissues_are_not() -> None:
    nothing = find_sites(tissue_map(torch.full(ONE, int(TissueLabel.BEHIND), dtype=torch.uint8)))
    assert places_of(ball(14, 6.0), (30.0, 40.0, 40.0), nothing, ONE, seeded()) is None
