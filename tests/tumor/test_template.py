"""What becomes a template: shape, group, and the voxels around it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import ellipsoid, seeded
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.template import (
    SIGNAL_MARGIN_MM,
    SMALLEST_VOXELS,
    Template,
    cut_case,
    cut_template,
    is_label_noise,
    refusals,
)

SHAPE = (60, 50, 40)
SIGNAL = torch.rand((2, *SHAPE), generator=seeded())
M = SIGNAL_MARGIN_MM


def block(*sides: int, at: tuple[int, int, int] = (20, 15, 10)) -> Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    d, h, w = (slice(first, first + n) for first, n in zip(at, sides, strict=True))
    mask[d, h, w] = True
    return mask


def numbered(*lesions: Tensor) -> Tensor:
    tumor = torch.zeros(SHAPE, dtype=torch.uint8)
    for number, lesion in enumerate(lesions, 1):
        tumor[lesion] = number
    return tumor


def signal_of(template: Template | None) -> Tensor:
    assert template is not None and isinstance(template.signal, Tensor)
    return template.signal


def test_a_template_is_the_tumor_cropped_with_its_appearance() -> None:
    mask = ellipsoid(SHAPE, (30, 22, 18), (9, 6, 5))
    template = cut_template(mask, SIGNAL, source="case 7")
    assert template is not None
    assert template.mask.shape == (18, 12, 10)
    assert int(template.mask.sum()) == int(mask.sum())
    assert template.appearance == measure_appearance(SIGNAL, mask)
    assert template.source == "case 7"
    assert template.signal is None and template.group == ""


def test_a_fragment_is_no_template() -> None:
    assert SMALLEST_VOXELS == 113
    small = block(4, 4, 7)
    assert cut_template(small, SIGNAL) is None
    assert cut_template(torch.zeros(SHAPE, dtype=torch.bool), SIGNAL) is None
    small[24, 15, 10] = True
    assert cut_template(small, SIGNAL) is not None


def test_stray_parts_are_dropped_and_large_ones_kept() -> None:
    main = ellipsoid(SHAPE, (20, 20, 20), (8, 8, 8))
    second = ellipsoid(SHAPE, (40, 20, 20), (5, 5, 5))
    stray = ellipsoid(SHAPE, (50, 40, 30), (2, 2, 2))
    template = cut_template(main | second | stray, SIGNAL)
    assert template is not None
    assert int(template.mask.sum()) == int((main | second).sum())


def test_surroundings_that_do_not_count_are_left_out() -> None:
    mask = ellipsoid(SHAPE, (30, 22, 18), (9, 6, 5))
    around = torch.zeros(SHAPE, dtype=torch.bool)
    around[:30] = True
    template = cut_template(mask, SIGNAL, around)
    assert template is not None
    assert template.appearance == measure_appearance(SIGNAL, mask, around=around)
    assert template.appearance != measure_appearance(SIGNAL, mask)


def test_the_level_that_the_contrast_is_measured_against_is_kept() -> None:
    mask = ellipsoid(SHAPE, (30, 22, 18), (9, 6, 5))
    # Levels are (linear + 1) / 2: the tumor's .9 and 1.4, around it .4 and .5.
    signal = torch.stack([torch.where(mask, v, w) for v, w in ((0.8, -0.2), (1.8, 0.0))])
    template = cut_template(mask, signal)
    assert template is not None
    assert template.surroundings == pytest.approx((0.4, 0.5))
    assert template.appearance.enhancement == pytest.approx(0.9)


# --- label noise ---


@pytest.mark.parametrize("sides", [(1, 20, 20), (20, 1, 20), (20, 20, 1), (1, 1, 25)])
def test_a_sheet_or_a_strand_of_one_voxel_is_label_noise(sides: tuple[int, int, int]) -> None:
    assert is_label_noise(block(*sides))
    assert cut_template(block(*sides), SIGNAL) is None


@pytest.mark.parametrize("sides", [(2, 20, 20), (2, 2, 25)])
def test_what_is_two_voxels_thick_everywhere_is_a_tumor(sides: tuple[int, int, int]) -> None:
    assert not is_label_noise(block(*sides))


def test_scattered_voxels_are_label_noise() -> None:
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (12, 12, 12)), indexing="ij"))
    assert is_label_noise(grid.sum(0) % 2 == 0)


def test_what_gave_no_template_is_counted_by_its_reason() -> None:
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SHAPE), indexing="ij"))
    speckled = (grid.sum(0) % 2 == 0) & block(16, 16, 16, at=(30, 15, 10))
    one_large_part = block(5, 5, 2, at=(5, 5, 5)) | (speckled & (grid[0] > 40))
    small = block(3, 3, 3, at=(5, 30, 5))
    scattered = "too scattered (less than half of its voxels lie where it is 2 mm thick)"
    assert refusals(numbered(speckled)) == {scattered: 1}
    assert refusals(numbered(one_large_part, small)) == {scattered: 1, "smaller": 1}
    assert refusals(numbered(block(9, 9, 9))) == {}


def test_a_lesion_keeps_its_spicules_and_noise_is_what_is_mostly_thin() -> None:
    body, sheet = block(10, 10, 10), block(1, 30, 30, at=(30, 15, 10))
    spiculated = body | block(1, 1, 20, at=(24, 19, 15))
    assert not is_label_noise(spiculated)
    template = cut_template(spiculated, SIGNAL)
    assert template is not None and int(template.mask.sum()) == int(spiculated.sum())
    # 1000 voxels are thick, 900 are not; then 1800 are not.
    assert not is_label_noise(body | sheet)
    assert is_label_noise(body | sheet | block(1, 30, 30, at=(35, 15, 10)))


# --- groups ---


def test_a_lesion_alone_has_no_group() -> None:
    (template,) = cut_case(numbered(block(6, 6, 6)), SIGNAL, source="a")
    assert template.group == "" and template.offset_mm == (0.0, 0.0, 0.0)
    alone = cut_template(block(6, 6, 6), SIGNAL, source="a")
    assert alone is not None and template.appearance == alone.appearance


def test_lesions_of_a_case_share_a_group_and_know_their_place_from_the_largest() -> None:
    small, large = block(6, 6, 6, at=(5, 5, 5)), block(10, 9, 8, at=(30, 25, 20))
    first, second = cut_case(numbered(small, large), SIGNAL, source="a")
    assert first.group == second.group == case_key("a")
    assert torch.equal(first.mask, torch.ones(10, 9, 8, dtype=torch.bool))
    assert first.offset_mm == (0.0, 0.0, 0.0)
    # Middles at (7.5, 7.5, 7.5) and (34.5, 29, 23.5).
    assert second.offset_mm == (-27.0, -21.5, -16.0)


def test_fragments_and_noise_are_dropped_and_the_rest_stays_together() -> None:
    lesions = (
        block(9, 9, 9, at=(5, 5, 5)),
        block(3, 3, 3, at=(25, 5, 5)),
        block(1, 20, 20, at=(25, 15, 10)),
        block(6, 6, 6, at=(45, 5, 5)),
    )
    kept = cut_case(numbered(*lesions), SIGNAL, source="a")
    assert [int(t.mask.sum()) for t in kept] == [729, 216]
    assert kept[1].offset_mm == (38.5, -1.5, -1.5)
    assert {t.group for t in kept} == {case_key("a")}
    (alone,) = cut_case(numbered(*lesions[:3]), SIGNAL, source="a")
    assert alone.group == ""


def test_a_lesion_of_a_case_is_cut_as_if_it_were_alone() -> None:
    lesion = ellipsoid(SHAPE, (8, 22, 18), (7, 6, 5))
    other = block(6, 6, 6, at=(50, 40, 30))
    one, _ = cut_case(numbered(other, lesion), SIGNAL, voxels=True)
    alone = cut_template(lesion, SIGNAL, voxels=True)
    assert alone is not None and torch.equal(one.mask, alone.mask)
    assert one.appearance == alone.appearance
    assert torch.equal(signal_of(one), signal_of(alone))


# --- voxels ---


def test_the_signal_is_the_case_s_in_the_box_and_six_voxels_around() -> None:
    template = cut_template(block(8, 9, 10), SIGNAL, voxels=True)
    signal = signal_of(template)
    assert signal.dtype == torch.float16 and signal.shape == (2, 20, 21, 22)
    assert torch.equal(signal, SIGNAL[:, 14:34, 9:30, 4:26].half())


def test_where_the_case_ends_its_edge_is_repeated() -> None:
    signal = signal_of(cut_template(block(8, 9, 10, at=(0, 41, 10)), SIGNAL, voxels=True))
    edge = SIGNAL.half()[:, 0, :, 4:26][:, torch.arange(35, 56).clamp(max=49)]
    assert torch.equal(signal[:, M], edge)
    assert all(torch.equal(signal[:, k], signal[:, M]) for k in range(M))


def test_voxels_without_signal_take_that_of_the_nearest_with() -> None:
    valid = torch.ones(SHAPE, dtype=torch.bool)
    valid[:18] = False
    empty = torch.where(valid, SIGNAL, 0.0)
    signal = signal_of(cut_template(block(8, 9, 10), empty, voxels=True, valid=valid))
    assert torch.equal(signal[:, 4:], SIGNAL[:, 18:34, 9:30, 4:26].half())
    assert all(torch.equal(signal[:, k], signal[:, 4]) for k in range(4))


def test_a_signal_that_half_precision_cannot_hold_stays_finite() -> None:
    signal = signal_of(cut_template(block(6, 6, 6), SIGNAL * 1e9, voxels=True))
    assert bool(torch.isfinite(signal).all())
