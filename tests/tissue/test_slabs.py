from __future__ import annotations

import pytest
import torch

from analytic import seeded
from synbt_aug.tissue import network
from synbt_aug.tissue.network import NetworkSettings, TissueNetwork


@pytest.fixture
def small() -> TissueNetwork:
    torch.manual_seed(0)
    made = TissueNetwork(NetworkSettings(channels=(4, 8, 12))).eval()
    torch.nn.init.normal_(made.slope.weight)
    return made


@pytest.mark.parametrize("depth", [16, 20, 32, 52])
@pytest.mark.parametrize("count", [1, 2])
def test_a_network_in_slabs_gives_what_the_whole_gives(
    small: TissueNetwork, monkeypatch: pytest.MonkeyPatch, depth: int, count: int
) -> None:
    x = torch.randn((count, 1, depth, 20, 24), generator=seeded())
    with torch.no_grad():
        whole = small(x)
        monkeypatch.setattr(network, "_WHOLE_VOXELS", 0)
        in_slabs = small(x)
    assert torch.allclose(whole, in_slabs, atol=1e-5)
    # A plane that another one was taken for would differ by as much as the logits do.
    assert float(whole.std()) > 0.1


def test_a_training_is_never_in_slabs(
    small: TissueNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_WHOLE_VOXELS", 0)
    monkeypatch.setattr(network, "block_in_slabs", lambda *_: pytest.fail("in slabs"))
    small(torch.randn((1, 1, 16, 16, 16))).sum().backward()
    assert small.first[0].weight.grad is not None
