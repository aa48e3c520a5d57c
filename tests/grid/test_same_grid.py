"""One check and one tolerance for all who ask whether two images lie on one grid."""

from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.grid.same_grid import Grid, grid_difference

SHAPE = (300, 200, 100)


def grid(affine: np.ndarray, shape: tuple[int, int, int] = SHAPE) -> Grid:
    return Grid(shape, affine)


def moved(mm: float) -> np.ndarray:
    affine = np.eye(4)
    affine[2, 3] = mm
    return affine


def turned(radians: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:2, :2] = [
        [np.cos(radians), -np.sin(radians)],
        [np.sin(radians), np.cos(radians)],
    ]
    return affine


HERE = grid(np.eye(4))


def test_a_grid_knows_its_voxel_sizes_and_where_its_axes_point() -> None:
    affine = np.array([[0, 0, -3.0, 5], [0.5, 0, 0, 5], [0, 2.0, 0, 5], [0, 0, 0, 1]])
    assert grid(affine).spacing == (0.5, 2.0, 3.0)
    assert grid(affine).axes == "ASL"


def test_a_tenth_of_a_voxel_is_rounding_and_more_is_another_grid() -> None:
    assert grid_difference(grid(moved(0.09)), HERE) is None
    assert grid_difference(grid(moved(0.11)), HERE) == (
        "has another affine: corners lie up to 0.11 mm apart"
    )
    coarse, fine = np.diag([2.0, 2, 2, 1]), np.diag([2.0, 2, 2, 1])
    fine[2, 3] = 0.19  # .095 voxels of 2 mm
    assert grid_difference(grid(fine), grid(coarse)) is None


def test_a_turn_by_a_rounded_quaternion_is_rounding_and_a_degree_is_another_grid() -> None:
    # 1.3 mrad over the 360 mm diagonal: .47 mm at the far corner.
    assert grid_difference(grid(turned(0.0013)), HERE) is None
    assert "another affine" in str(grid_difference(grid(turned(np.deg2rad(1))), HERE))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_grid_is_another_even_about_its_own_middle(axis: int) -> None:
    affine = np.eye(4)
    affine[axis, axis], affine[axis, 3] = -1, SHAPE[axis] - 1
    seen = ["LAS", "RPS", "RAI"][axis]
    assert f"axes point to {seen}, not RAS" in str(grid_difference(grid(affine), HERE))


def test_another_shape_is_another_grid_whatever_the_affine() -> None:
    other = grid(np.eye(4), (300, 200, 99))
    assert grid_difference(other, HERE) == "has 300 x 200 x 99 voxels, not 300 x 200 x 100"


@pytest.mark.parametrize(
    "columns",
    [
        np.zeros((3, 3)),
        np.diag([1.0, 0, 1]),
        np.array([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]]),  # two axes along one line
        np.array([[1e-4, 1e-4, 0], [0, 1e-12, 0], [0, 0, 1]]),  # nearly so
        np.diag([1.0, np.nan, 1]),
    ],
)
def test_axes_that_span_no_volume_are_refused_by_the_image_s_name(columns: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3] = columns
    with pytest.raises(SynBTError, match="The scan needs three axes.*its affine is degenerate"):
        Grid(SHAPE, affine, "The scan")


def test_very_small_and_very_long_voxels_span_a_volume() -> None:
    assert grid(np.diag([0.05, 0.05, 20, 1])).spacing == (0.05, 0.05, 20.0)


def test_a_gantry_s_tilt_is_a_grid() -> None:
    affine = np.eye(4)
    affine[:3, 2] = [0, np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20))]
    assert grid(affine).spacing == pytest.approx((1.0, 1.0, 1.0))
