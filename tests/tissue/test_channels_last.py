"""The network's pass in 16 bits: the same tissues, to the rounding of its numbers."""

from __future__ import annotations

import pytest
import torch

from analytic import seeded
from synbt_aug.networks.precision import prepared
from synbt_aug.tissue.channels_last import probabilities
from synbt_aug.tissue.network import NetworkSettings, TissueNetwork


@pytest.fixture
def small() -> TissueNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = TissueNetwork(NetworkSettings(channels=(4, 8, 12))).eval().requires_grad_(False)
        torch.nn.init.normal_(made.slope.weight)
        # Means and shifts of size: what is normalised lies far from zero, too.
        for part in made.modules():
            if isinstance(part, torch.nn.InstanceNorm3d):
                torch.nn.init.normal_(part.weight, 1, 0.3)
                torch.nn.init.normal_(part.bias)
    return made


@pytest.mark.parametrize("shape", [(16, 20, 24), (8, 8, 8), (52, 12, 16)])
def test_in_float32_it_is_the_network_itself(
    small: TissueNetwork, shape: tuple[int, int, int]
) -> None:
    x = torch.randn(shape, generator=seeded())
    expected = small(x[None, None])[0].softmax(0)
    torch.testing.assert_close(probabilities(small, x), expected, rtol=0, atol=2e-5)
    # A wrong voxel or channel would differ by as much as the answers do.
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_16_bits_it_errs_no_more_than_autocast(small: TissueNetwork, precision: str) -> None:
    x = torch.randn(24, 24, 24, generator=seeded())
    exact = small(x[None, None])[0].softmax(0)
    ready = prepared(small, precision)
    with torch.autocast("cpu", torch.bfloat16 if precision == "bf16" else torch.float16):
        cast = ready(x[None, None])[0].float().softmax(0)
    found = probabilities(ready, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(0), torch.ones(24, 24, 24))
    errors = [float((answer - exact).square().mean().sqrt()) for answer in (found, cast)]
    assert 0 < errors[0] < 1.5 * errors[1]


def test_a_slab_of_the_answer_is_no_matter(
    small: TissueNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(16, 16, 16, generator=seeded())
    whole = probabilities(small, x)
    monkeypatch.setattr("synbt_aug.tissue.channels_last._IN_CACHE", 3 * 16 * 16)
    torch.testing.assert_close(probabilities(small, x), whole, rtol=0, atol=1e-6)
