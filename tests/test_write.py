"""Painted windows, written into their hosts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from analytic import (
    MM,
    FlatTexture,
    ball,
    breast,
    ellipsoid,
    examples,
    ground_of,
    seeded,
    small_bank,
)
from pretend_accelerator import PretendAccelerator
from synbt_aug.decide.decide import decide
from synbt_aug.decide.footing import settled
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import (
    blend_weight,
    equivalent_diameter_mm,
    signed_distance_mm,
    smooth_surface,
)
from synbt_aug.grid.support import beside
from synbt_aug.grid.window import Window, cube, cut, window_around
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.onto_hosts import Footprint, footprint
from synbt_aug.signal.intensity import IntensityReference, from_linear
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing, Synthesis
from synbt_aug.write import Written, paint_and_write, write

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
MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def box(*sides: tuple[int, int]) -> Tensor:
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[tuple(slice(*s) for s in sides)] = True
    return mask


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def window(wish: Wish = OF_12_MM, seed: int = 0, volume: BreastVolume | None = None) -> Cut:
    host = Host.of(breast() if volume is None else volume)
    plan = decide(ground_of(host), wish, small_bank(), MARGIN, seeded(seed))
    assert isinstance(plan, Plan)
    return Cut.of([host], [plan])


def grid_for(spacing: Spacing, extent_mm: float = 48) -> tuple[int, int, int]:
    d, h, w = (max(2, round(extent_mm / mm)) for mm in spacing)
    return d, h, w


def host(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return (torch.rand((2, *shape), generator=seeded(seed)) * 100 + 20).to(dtype)


def middle_window(shape: tuple[int, int, int], spacing: Spacing = MM, side: int = SIDE) -> Window:
    d, h, w = ((n - 1) / 2 for n in shape)
    return window_around((d, h, w), cube(side), spacing)


#: A smooth lump of about 14 mm without symmetry, so that no two voxels lie at one depth.
LUMP = smooth_surface(
    signed_distance_mm(ball(SIDE, 6.4, (15.7, 16.1, 15.2)) | ball(SIDE, 4.3, (19.1, 14.3, 17.6)))
)
ONES = torch.ones(2, SIDE, SIDE, SIDE)


#: Of hosts whose units are those of the networks, but for a shift of 1.
PLAIN = IntensityReference((0.0, 0.0), (2.0, 2.0))


def shape_in(
    image: Tensor,
    distance: Tensor,
    place: Window,
    blocked: Tensor | None = None,
    reference: IntensityReference = PLAIN,
) -> Cut:
    """A shape in a window of a host."""
    host = Host(BreastVolume(image, place.spacing, forbidden=blocked), reference)
    plan = Plan(TumorRecipe("tumor", place, 1), LabelShape.of(distance))
    return Cut.of([host], [settled(plan, Ground.of(host))])


def write_change(
    image: Tensor, change: Tensor, distance: Tensor, place: Window, blocked: Tensor | None = None
) -> Synthesis:
    return added(shape_in(image, distance, place, blocked), change).result(0)


def added(one: Cut, change: Tensor | float = 1.0) -> Written:
    return write(one, one.linear + change, replaces=False)


def test_after_painting_the_support_is_taken_and_the_references_stay() -> None:
    host = Host.of(replace(breast(), tumor=box((30, 34), (10, 14), (10, 14))))
    ground = ground_of(host)
    plan = decide(ground, Wish(mask=lump()), small_bank(), MARGIN, seeded())
    assert isinstance(plan, Plan)
    result = added(Cut.of([host], [plan])).result(0)
    assert torch.equal(ground.holding(plan).taken, result.support)
    after = host.holding(result.image)
    assert after.volume.image is result.image and after.reference is host.reference
    assert torch.equal(after.floor, host.floor)


def test_a_given_mask_is_painted_where_it_is_and_as_large_as_it_is() -> None:
    one = window(Wish(mask=lump()))
    written = added(one).result(0)
    overlap = (written.tumor & lump()).sum() / (written.tumor | lump()).sum()
    assert overlap > 0.9
    assert int(written.tumor.sum()) == int(lump().sum())


def test_the_change_is_blended_and_mapped_back() -> None:
    one = window()
    change = torch.tensor([0.5, 2.0]).view(2, 1, 1, 1)
    written = added(one, change).result(0)
    place = one.plans[0].recipe.window
    weight = blend_weight(one.label.distance[0])
    expected = from_linear(one.linear[0] + weight * change, one.hosts[0].reference)
    host_before, host_after = cut(breast().image, place), cut(written.image, place)
    inside = weight > 0
    assert torch.allclose(host_after[:, inside], expected[:, inside], atol=2e-3)
    assert torch.equal(host_after[:, ~inside], host_before[:, ~inside])


def test_the_label_is_where_the_blend_is_at_least_half() -> None:
    one = window()
    written = added(one).result(0)
    assert torch.equal(
        cut(written.tumor, one.plans[0].recipe.window) > 0, one.label.distance[0] <= 0
    )


def test_a_null_paint_has_support_but_no_label_and_no_measurement() -> None:
    one = window(Wish("null", diameter_mm=12.0))
    written = added(one).result(0)
    assert not written.tumor.any() and bool(written.support.any())
    assert written.measured == {}


def test_existing_tumors_are_not_painted_on() -> None:
    volume = replace(breast(), tumor=box((30, 36), (30, 36), (30, 56)))
    one = window(Wish(mask=lump()), volume=volume)
    written = added(one).result(0)
    assert volume.tumor is not None
    assert not bool((written.support & volume.tumor).any())
    assert torch.equal(written.image[:, volume.tumor], volume.image[:, volume.tumor])


def test_a_removal_may_paint_on_what_it_removes_and_on_no_other_tumor() -> None:
    other = box((30, 36), (44, 52), (30, 44))
    volume = replace(breast(), tumor=lump() | other)
    one = window(Wish("removal", mask=lump()), volume=volume)
    written = added(one, -1).result(0)
    assert bool(written.support[lump() & ~other].all())
    assert not bool((written.support & other & ~lump()).any())
    assert not written.tumor.any()


def test_what_came_out_is_measured() -> None:
    gland = ellipsoid(breast().shape, (38, 36, 36), (12, 10, 10))
    # Of a mass: a ragged edge is blended with more of its host.
    wish = replace(OF_12_MM, appearance=Appearance(category="mass"))
    one = window(wish, seed=3, volume=replace(breast(), roi=gland))
    texture = FlatTexture((0.0, 1.5), grain=0.0)
    written = paint_and_write(one, texture, torch.device("cpu"))
    measured = written.result(0).measured
    assert measured["diameter_mm"] == pytest.approx(12.0, abs=0.02)
    assert measured["longest_mm"] >= measured["diameter_mm"]
    # Half of 1.5, since s spans two units; the blended edge takes some, the gland gives some.
    assert measured["appearance"]["enhancement"] == pytest.approx(0.75, abs=0.12)
    assert measured["appearance"]["pre_contrast"] == pytest.approx(0.0, abs=0.1)
    assert 0.9 <= measured["visible_share"] <= 1
    assert measured["contrast_to_noise"] > 5


@pytest.mark.parametrize("spacing", [MM, (2.0, 0.8, 0.8), (4.0, 0.7, 0.7)])
def test_a_given_mask_at_the_edge_of_the_host_keeps_its_size(
    spacing: tuple[float, float, float],
) -> None:
    volume = breast(spacing)
    mask = ellipsoid(volume.shape, (56, 36, 36), (9, 9, 9), spacing)
    label = added(window(Wish(mask=mask), volume=volume)).result(0).tumor
    assert int(label.sum()) == pytest.approx(int(mask.sum()), rel=0.08)
    assert int((label & mask).sum()) > 0.85 * int(mask.sum())


# --- on any grid and type ---


def test_the_change_is_whole_inside_and_half_on_the_surface() -> None:
    image = host((48, 48, 48))
    window = Window((5, 6, 7), cube(SIDE), MM)
    axis = (torch.arange(SIDE) - 15.5).abs()
    slab = (axis - 6).view(-1, 1, 1).expand(SIDE, SIDE, SIDE)
    written = write_change(image, 10 * ONES, slab, window)
    added = (written.image - image)[0, 5:37, 20, 20]
    # Depths -0.5 and 0.5 on either side of the surface weigh .75 and .25.
    expected = 10 * (0.5 - (axis - 6) / 2).clamp(0, 1)
    assert torch.allclose(added, expected, atol=1e-4)
    assert torch.equal(written.tumor[5:37, 20, 20], axis <= 6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_type_is_kept_and_nothing_but_the_support_changes(dtype: torch.dtype) -> None:
    image = host((48, 48, 48), dtype)
    before = image.clone()
    written = write_change(image, 30 * ONES, LUMP, Window((5, 6, 7), cube(SIDE), MM))
    assert written.image.dtype == dtype
    assert torch.equal(image, before)
    assert torch.equal(written.image[:, ~written.support], image[:, ~written.support])
    assert bool((written.image[:, written.tumor] != image[:, written.tumor]).all())
    assert bool(written.support[written.tumor].all())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_are_rounded_to_the_nearest(dtype: torch.dtype) -> None:
    image = host((48, 48, 48), dtype)
    change = torch.randn(2, SIDE, SIDE, SIDE, generator=seeded(3)) * 5
    window = Window((5, 6, 7), cube(SIDE), MM)
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
    written = write_change(
        image, sign * 3e5 * ONES.clone(), LUMP, Window((5, 6, 7), cube(SIDE), MM)
    )
    at_the_end = written.image[0, 20:24][written.support[20:24]]
    assert len(at_the_end) > 20
    assert at_the_end.tolist() == [end] * len(at_the_end)


def test_large_integers_are_not_coarsened() -> None:
    image, window = host((48, 48, 48), torch.int32) + 2**30, Window((5, 6, 7), cube(SIDE), MM)
    far = IntensityReference((2.0**30,) * 2, (2.0**30 + 200,) * 2)
    # A reference range is 2 in the units of the networks.
    written = added(shape_in(image, LUMP, window, reference=far), 3 * 2 / 200).result(0)
    core = torch.zeros_like(written.tumor)
    core[5:37, 6:38, 7:39] = LUMP < -1
    assert int(core.sum()) > 100
    assert torch.equal(written.image[:, core], image[:, core] + 3)


def test_blocked_voxels_stay_and_are_not_labelled() -> None:
    image, window = host((48, 48, 48)), Window((5, 6, 7), cube(SIDE), MM)
    blocked = torch.zeros(48, 48, 48, dtype=torch.bool)
    blocked[:, :, :22] = True
    free = write_change(image, 30 * ONES, LUMP, window)
    written = write_change(image, 30 * ONES, LUMP, window, blocked)
    assert bool((free.tumor & blocked).any())
    assert torch.equal(written.tumor, free.tumor & ~blocked)
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
    assert wanted <= int(written.tumor.sum()) <= wanted + 1


@given(spacing=spacings)
@examples(20)
def test_the_support_ends_two_millimetres_or_one_voxel_beyond_the_label(spacing: Spacing) -> None:
    shape = grid_for(spacing)
    written = write_change(host(shape), 30 * ONES, LUMP, middle_window(shape, spacing))
    label, support = written.tumor.numpy(), written.support.numpy()
    near = ndimage.distance_transform_edt(~label, sampling=spacing) <= 2 + 1e-4
    beside = ndimage.binary_dilation(label, np.ones((3, 3, 3)))
    assert support.any() and not (support & ~near & ~beside).any()


@pytest.mark.parametrize("shift", [(-24, 0, 0), (0, 31, 0), (0, 0, 60), (200, 200, 200)])
def test_a_window_that_overhangs_the_host_writes_what_lies_on_it(
    shift: tuple[int, int, int],
) -> None:
    image = host((48, 48, 48))
    window = Window((shift[0] + 8, shift[1] + 8, shift[2] + 8), cube(SIDE), MM)
    written = write_change(image, 30 * ONES, LUMP, window)
    box = window.host_box((48, 48, 48))
    inner = tuple(slice(s.start - o, s.stop - o) for s, o in zip(box, window.origin, strict=True))
    if all(s.stop > s.start for s in box):
        assert torch.equal(written.tumor[box], (LUMP <= 0)[inner])
    outside = torch.ones_like(written.tumor)
    outside[box] = False
    assert not bool(written.support[outside].any())
    assert torch.equal(written.image[:, ~written.support], image[:, ~written.support])


def test_the_label_of_a_ball_is_as_wide_as_the_ball() -> None:
    distance = smooth_surface(signed_distance_mm(ball(SIDE, 8)))
    written = write_change(host((48, 48, 48)), ONES, distance, Window((5, 6, 7), cube(SIDE), MM))
    assert equivalent_diameter_mm(int(written.tumor.sum())) == pytest.approx(16.0, abs=0.5)


def test_pieces_that_blocked_voxels_cut_off_are_left_out_of_label_and_support() -> None:
    image, place = host((48, 48, 48)), Window((8, 8, 8), cube(SIDE), MM)
    blocked = torch.zeros((48, 48, 48), dtype=torch.bool)
    free = write_change(image, ONES, LUMP, place)
    first = int(free.tumor.nonzero()[:, 0].min())
    # The outermost layer on one side is cut off by a blocked one.
    blocked[first + 1] = True
    written = write_change(image, ONES, LUMP, place, blocked)
    cut_off = free.tumor.clone()
    cut_off[first + 1 :] = False
    assert bool(cut_off.any()) and int(cut_off.sum()) < 65
    assert not bool(written.tumor[cut_off].any()) and not bool(written.support[cut_off].any())
    changed = (written.image != image).any(0)
    assert not bool((changed & ~written.support).any())
    assert bool(written.tumor[first + 2 :].any())


def test_an_only_piece_and_one_of_two_alike_stay_however_small() -> None:
    image, place = host((48, 48, 48)), Window((8, 8, 8), cube(SIDE), MM)
    blocked = torch.zeros((48, 48, 48), dtype=torch.bool)
    one, two = ball(SIDE, 2.4, (12, 20, 20)), ball(SIDE, 2.4, (28, 20, 20))
    for mask in (one, one | two):
        kept = write_change(image, ONES, signed_distance_mm(mask), place, blocked)
        assert int(kept.tumor.sum()) == int(mask.sum())


# --- in the host's place ---


def where(one: Cut) -> Footprint:
    """Of a single window."""
    (plan,), (host,) = one.plans, one.hosts
    free, shift = plan.free_region(host.volume.shape), torch.tensor([plan.shift_mm])
    return footprint(plan.recipe.window, one.label.labelled, free[None], shift)


@pytest.mark.parametrize("spacing", [MM, (0.6, 0.8, 1.2)])
def test_what_is_painted_takes_the_hosts_place(spacing: Spacing) -> None:
    # Smooth around the tumor, so that there is no noise to add; a vessel crosses it.
    shape = grid_for(spacing)
    image = torch.full((2, *shape), 5.0) + 1e-3 * torch.rand(2, *shape, generator=seeded())
    window = middle_window(shape, spacing)
    vessel = [n // 2 for n in shape]
    image[:, vessel[0], vessel[1]] = 9.0
    one = shape_in(image, LUMP, window)
    written = write(one, torch.full_like(one.linear, 6.0), replaces=True)
    deep = torch.zeros(shape, dtype=torch.bool)
    deep[window.host_box(shape)] = where(one).distance[0] < -1.1
    inside = written.result(0).image[:, deep]
    assert int(deep.sum()) > 100 and (inside - 7.0).abs().max() < 0.3
    untouched = ~written.result(0).support
    assert torch.equal(written.result(0).image[:, untouched], image[:, untouched])


def test_noise_has_one_level_across_the_blend_and_inside() -> None:
    image = 100 + 5 * torch.randn(2, 48, 48, 48, generator=seeded(1))
    window = middle_window((48, 48, 48))
    one = shape_in(image, LUMP, window)
    written = write(one, torch.full_like(one.linear, 99.0), replaces=True)
    place = where(one)
    for low, high in ((0.2, 0.8), (0.99, 1.0)):
        band = torch.zeros(48, 48, 48, dtype=torch.bool)
        part = (place.weight[0] >= low) & (place.weight[0] <= high) & place.support[0]
        band[window.host_box((48, 48, 48))] = part
        # The quietest quarter of pure noise has .87 of the level of all.
        assert written.result(0).image[:, band].std() == pytest.approx(4.6, rel=0.12)


@pytest.mark.parametrize("shift_mm", [0.0, 1.2, -1.0])
@pytest.mark.parametrize("level", [0.0, 1.5])
def test_noise_is_the_scan_s_wherever_distances_from_the_outline_end(
    level: float, shift_mm: float
) -> None:
    image = 100 + 5 * torch.randn(2, 48, 48, 48, generator=seeded(1))
    window = middle_window((48, 48, 48))
    one = shape_in(image, LUMP, window)
    # They are cut off at 4 mm before the surface is moved by its level: at 2.5 mm at worst.
    # Thick slices shift it once more.
    shape = LabelShape.of(one.label.distance[0], one.label.distance[0].clamp(max=4) - level)
    plan = replace(one.plans[0], label=shape, shift_mm=shift_mm)
    one = replace(one, label=shape, plans=(plan,))
    written = write(one, torch.full_like(one.linear, 99.0), replaces=True)
    place = where(one)
    inside = torch.zeros(48, 48, 48, dtype=torch.bool)
    inside[window.host_box((48, 48, 48))] = place.weight[0] == 1
    assert int(inside.sum()) > 50
    assert written.result(0).image[:, inside].std() == pytest.approx(4.6, rel=0.2)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
@pytest.mark.parametrize("replaces", [True, False])
def test_nothing_is_written_below_the_scan_s_own_smallest(
    dtype: torch.dtype, replaces: bool
) -> None:
    image = host((48, 48, 48), dtype)
    one = shape_in(image, LUMP, Window((5, 6, 7), cube(SIDE), MM))
    written = write(one, torch.full_like(one.linear, -500.0), replaces=replaces)
    assert torch.equal(written.result(0).image.flatten(1).amin(1), image.flatten(1).amin(1))


def test_a_label_of_which_no_voxel_changed_does_not_show() -> None:
    image = host((48, 48, 48), torch.int16).clamp_(max=100)
    image[1, 10:40, 10:40, 10:40] = torch.iinfo(torch.int16).max
    one = shape_in(image, LUMP, Window((8, 8, 8), cube(SIDE), MM))
    post_alone = torch.tensor([0.0, 50.0]).view(2, 1, 1, 1)
    written = write(one, one.linear + post_alone, replaces=False)
    seen = written.verdict.seen(0)
    assert seen.changed == 0 and not seen.convinces(contrast_was_asked=True)
    assert not bool(written.verdict.stands[0])


def test_windows_of_one_shape_are_written_as_each_alone() -> None:
    wish = replace(OF_12_MM, appearance=Appearance(category="mass"))
    one, two = window(wish, seed=1), window(wish, seed=2)
    assert one.plans[0].recipe.window.shape == two.plans[0].recipe.window.shape
    both = Cut.of([*one.hosts, *two.hosts], [*one.plans, *two.plans])
    together = write(both, both.linear + 1, replaces=True)
    for k, alone in enumerate((one, two)):
        single = write(alone, alone.linear + 1, replaces=True).result(0)
        batch = together.result(k)
        assert torch.allclose(single.image, batch.image, atol=1e-3)
        assert torch.equal(single.tumor, batch.tumor)


def test_what_may_not_stand_leaves_its_host_as_it_was() -> None:
    one = window()
    written = write(one, one.linear, replaces=False)
    assert not bool(written.verdict.stands[0])
    assert written.verdict.complaint(0, "tumor", False) is not None
    stands = written.verdict.stands[0]
    assert torch.equal(written.image(0, stands), one.hosts[0].volume.image)
    mark = written.mark(0, stands)
    assert not bool(mark.label.any()) and not bool(mark.support.any())
    labels = torch.full(one.hosts[0].volume.shape, 7, dtype=torch.int16)
    mark.label_into(labels, 1)
    assert bool((labels == 7).all())


@pytest.mark.parametrize("spacing", [MM, (0.5, 0.9, 2.5)])
def test_beside_is_the_same_on_a_device_without_its_distances(spacing: Spacing) -> None:
    label = LUMP[None] < -3
    with PretendAccelerator() as there:
        found = there.get(beside(there.put(label), spacing))
        assert there.waits == []
    assert torch.equal(found, beside(label, spacing))
