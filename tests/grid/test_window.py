"""Windows: what is cut, and what is written back."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import MM, examples, positions_mm, seeded
from synbt_aug.grid.window import (
    Window,
    cube,
    cut,
    cut_mask,
    fitting_shape,
    inside_host,
    region,
    to_region,
    to_window,
    window_around,
)
from synbt_aug.volume import Spacing

spacings = st.tuples(*[st.floats(0.5, 3.0)] * 3)
SIDE = 32
DTYPES = [
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


def grid_for(spacing: Spacing, extent_mm: float = 48) -> tuple[int, int, int]:
    d, h, w = (max(2, round(extent_mm / mm)) for mm in spacing)
    return d, h, w


def host(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return (torch.rand((2, *shape), generator=seeded(seed)) * 100 + 20).to(dtype)


def middle_window(shape: tuple[int, int, int], spacing: Spacing = MM, side: int = SIDE) -> Window:
    d, h, w = ((n - 1) / 2 for n in shape)
    return window_around((d, h, w), cube(side), spacing)


# --- where ---


@pytest.mark.parametrize(
    "extent_mm, side",
    [(1, 48), (24, 48), (24.1, 64), (40, 64), (56.1, 96), (72, 96), (88.1, 128), (104, 128)],
)
def test_each_side_is_the_smallest_with_12_mm_around_the_hole(extent_mm: float, side: int) -> None:
    assert fitting_shape((extent_mm, 10, 30)) == (side, 48, 64)


def test_no_window_holds_a_hole_of_more_than_104_mm() -> None:
    assert fitting_shape((10, 104.1, 10)) is None


@given(
    centre=st.tuples(*[st.floats(-20, 80)] * 3), spacing=spacings, side=st.sampled_from([64, 96])
)
@examples(50)
def test_a_window_lies_around_its_centre_to_half_a_host_voxel(
    centre: tuple[float, float, float], spacing: Spacing, side: int
) -> None:
    window = window_around(centre, cube(side), spacing)
    for first, c, mm in zip(window.origin, centre, spacing, strict=True):
        assert abs(first * mm + (side - 1) / 2 - c * mm) <= mm / 2 + 1e-6


def test_the_host_box_holds_the_voxels_whose_centres_lie_in_the_window() -> None:
    window = Window((-4, 10, 30), cube(64), (1.0, 2.0, 0.5))
    # 63 mm from the first to the last centre: 63, 31 and 126 steps.
    assert window.host_box((100, 100, 100)) == (slice(0, 60), slice(10, 42), slice(30, 100))
    assert window.host_box((100, 100, 300))[2] == slice(30, 157)


def test_a_window_beside_the_host_holds_none_of_it() -> None:
    box = Window((200, -90, 0), cube(64), MM).host_box((50, 50, 50))
    assert [s.stop - s.start for s in box] == [0, 0, 50]


# --- cut ---


def test_at_one_millimetre_a_cut_is_a_crop_to_the_bit() -> None:
    volume = host((48, 50, 52))
    window = Window((3, 7, 11), cube(SIDE), MM)
    assert torch.equal(cut(volume, window), volume[:, 3:35, 7:39, 11:43])


def test_beyond_the_host_the_edge_goes_on() -> None:
    volume = host((20, 40, 40))
    found = cut(volume, Window((-6, 2, 30), cube(SIDE), MM))
    assert torch.equal(found[:, 6:26, :, :10], volume[:, :, 2:34, 30:])
    assert torch.equal(found[:, :6, :, :10], volume[:, :1, 2:34, 30:].expand(-1, 6, -1, -1))
    assert torch.equal(found[:, 6:26, :, 10:], volume[:, :, 2:34, -1:].expand(-1, -1, -1, 22))


@given(spacing=spacings, value=st.floats(-100, 100, width=32), place=st.integers(-60, 60))
@examples(20)
def test_a_constant_stays_constant_at_any_spacing(
    spacing: Spacing, value: float, place: int
) -> None:
    volume = torch.full((1, *grid_for(spacing)), value)
    found = cut(volume, window_around((place, 10.0, 10.0), cube(SIDE), spacing))
    assert torch.allclose(found, torch.tensor(value), rtol=1e-5, atol=1e-6)


@given(spacing=st.tuples(*[st.floats(1.0, 3.0)] * 3))
@examples(20)
def test_a_ramp_is_interpolated_without_error(spacing: Spacing) -> None:
    shape = grid_for(spacing)
    ramp = sum(k * x for k, x in zip((1.0, -2.0, 3.0), positions_mm(shape, spacing), strict=True))
    window = middle_window(shape, spacing)
    inside = [
        x + mm * o
        for x, mm, o in zip(positions_mm((SIDE,) * 3), spacing, window.origin, strict=True)
    ]
    # Window voxel 0 lies on the centre of host voxel `origin`.
    corner = [mm / 2 - 0.5 for mm in spacing]
    expected = sum(k * (x + c) for k, x, c in zip((1.0, -2.0, 3.0), inside, corner, strict=True))
    assert torch.allclose(cut(cast(Tensor, ramp), window), cast(Tensor, expected), atol=2e-3)


def test_a_fine_host_is_averaged_over_a_millimetre() -> None:
    stripes = torch.zeros(80, 80, 80)
    stripes[::2] = 1.0
    found = cut(stripes, middle_window((80, 80, 80), (0.5, 0.5, 0.5), 24))
    assert torch.allclose(found, torch.tensor(0.5), atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cut_is_float32_whatever_the_host(dtype: torch.dtype) -> None:
    volume = host((40, 40, 40), dtype)
    found = cut(volume, Window((2, 3, 4), cube(SIDE), MM))
    assert torch.equal(found, volume[:, 2:34, 3:35, 4:36].float())


def test_a_mask_is_cut_by_nearest_voxels_and_is_false_beyond_the_host() -> None:
    mask = torch.zeros(10, 10, 10, dtype=torch.bool)
    mask[9] = True
    found = cut_mask(mask, Window((8, 0, 0), cube(SIDE), (3.0, 3.0, 3.0)))
    # Host voxel 9 covers window voxels at 2 to 4 mm; beyond 4 mm the host has ended.
    assert found.any(2).any(1).nonzero().flatten().tolist() == [2, 3, 4]
    # 10 host voxels of 3 mm from the first centre on: 0 to 28 mm.
    assert found[2].any(1).nonzero().flatten().tolist() == list(range(29))


def test_the_host_under_a_window_is_counted() -> None:
    over = inside_host(Window((-10, 0, 25), cube(SIDE), MM), (100, 100, 30), torch.device("cpu"))
    assert int(over.sum()) == 22 * 32 * 5


# --- to the host and back ---


@pytest.mark.parametrize("spacing", [MM, (0.6, 0.8, 0.5), (2.0, 1.0, 4.0)])
def test_what_is_linear_stays_so_on_the_host_voxels_under_the_window(spacing: Spacing) -> None:
    window = Window((3, -7, 11), cube(SIDE), spacing)
    content = sum(positions_mm(cube(SIDE), MM))
    found = to_region(content, window)
    # Both grids begin at one voxel's centre, not at one corner.
    expected = sum(positions_mm(window.region_shape, spacing)) - sum(mm - 1 for mm in spacing) / 2
    inner = (slice(1, -2),) * 3
    assert torch.allclose(found[inner], expected[inner], atol=1e-3)
    assert torch.allclose(
        to_window(found, window)[8:-8, 8:-8, 8:-8], content[8:-8, 8:-8, 8:-8], atol=0.15
    )


def test_the_region_is_the_host_under_the_window_with_its_edges_repeated() -> None:
    image = host((48, 50, 40))
    window = Window((3, -7, 11), cube(SIDE), MM)
    found = region(image, window)
    assert torch.equal(found[:, :, 7:, :29], image[(slice(None), *window.host_box((48, 50, 40)))])
    assert torch.equal(found[:, :, :7], found[:, :, 7:8].expand(-1, -1, 7, -1))
    assert window.inside_region((48, 50, 40)) == (slice(0, 32), slice(7, 32), slice(0, 29))
