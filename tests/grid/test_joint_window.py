"""Windows enlarged to a shape that others need."""

from __future__ import annotations

import pytest
import torch

from synbt_aug.grid.joint_window import enlarged, joint_shape, place_in, region_place, widened
from synbt_aug.grid.window import Shape, Window
from synbt_aug.volume import Spacing

SMALL: Shape = (48, 64, 48)
LARGE: Shape = (80, 64, 96)


def test_the_joint_shape_is_the_longest_side_along_each_axis() -> None:
    assert joint_shape([(48, 96, 64), (64, 48, 64), (48, 48, 80)]) == (64, 96, 80)


def test_at_1_mm_the_small_window_lies_in_the_middle_of_the_large_one() -> None:
    larger = enlarged(Window((10, -3, 20), SMALL, (1.0, 1.0, 1.0)), LARGE)
    assert larger.origin == (-6, -3, -4) and larger.shape == LARGE


@pytest.mark.parametrize(
    ("mm", "before"),
    # Half of 32 mm is 16 mm: 32 voxels of .5 mm, 8 of 2 mm, 5 of 3 mm; of .7 mm ten are 7 mm, and
    # twenty 14; of .83 mm fewer than a hundred are no whole number of mm.
    [(0.5, 32), (2.0, 8), (3.0, 5), (0.7, 20), (0.83, 0)],
)
def test_the_large_window_begins_whole_voxels_of_both_grids_before(mm: float, before: int) -> None:
    spacing: Spacing = (mm, 1.0, 1.0)
    own = Window((50, 0, 0), (48, 48, 48), spacing)
    larger = enlarged(own, (80, 48, 48))
    assert own.origin[0] - larger.origin[0] == before
    place = place_in(own, larger)
    assert place is not None and place[0] == slice(round(before * mm), round(before * mm) + 48)
    # The host voxels under the small window are among those under the large one.
    inside = region_place(own, larger)[0]
    assert inside.start == before and inside.stop <= larger.region_shape[0]


@pytest.mark.parametrize(
    ("origin", "shape"),
    [((1, 0, 0), LARGE), ((-40, 0, 0), LARGE), ((0, 0, 0), (48, 48, 48))],
    ids=["begins behind", "ends before", "shorter"],
)
def test_a_window_that_does_not_hold_another_is_no_larger_one(
    origin: tuple[int, int, int], shape: Shape
) -> None:
    own = Window((0, 0, 0), SMALL, (1.0, 1.0, 1.0))
    assert place_in(own, Window(origin, shape, own.spacing)) is None
    assert place_in(own, Window((0, 0, 0), LARGE, (1.0, 1.0, 0.5))) is None


def test_a_field_keeps_its_values_in_its_place_and_has_none_elsewhere() -> None:
    field = torch.rand(2, 3, 4, 5)
    wide = widened(field, (slice(1, 4), slice(0, 4), slice(2, 7)), (5, 4, 8), -8.0)
    assert torch.equal(wide[:, 1:4, :, 2:7], field)
    assert int((wide == -8.0).sum()) == 2 * (5 * 4 * 8 - 3 * 4 * 5)
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    assert widened(mask, (slice(1, 2),) * 3, (2, 2, 2), False).sum() == 1
