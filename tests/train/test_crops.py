"""Crops: padding, axis orders, intensity."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.train.crops import Crop, CropMix, CropSampler, cut, jitter_intensity, turn


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(*sides: int) -> SimpleNamespace:
    """A case whose every voxel has a value of its own."""
    count = torch.arange(sides[0] * sides[1] * sides[2], dtype=torch.float32).view(sides)
    return SimpleNamespace(
        q=torch.stack([count, -count]),
        valid=torch.ones(sides, dtype=torch.bool),
        tumor=torch.ones(sides, dtype=torch.uint8),
        body=torch.zeros(1, 3, dtype=torch.int16),
    )


def test_a_box_inside_is_the_plain_slice() -> None:
    case = numbered(6, 7, 8)
    crop = cut(case, (1, 2, 3), (4, 4, 4))
    assert torch.equal(crop.q, case.q[:, 1:5, 2:6, 3:7]) and crop.valid.all()


def test_padding_repeats_the_edge_and_is_marked_invalid() -> None:
    case = numbered(4, 4, 4)
    crop = cut(case, (-2, 0, 2), (4, 4, 4))
    assert torch.equal(crop.q[:, 0], crop.q[:, 2]) and torch.equal(crop.q[..., 3], crop.q[..., 1])
    assert not crop.valid[:2].any() and not crop.valid[..., 2:].any()
    assert crop.valid[2:, :, :2].all()
    assert torch.equal(crop.tumor.bool(), crop.valid)


def test_a_case_smaller_than_the_crop_is_padded() -> None:
    crop = CropSampler([numbered(5, 20, 20)]).crop(16, generator=seeded())
    assert crop.q.shape == (2, 16, 16, 16) and int(crop.valid.sum()) == 5 * 16 * 16


def test_all_48_axis_orders_occur() -> None:
    case = numbered(3, 3, 3)
    crop = Crop(case.q, case.valid, case.tumor)
    seen = {tuple(turn(crop, generator=seeded(i)).q[0].flatten().tolist()) for i in range(1000)}
    assert len(seen) == 48


def test_intensities_and_labels_turn_alike() -> None:
    case = numbered(3, 3, 3)
    crop = Crop(case.q, case.q[0] > 11, (case.q[0] * 2).to(torch.uint8))
    turned = turn(crop, generator=seeded(5))
    assert torch.equal(turned.valid, turned.q[0] > 11)
    assert torch.equal(turned.tumor, (turned.q[0] * 2).to(torch.uint8))


def test_unequal_sides_keep_their_order() -> None:
    batch = CropSampler([numbered(20, 20, 20)]).batch((8, 12, 16), 2, generator=seeded())
    assert batch.shape == (2, 2, 8, 12, 16)


def test_crops_meant_for_tumors_hold_one(cases: list) -> None:
    mix = CropMix(tumor=1.0, overhang=0.0)
    sampler = CropSampler(cases[:2], mix)
    assert all((sampler.crop(24, generator=seeded(i)).tumor > 0).any() for i in range(20))


def test_the_same_generator_draws_the_same_crop(cases: list) -> None:
    sampler = CropSampler(cases)
    first, second = (sampler.batch(16, 3, generator=seeded(4)) for _ in range(2))
    assert torch.equal(first, second) and first.dtype == torch.float32


def test_intensity_jitter_keeps_its_bounds() -> None:
    zero = torch.zeros(200, 2, 1, 1, 1)
    changed = jitter_intensity(zero, generator=seeded())
    assert changed.min() >= 0.75 - 1 - 0.06 - 1e-6 and changed.max() <= 1.3 - 1 + 0.06 + 1e-6
    same = (changed == 0).all(1).float().mean()
    assert 0.2 < same < 0.4


def test_no_cases_is_an_error_that_says_so() -> None:
    with pytest.raises(SynBTError, match="needs at least one case"):
        CropSampler([])
