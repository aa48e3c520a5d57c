"""Masks come back from their bits as they were."""

from __future__ import annotations

import pytest
import torch

from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.support.bits import bits_of, masks_of
from synbt_aug.support.device import sent


@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 3, 3), (1, 1, 1), (8, 2, 1)])
def test_masks_come_back_from_their_bits(shape: tuple[int, int, int]) -> None:
    masks = [torch.rand(shape, generator=torch.Generator().manual_seed(k)) > 0.4 for k in range(3)]
    bits = bits_of(masks)
    assert bits.shape == (3, -(-masks[0].numel() // 8))
    assert torch.equal(masks_of(bits, shape), torch.stack(masks))
    with PretendAccelerator() as there:
        assert torch.equal(there.get(masks_of(sent(bits, FAR), shape)), torch.stack(masks))
        assert there.to_device == bits.numel() and there.waits == []


def test_the_first_voxel_is_the_highest_bit() -> None:
    mask = torch.zeros((1, 1, 9), dtype=torch.bool)
    mask[..., 0] = mask[..., 6] = mask[..., 8] = True
    assert bits_of([mask]).tolist() == [[128 + 2, 128]]
