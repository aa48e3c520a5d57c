from __future__ import annotations

import pytest
import torch

from synbt_aug.tissue.network import NetworkSettings, TissueNetwork

SMALL = NetworkSettings(channels=(4, 8, 8))


def test_it_gives_five_logits_a_voxel() -> None:
    logits = TissueNetwork(SMALL)(torch.randn(2, 1, 8, 12, 16))
    assert logits.shape == (2, 5, 8, 12, 16)


def test_the_default_has_a_million_parameters() -> None:
    count = sum(p.numel() for p in TissueNetwork().parameters())
    assert 1.1e6 < count < 1.2e6


def test_settings_survive_json() -> None:
    assert NetworkSettings.from_dict(SMALL.to_dict()) == SMALL
    assert SMALL.divisor == 4 and SMALL.least_side == 8


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="sides divisible by 4 and 8 at least"):
        TissueNetwork(SMALL)(torch.randn(1, 1, 8, 10, 8))
    with pytest.raises(ValueError, match=r"got \(1, 1, 4, 8, 8\)"):
        TissueNetwork(SMALL)(torch.randn(1, 1, 4, 8, 8))
