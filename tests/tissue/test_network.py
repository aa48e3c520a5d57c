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
    assert SMALL.divisor == 4 and SMALL.min_side == 8


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="sides divisible by 4 and 8 at least"):
        TissueNetwork(SMALL)(torch.randn(1, 1, 8, 10, 8))
    with pytest.raises(ValueError, match=r"got \(1, 1, 4, 8, 8\)"):
        TissueNetwork(SMALL)(torch.randn(1, 1, 4, 8, 8))


def test_logits_are_linear_in_the_signal_with_slopes_of_the_features() -> None:
    network, x = TissueNetwork(SMALL), torch.randn(1, 1, 8, 8, 8)
    plain = network(x)
    with torch.no_grad():
        # The first of five slopes at the voxel itself, the last of five at its mean over 3.
        network.slope.bias[0], network.slope.bias[9] = 2.0, 3.0
    change = network(x) - plain
    assert torch.allclose(change[:, :1], 2 * x, atol=1e-5)
    around = x[0, 0, 2:5, 2:5, 2:5].mean()
    assert torch.allclose(change[0, 4, 3, 3, 3], 3 * around, atol=1e-5)
    assert torch.equal(change[:, 1:4], torch.zeros(1, 3, 8, 8, 8))
