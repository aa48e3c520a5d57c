"""Neighbours in masks: the same as scipy's, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from synbt_aug.tissue.masks import dilated, enclosed, eroded, filled, opened, within

SIDES = st.tuples(*[st.integers(1, 9)] * 3)
SHARES = st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0])


def some(shape: tuple[int, ...], share: float, seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).random(shape) < share)


@given(SIDES, SHARES, st.integers(0, 99))
def test_neighbours_are_those_of_scipy(shape: tuple[int, ...], share: float, seed: int) -> None:
    mask = some(shape, share, seed)
    before = mask.copy()
    assert np.array_equal(dilated(mask), ndimage.binary_dilation(mask))
    assert np.array_equal(dilated(mask, 2), ndimage.binary_dilation(mask, iterations=2))
    assert np.array_equal(eroded(mask), ndimage.binary_erosion(mask))
    beyond = ndimage.binary_erosion(mask, border_value=1)
    assert np.array_equal(eroded(mask, beyond=True), beyond)
    assert np.array_equal(opened(mask), ndimage.binary_opening(mask))
    assert np.array_equal(filled(mask), ndimage.binary_fill_holes(mask))
    assert np.array_equal(mask, before)


@given(
    SIDES,
    SHARES,
    st.integers(0, 99),
    # No distance lies on the limit, where rounding decides.
    st.integers(0, 12).map(lambda k: k + 0.0437),
    st.tuples(*[st.sampled_from([1.0, 1.9, 2.0, 3.1])] * 3),
)
def test_what_is_within_some_mm_is_what_a_distance_says(
    shape: tuple[int, ...], share: float, seed: int, mm: float, grid_mm: tuple[float, ...]
) -> None:
    mask = some(shape, share, seed)
    expected = np.zeros_like(mask)
    if mask.any():
        expected = ndimage.distance_transform_edt(~mask, sampling=grid_mm) < mm
    assert np.array_equal(within(mask, mm, grid_mm), expected)


@pytest.mark.parametrize("mm, count", [(0.0, 0), (1.0, 1), (1.1, 7), (1.5, 19), (1.8, 27)])
def test_a_single_voxel_has_its_faces_edges_and_corners_around(mm: float, count: int) -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    assert within(mask, mm, (1.0, 1.0, 1.0)).sum() == count


def test_only_what_does_not_reach_the_end_is_enclosed() -> None:
    mask = np.zeros((7, 7, 7), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[2:4, 2, 2] = False
    mask[4, 4, 4:] = False
    parts, sizes = enclosed(mask)
    assert sorted(sizes[sizes > 0]) == [2]
    assert sizes[parts[2, 2, 2]] == 2 and sizes[parts[4, 4, 5]] == 0 and sizes[parts[1, 1, 1]] == 0
