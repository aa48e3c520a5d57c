"""Which masks fit one window, and how others are split."""

from __future__ import annotations

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
    assert torch.equal(parts[0], large) and torch.equal(parts[1], small)


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
