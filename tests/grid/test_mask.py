"""Distances, smoothing and sizes, against brute force, symmetry and what formulas say."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import axis_orders, ball, ellipsoid, examples, reorder, seeded
from synbt_aug.grid.mask import (
    blend_weight,
    bounding_box,
    dilate_mm,
    distance_mm,
    down,
    equivalent_diameter_mm,
    gaussian,
    gaussian_matrix,
    gaussian_mean,
    longest_mm,
    separable,
    signed_distance_mm,
    smooth_surface,
    sphere_voxels,
)

spacings = st.tuples(*[st.floats(0.5, 3.0)] * 3)


def random_mask(seed: int, share: float = 0.05, shape: tuple[int, ...] = (7, 8, 9)) -> Tensor:
    return torch.rand(shape, generator=seeded(seed)) < share


def diameter(distance: Tensor) -> float:
    return equivalent_diameter_mm(int((distance <= 0).sum()))


# --- down ---


def test_down_gives_the_share_of_each_cell() -> None:
    mask = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    mask[0, 5, 6, 7] = True
    mask[0, :4, :4, :2] = True
    cells = down(mask)
    assert cells.shape == (1, 1, 2, 2, 2) and cells.dtype == torch.float32
    assert cells[0, 0, 1, 1, 1] == 1 / 64
    assert cells[0, 0, 0, 0, 0] == 0.5
    assert cells.sum() == 0.5 + 1 / 64


# --- distances ---


@given(seed=st.integers(0, 99), spacing=spacings)
@examples(25)
def test_distances_equal_brute_force(seed: int, spacing: tuple[float, float, float]) -> None:
    mask = random_mask(seed)
    mask[3, 4, 4] = True
    step = torch.tensor(spacing)
    here = torch.ones_like(mask).nonzero() * step
    there = mask.nonzero() * step
    brute = (here[:, None] - there[None]).norm(dim=2).amin(1).view(mask.shape).clamp_max(8.0)
    assert torch.allclose(distance_mm(mask, spacing), brute, atol=1e-4)


def test_distances_end_at_their_limit() -> None:
    mask = torch.zeros(20, 1, 1, dtype=torch.bool)
    mask[0] = True
    found = distance_mm(mask, limit_mm=5.0).flatten()
    assert found.tolist() == [min(k, 5) for k in range(20)]


def test_a_batch_of_masks_has_the_distances_of_its_members() -> None:
    masks = torch.stack([random_mask(k) for k in range(3)])
    assert torch.equal(distance_mm(masks)[2], distance_mm(masks[2]))


def test_the_surface_runs_halfway_between_voxel_centres() -> None:
    half = torch.zeros(10, 4, 4, dtype=torch.bool)
    half[:5] = True
    along = signed_distance_mm(half)[:, 2, 2]
    assert along.tolist() == [-4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5]


@given(seed=st.integers(0, 99), spacing=spacings)
@examples(15)
def test_inside_and_outside_are_antisymmetric(
    seed: int, spacing: tuple[float, float, float]
) -> None:
    mask = random_mask(seed, 0.4)
    there, back = signed_distance_mm(mask, spacing), signed_distance_mm(~mask, spacing)
    assert torch.equal(there, -back)
    assert bool((there[mask] < 0).all()) and bool((there[~mask] > 0).all())


def test_an_empty_mask_is_far_from_everywhere() -> None:
    empty = torch.zeros(5, 5, 5, dtype=torch.bool)
    assert bool((signed_distance_mm(empty) == 8.0).all())
    assert bool((signed_distance_mm(~empty) == -8.0).all())


def test_distances_do_not_know_the_order_of_the_axes() -> None:
    mask, spacing = random_mask(1), (0.7, 1.0, 2.5)
    expected = signed_distance_mm(mask, spacing)
    for order, flip in axis_orders():
        turned = tuple(spacing[k] for k in order)
        found = signed_distance_mm(reorder(mask, order, flip), turned)  # type: ignore[arg-type]
        assert torch.allclose(found, reorder(expected, order, flip), atol=1e-5)


def test_a_voxel_dilated_by_two_millimetres_is_a_ball_of_33_voxels() -> None:
    voxel = torch.zeros(9, 9, 9, dtype=torch.bool)
    voxel[4, 4, 4] = True
    # 1 at 0, 6 at 1, 12 at sqrt 2, 8 at sqrt 3, 6 at 2.
    assert int(dilate_mm(voxel, 2.0).sum()) == 33
    assert int(dilate_mm(voxel, 1.9).sum()) == 27
    assert torch.equal(dilate_mm(voxel, 0.0), voxel)


def test_dilation_counts_millimetres_not_voxels() -> None:
    voxel = torch.zeros(9, 9, 9, dtype=torch.bool)
    voxel[4, 4, 4] = True
    reached = dilate_mm(voxel, 3.0, (1.0, 2.0, 4.0)).nonzero() - 4
    assert reached.abs().amax(0).tolist() == [3, 1, 0]


# --- blend and smoothing ---


def test_the_blend_is_whole_inside_half_on_the_surface_and_nothing_outside() -> None:
    found = blend_weight(torch.tensor([-5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0]))
    assert found.tolist() == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


@given(sigma=st.floats(0.8, 4.0))
@examples(15)
def test_a_gaussian_keeps_constants_and_has_its_width(sigma: float) -> None:
    matrix = gaussian_matrix(65, sigma)
    row, offset = matrix[32], torch.arange(65) - 32.0
    assert row.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (row * offset).sum().item() == pytest.approx(0.0, abs=1e-4)
    # A kernel sampled at whole voxels and cut at 4 sigma has the variance to 1 %.
    assert (row * offset**2).sum().item() == pytest.approx(sigma**2, rel=0.01)
    assert torch.equal(matrix, matrix.T)


def test_what_lies_outside_counts_as_zero() -> None:
    blurred = gaussian(torch.ones(20, 20, 20), 1.5)
    assert blurred[10, 10, 10].item() == pytest.approx(1.0, abs=1e-5)
    # On a face half the kernel, with the voxel itself, lies inside; on an edge half of a half.
    face = blurred[0, 10, 10].item()
    assert 0.5 < face < 0.7
    assert blurred[0, 0, 10].item() == pytest.approx(face**2, rel=1e-4)


def test_separable_matrices_act_each_on_their_own_axis() -> None:
    volume = torch.randn(2, 3, 4, 5, generator=seeded())
    a, b, c = (torch.randn(n + 1, n, generator=seeded(n)) for n in (3, 4, 5))
    found = separable(volume, (a, b, c))
    assert torch.allclose(found, torch.einsum("xd,yh,zw,bdhw->bxyz", a, b, c, volume), atol=1e-4)


def test_identity_matrices_change_no_bit() -> None:
    volume = torch.randn(2, 3, 4, 5, generator=seeded())
    assert torch.equal(separable(volume, (torch.eye(3), torch.eye(4), torch.eye(5))), volume)


# --- the way for whole millimetres ---


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("limit", [2.5, 8.0, 16.0])
def test_whole_millimetres_on_the_cpu_give_the_same_bits_as_any_others(
    share: float, limit: float
) -> None:
    for seed, shape in enumerate(((2, 9, 14), (20, 21, 22), (31, 5, 17))):
        mask = random_mask(seed, share, shape)
        # A batch goes the general way.
        assert torch.equal(
            signed_distance_mm(mask, limit_mm=limit),
            signed_distance_mm(mask[None], limit_mm=limit)[0],
        )
        assert torch.equal(
            distance_mm(mask, limit_mm=limit), distance_mm(mask[None], limit_mm=limit)[0]
        )


@pytest.mark.parametrize("full", [False, True])
def test_whole_millimetres_know_empty_and_full_masks(full: bool) -> None:
    mask = torch.full((6, 7, 8), full)
    assert bool((signed_distance_mm(mask, limit_mm=5.0) == (-5.0 if full else 5.0)).all())
    assert bool((distance_mm(mask, limit_mm=5.0) == (0.0 if full else 5.0)).all())


# --- smoothing ---


def test_smoothing_takes_a_thin_strand_and_leaves_a_ball() -> None:
    body = ball(40, 8)
    strand = ellipsoid((40, 40, 40), (32, 20, 20), (14, 1, 1))
    smooth = smooth_surface(signed_distance_mm(body | strand))
    assert not bool((smooth <= 0)[31:].any())
    assert diameter(smooth) == pytest.approx(16.0, abs=0.5)


@pytest.mark.parametrize("thickness, stays", [(1, False), (2, False), (4, True), (6, True)])
def test_strands_under_two_to_three_millimetres_go(thickness: int, stays: bool) -> None:
    mask = torch.zeros(32, 32, 32, dtype=torch.bool)
    mask[:, 16 : 16 + thickness, 16 : 16 + thickness] = True
    smooth = smooth_surface(signed_distance_mm(mask))
    assert bool((smooth <= 0)[16].any()) is stays


def test_a_smoothed_distance_has_hardly_two_equal_values_near_the_surface() -> None:
    lumpy = ellipsoid((32, 32, 32), (15.7, 16.2, 15.1), (8.3, 7.1, 6.2))
    lumpy |= ellipsoid((32, 32, 32), (20.3, 18.6, 13.2), (7.2, 4.4, 5.7))
    near = smooth_surface(signed_distance_mm(lumpy))
    near = near[near.abs() < 1].flatten()
    assert len(near.unique()) > 0.9 * len(near)


# --- sizes ---


@given(diameter_mm=st.floats(6, 60), spacing=spacings)
@examples(40)
def test_a_sphere_counted_in_voxels_has_its_diameter_to_half_a_voxel_of_volume(
    diameter_mm: float, spacing: tuple[float, float, float]
) -> None:
    volume = math.pi / 6 * equivalent_diameter_mm(sphere_voxels(diameter_mm, spacing), spacing) ** 3
    wanted = math.pi / 6 * diameter_mm**3
    voxel = math.prod(spacing)
    # There is always at least one voxel.
    assert abs(volume - wanted) <= max(0.5 * voxel, voxel - wanted) + 1e-6 * wanted


def test_a_ball_of_113_voxels_is_six_millimetres_across() -> None:
    assert sphere_voxels(6.0) == 113
    assert equivalent_diameter_mm(113) == pytest.approx(6.0, abs=0.01)
    assert equivalent_diameter_mm(1, (6.0, 6.0, 6.0)) == pytest.approx(6 * (6 / math.pi) ** (1 / 3))


def test_the_longest_line_of_a_row_is_its_length() -> None:
    row = torch.zeros(20, 3, 3, dtype=torch.bool)
    row[4:14, 1, 1] = True
    assert longest_mm(row) == pytest.approx(10.0, rel=0.005)
    assert longest_mm(row, (2.0, 1.0, 1.0)) == pytest.approx(9 * 2 + 1, rel=0.005)


@given(seed=st.integers(0, 99))
@examples(15)
def test_the_longest_line_falls_short_of_all_pairs_by_half_a_per_cent_at_most(seed: int) -> None:
    points = torch.randint(0, 24, (20, 3), generator=seeded(seed))
    mask = torch.zeros(24, 24, 24, dtype=torch.bool)
    mask[tuple(points.T)] = True
    true = max(math.dist(a, b) for a, b in itertools.combinations(mask.nonzero().tolist(), 2))
    assert 0.995 * true <= longest_mm(mask) - 1 <= true + 1e-3


def test_nothing_has_no_length() -> None:
    assert longest_mm(torch.zeros(4, 4, 4, dtype=torch.bool)) == 0.0


def test_a_bounding_box_holds_the_mask_and_no_more() -> None:
    mask = torch.zeros(7, 8, 9, dtype=torch.bool)
    mask[2, 3, 4] = mask[5, 3, 8] = True
    assert bounding_box(mask) == ((2, 6), (3, 4), (4, 9))
    assert bounding_box(torch.tensor([False, True, True, False])) == ((1, 3),)


def test_a_gaussian_mean_is_the_blur_over_the_blur_of_ones() -> None:
    volume = torch.rand(2, 9, 14, 7, generator=torch.Generator().manual_seed(0))
    wanted = gaussian(volume, 1.7) / gaussian(torch.ones(9, 14, 7), 1.7)
    assert torch.allclose(gaussian_mean(volume, 1.7), wanted, rtol=1e-5)
    assert torch.allclose(gaussian_mean(torch.ones(3, 5, 4), 2.0), torch.ones(3, 5, 4))
