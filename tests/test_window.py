"""Windows: what is cut, and what is written back."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from analytic import MM, ball, examples, positions_mm, seeded
from synbt_aug.mask import equivalent_diameter_mm, signed_distance_mm, smooth_surface
from synbt_aug.volume import Spacing
from synbt_aug.window import (
    Window,
    cut,
    cut_mask,
    fitting_side,
    inside_host,
    to_host,
    window_around,
    write_change,
)

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
    return window_around((d, h, w), side, spacing)


#: A smooth lump of about 14 mm without symmetry, so that no two voxels lie at one depth.
LUMP = smooth_surface(
    signed_distance_mm(ball(SIDE, 6.4, (15.7, 16.1, 15.2)) | ball(SIDE, 4.3, (19.1, 14.3, 17.6)))
)
ONES = torch.ones(2, SIDE, SIDE, SIDE)


# --- where ---


@pytest.mark.parametrize(
    "extent_mm, side",
    [(1, 64), (40, 64), (40.1, 96), (72, 96), (72.1, 128), (104, 128), (104.1, None)],
)
def test_the_smallest_window_with_12_mm_around_the_hole_is_taken(
    extent_mm: float, side: int | None
) -> None:
    assert fitting_side(extent_mm) == side


@given(
    centre=st.tuples(*[st.floats(-20, 80)] * 3), spacing=spacings, side=st.sampled_from([64, 96])
)
@examples(50)
def test_a_window_lies_around_its_centre_to_half_a_host_voxel(
    centre: tuple[float, float, float], spacing: Spacing, side: int
) -> None:
    window = window_around(centre, side, spacing)
    for first, c, mm in zip(window.origin, centre, spacing, strict=True):
        assert abs(first * mm + (side - 1) / 2 - c * mm) <= mm / 2 + 1e-6


def test_the_host_box_holds_the_voxels_whose_centres_lie_in_the_window() -> None:
    window = Window((-4, 10, 30), 64, (1.0, 2.0, 0.5))
    # 63 mm from the first to the last centre: 63, 31 and 126 steps.
    assert window.host_box((100, 100, 100)) == (slice(0, 60), slice(10, 42), slice(30, 100))
    assert window.host_box((100, 100, 300))[2] == slice(30, 157)


def test_a_window_beside_the_host_holds_none_of_it() -> None:
    box = Window((200, -90, 0), 64, MM).host_box((50, 50, 50))
    assert [s.stop - s.start for s in box] == [0, 0, 50]


# --- cut ---


def test_at_one_millimetre_a_cut_is_a_crop_to_the_bit() -> None:
    volume = host((48, 50, 52))
    window = Window((3, 7, 11), SIDE, MM)
    assert torch.equal(cut(volume, window), volume[:, 3:35, 7:39, 11:43])


def test_beyond_the_host_the_edge_goes_on() -> None:
    volume = host((20, 40, 40))
    found = cut(volume, Window((-6, 2, 30), SIDE, MM))
    assert torch.equal(found[:, 6:26, :, :10], volume[:, :, 2:34, 30:])
    assert torch.equal(found[:, :6, :, :10], volume[:, :1, 2:34, 30:].expand(-1, 6, -1, -1))
    assert torch.equal(found[:, 6:26, :, 10:], volume[:, :, 2:34, -1:].expand(-1, -1, -1, 22))


@given(spacing=spacings, value=st.floats(-100, 100, width=32), place=st.integers(-60, 60))
@examples(20)
def test_a_constant_stays_constant_at_any_spacing(
    spacing: Spacing, value: float, place: int
) -> None:
    volume = torch.full((1, *grid_for(spacing)), value)
    found = cut(volume, window_around((place, 10.0, 10.0), SIDE, spacing))
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
    found = cut(volume, Window((2, 3, 4), SIDE, MM))
    assert torch.equal(found, volume[:, 2:34, 3:35, 4:36].float())


def test_a_mask_is_cut_by_nearest_voxels_and_is_false_beyond_the_host() -> None:
    mask = torch.zeros(10, 10, 10, dtype=torch.bool)
    mask[9] = True
    found = cut_mask(mask, Window((8, 0, 0), SIDE, (3.0, 3.0, 3.0)))
    # Host voxel 9 covers window voxels at 2 to 4 mm; beyond 4 mm the host has ended.
    assert found.any(2).any(1).nonzero().flatten().tolist() == [2, 3, 4]
    # 10 host voxels of 3 mm from the first centre on: 0 to 28 mm.
    assert found[2].any(1).nonzero().flatten().tolist() == list(range(29))


def test_the_host_under_a_window_is_counted() -> None:
    over = inside_host(Window((-10, 0, 25), SIDE, MM), (100, 100, 30), torch.device("cpu"))
    assert int(over.sum()) == 22 * 32 * 5


# --- write ---


def test_at_one_millimetre_there_and_back_is_the_identity() -> None:
    window = Window((3, -7, 11), SIDE, MM)
    content = torch.randn(2, SIDE, SIDE, SIDE, generator=seeded())
    found = to_host(content, window, (48, 50, 40))
    assert torch.equal(found, content[:, :, 7:, :29])


def test_the_change_is_whole_inside_and_half_on_the_surface() -> None:
    image = host((48, 48, 48))
    window = Window((5, 6, 7), SIDE, MM)
    axis = (torch.arange(SIDE) - 15.5).abs()
    slab = (axis - 6).view(-1, 1, 1).expand(SIDE, SIDE, SIDE)
    written = write_change(image, 10 * ONES, slab, window)
    added = (written.image - image)[0, 5:37, 20, 20]
    # Depths -0.5 and 0.5 on either side of the surface weigh .75 and .25.
    expected = 10 * (0.5 - (axis - 6) / 2).clamp(0, 1)
    assert torch.allclose(added, expected, atol=1e-4)
    assert torch.equal(written.label[5:37, 20, 20], axis <= 6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_type_is_kept_and_nothing_but_the_support_changes(dtype: torch.dtype) -> None:
    image = host((48, 48, 48), dtype)
    before = image.clone()
    written = write_change(image, 30 * ONES, LUMP, Window((5, 6, 7), SIDE, MM))
    assert written.image.dtype == dtype
    assert torch.equal(image, before)
    assert torch.equal(written.image[:, ~written.support], image[:, ~written.support])
    assert bool((written.image[:, written.label] != image[:, written.label]).all())
    assert bool(written.support[written.label].all())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_are_rounded_to_the_nearest(dtype: torch.dtype) -> None:
    image = host((48, 48, 48), dtype)
    change = torch.randn(2, SIDE, SIDE, SIDE, generator=seeded(3)) * 5
    window = Window((5, 6, 7), SIDE, MM)
    as_integers = write_change(image, change, LUMP, window).image.double()
    exact = write_change(image.double(), change, LUMP, window).image
    assert (as_integers - exact).abs().max() <= 0.5


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_type_cannot_hold_is_cut_to_its_end(dtype: torch.dtype, sign: int) -> None:
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    end = limits.max if sign > 0 else limits.min
    image = host((48, 48, 48), dtype)
    image[0, 20:24] = int(end)
    written = write_change(image, sign * 3e5 * ONES.clone(), LUMP, Window((5, 6, 7), SIDE, MM))
    at_the_end = written.image[0, 20:24][written.support[20:24]]
    assert len(at_the_end) > 20
    assert at_the_end.tolist() == [end] * len(at_the_end)


def test_large_integers_are_not_coarsened() -> None:
    image = host((48, 48, 48), torch.int32) + 2**30
    written = write_change(image, 3 * ONES, LUMP, Window((5, 6, 7), SIDE, MM))
    core = torch.zeros_like(written.label)
    core[5:37, 6:38, 7:39] = LUMP < -1
    assert int(core.sum()) > 100
    assert torch.equal(written.image[:, core], image[:, core] + 3)


def test_blocked_voxels_stay_and_are_not_labelled() -> None:
    image, window = host((48, 48, 48)), Window((5, 6, 7), SIDE, MM)
    blocked = torch.zeros(48, 48, 48, dtype=torch.bool)
    blocked[:, :, :22] = True
    free = write_change(image, 30 * ONES, LUMP, window)
    written = write_change(image, 30 * ONES, LUMP, window, blocked)
    assert bool((free.label & blocked).any())
    assert torch.equal(written.label, free.label & ~blocked)
    assert not bool((written.support & blocked).any())
    assert torch.equal(written.image[:, blocked], image[:, blocked])


@given(spacing=spacings, scale=st.floats(0.7, 1.3))
@examples(30)
def test_the_label_has_the_volume_of_the_shape_at_any_spacing(
    spacing: Spacing, scale: float
) -> None:
    shape = grid_for(spacing)
    distance = LUMP - (scale - 1) * 5
    window = middle_window(shape, spacing)
    written = write_change(host(shape), 30 * ONES, distance, window)
    wanted = max(1, round(int((distance <= 0).sum()) / math.prod(spacing)))
    # One more where rounding makes two voxels lie at one depth.
    assert wanted <= int(written.label.sum()) <= wanted + 1


@given(spacing=spacings)
@examples(20)
def test_the_support_ends_two_millimetres_or_one_voxel_beyond_the_label(spacing: Spacing) -> None:
    shape = grid_for(spacing)
    written = write_change(host(shape), 30 * ONES, LUMP, middle_window(shape, spacing))
    label, support = written.label.numpy(), written.support.numpy()
    near = ndimage.distance_transform_edt(~label, sampling=spacing) <= 2 + 1e-4
    beside = ndimage.binary_dilation(label, np.ones((3, 3, 3)))
    assert support.any() and not (support & ~near & ~beside).any()


@pytest.mark.parametrize("shift", [(-24, 0, 0), (0, 31, 0), (0, 0, 60), (200, 200, 200)])
def test_a_window_that_overhangs_the_host_writes_what_lies_on_it(
    shift: tuple[int, int, int],
) -> None:
    image = host((48, 48, 48))
    window = Window((shift[0] + 8, shift[1] + 8, shift[2] + 8), SIDE, MM)
    written = write_change(image, 30 * ONES, LUMP, window)
    box = window.host_box((48, 48, 48))
    inner = tuple(slice(s.start - o, s.stop - o) for s, o in zip(box, window.origin, strict=True))
    if all(s.stop > s.start for s in box):
        assert torch.equal(written.label[box], (LUMP <= 0)[inner])
    outside = torch.ones_like(written.label)
    outside[box] = False
    assert not bool(written.support[outside].any())
    assert torch.equal(written.image[:, ~written.support], image[:, ~written.support])


def test_the_label_of_a_ball_is_as_wide_as_the_ball() -> None:
    distance = smooth_surface(signed_distance_mm(ball(SIDE, 8)))
    written = write_change(host((48, 48, 48)), ONES, distance, Window((5, 6, 7), SIDE, MM))
    assert equivalent_diameter_mm(int(written.label.sum())) == pytest.approx(16.0, abs=0.5)


@pytest.mark.parametrize("drop", [True, False])
def test_pieces_that_blocked_voxels_cut_off_are_left_out_of_label_and_support(drop: bool) -> None:
    image, window = host((48, 48, 48)), Window((8, 8, 8), SIDE, MM)
    blocked = torch.zeros((48, 48, 48), dtype=torch.bool)
    free = write_change(image, ONES, LUMP, window)
    inside = free.label.nonzero()
    first = int(inside[:, 0].min())
    # All but the two outermost layers on one side are cut off by a blocked one.
    blocked[first + 1] = True
    written = write_change(image, ONES, LUMP, window, blocked, drop_islets=drop)
    cut_off = free.label.clone()
    cut_off[first + 1 :] = False
    assert bool(cut_off.any()) and int(cut_off.sum()) < 65
    assert bool(written.label[cut_off].any()) is not drop
    assert bool(written.support[cut_off].any()) is not drop
    changed = (written.image != image).any(0)
    assert not bool((changed & ~written.support).any())
    assert bool(written.label[first + 2 :].any())


def test_an_only_piece_and_one_of_two_alike_stay_however_small() -> None:
    image, window = host((48, 48, 48)), Window((8, 8, 8), SIDE, MM)
    small = ball(SIDE, 2.4, (12, 20, 20)) | ball(SIDE, 2.4, (28, 20, 20))
    distance = signed_distance_mm(small)
    one = signed_distance_mm(ball(SIDE, 2.4, (12, 20, 20)))
    for shape in (distance, one):
        kept, plain = (
            write_change(image, ONES, shape, window, drop_islets=drop) for drop in (True, False)
        )
        assert torch.equal(kept.label, plain.label) and bool(kept.label.any())
        assert torch.equal(kept.image, plain.image)
