"""Which masks fit one window, and how others are split."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from analytic import MM
from synbt_aug.errors import SynBTError
from synbt_aug.tumor.lesions import split_lesions

SHAPE = (20, 20, 160)
MARGIN = 2.0


def bars(*spans: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    for start, end in spans:
        mask[8:12, 8:12, start:end] = True
    return mask


def test_lesions_that_fit_one_window_stay_together() -> None:
    mask = bars((10, 20), (60, 90))
    (kept,) = split_lesions(mask, MM, MARGIN)
    assert kept is mask


@pytest.mark.parametrize("length, parts", [(98, 1), (99, 2)])
def test_a_window_of_128_holds_98_millimetres(length: int, parts: int) -> None:
    # 128 less 12 for tissue, 2 for the hole and 1 for the smoothed shape, on either side.
    mask = bars((10, 20), (10 + length - 10, 10 + length))
    assert len(split_lesions(mask, MM, MARGIN)) == parts


def test_lesions_far_apart_come_one_by_one_the_largest_first() -> None:
    small, large = bars((2, 10)), bars((130, 150))
    parts = split_lesions(small | large, MM, MARGIN)
    assert torch.equal(parts[0].mask(), large) and torch.equal(parts[1].mask(), small)


def test_millimetres_count_not_voxels() -> None:
    mask = bars((0, 4), (60, 64))
    assert len(split_lesions(mask, MM, MARGIN)) == 1
    assert len(split_lesions(mask, (1.0, 1.0, 2.0), MARGIN)) == 2


def test_a_wider_margin_leaves_less_room() -> None:
    mask = bars((10, 20), (98, 108))
    assert len(split_lesions(mask, MM, 2.0)) == 1
    assert len(split_lesions(mask, MM, 4.0)) == 2


def test_one_lesion_too_long_for_a_window_is_refused() -> None:
    with pytest.raises(SynBTError, match="fit the 128 mm window .* is 120 mm long. Pass a smaller"):
        split_lesions(bars((10, 130)), MM, MARGIN)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(SynBTError, match="needs at least one voxel, this one is empty"):
        split_lesions(bars(), MM, MARGIN)


def test_lesions_share_one_label_map() -> None:
    first, second = split_lesions(bars((2, 10), (130, 150)), MM, MARGIN)
    assert first.labels is second.labels and first.labels.dtype == np.uint8
    # The box around the mask, not the scan.
    assert first.labels.shape == (4, 4, 148)


def test_voxels_that_touch_at_a_corner_are_one_lesion() -> None:
    mask = bars((2, 10), (130, 150))
    mask[12:16, 12:16, 150:154] = True
    assert [int(part.mask().sum()) for part in split_lesions(mask, MM, MARGIN)] == [384, 128]


@pytest.mark.parametrize("kind", ["tumor", "removal"])
@pytest.mark.parametrize("specks", [1, 40])
def test_specks_beside_lesions_that_are_far_apart_are_refused_with_their_number(
    kind: str, specks: int
) -> None:
    mask = bars((2, 10), (130, 150))
    mask[2, 2, 14 : 14 + 2 * specks : 2] = True
    with pytest.raises(SynBTError, match=rf"{specks} of the {specks + 2} parts .* specks.*opening"):
        split_lesions(mask, MM, MARGIN, kind)


def test_specks_beside_a_tumor_go_with_it_where_one_window_holds_all() -> None:
    mask = bars((40, 60))
    mask[2, 2, 80:90:2] = True
    assert split_lesions(mask, MM, MARGIN) == [mask]


def test_a_speckled_volume_takes_no_volume_a_speck() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(64, 128, 160, generator=generator) < 0.02
    mask[20:40, 20:40, 20:40] = True
    tracemalloc.start()
    with pytest.raises(SynBTError, match=r"1\d{4} of the 1\d{4} parts"):
        split_lesions(mask, MM, MARGIN, "removal")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A label map of int32 and what measures its parts; 16,000 masks would take 20 GB.
    assert peak < 30 * mask.numel()


def scattered(share: float, radius: int = 17) -> torch.Tensor:
    """A ball 35 mm across, of which a share of the voxels is marked."""
    grid = np.linalg.norm(np.mgrid[-20:21, -20:21, -20:21], axis=0)
    drawn = np.random.default_rng(0).random(grid.shape) < share
    return torch.from_numpy((grid <= radius + 0.5) & drawn)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4])
def test_a_tumor_of_scattered_voxels_is_refused_and_may_be_removed(share: float) -> None:
    mask = scattered(share)
    with pytest.raises(SynBTError, match="too scattered, too thin.*binary_closing"):
        split_lesions(mask, MM, MARGIN)
    assert split_lesions(mask, MM, MARGIN, "removal") == [mask]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (3.0, 3.0, 3.0)])
def test_a_tumor_of_a_slice_or_two_is_thick_enough(spacing: tuple[float, float, float]) -> None:
    mask = torch.zeros(40, 40, 40, dtype=torch.bool)
    d, h, w = (max(1, round(8 / mm)) for mm in spacing)
    mask[20 : 20 + d, 20 : 20 + h, 20 : 20 + w] = True
    assert split_lesions(mask, spacing, MARGIN) == [mask]


def test_more_lesions_than_can_be_painted_one_by_one_are_refused() -> None:
    mask = torch.zeros(8, 8, 300, dtype=torch.bool)
    for start in range(0, 300, 10):
        mask[2:6, 2:6, start : start + 4] = True
    with pytest.raises(SynBTError, match="at most 24; this one has 30. Pass fewer"):
        split_lesions(mask, MM, MARGIN)
