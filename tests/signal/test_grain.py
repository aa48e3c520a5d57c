"""Fresh noise like the scan's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import ball, seeded
from synbt_aug.grid.mask import gaussian
from synbt_aug.signal import grain
from synbt_aug.signal.grain import (
    PAIR_STREAM,
    ScanNoise,
    coloured,
    fine_part,
    measure_noise,
    noise_level,
)
from synbt_aug.signal.noise import standard_normal

SIDE = 48
EVERYWHERE = torch.ones(1, SIDE, SIDE, SIDE, dtype=torch.bool)


def noise(sd: float, seed: int = 0) -> Tensor:
    return sd * torch.randn(1, 2, SIDE, SIDE, SIDE, generator=seeded(seed))


def test_the_level_follows_the_noise_and_not_the_signal() -> None:
    slope = torch.linspace(0, 500, SIDE).view(1, 1, SIDE, 1, 1)
    quiet, loud = (measure_noise(slope + noise(sd), EVERYWHERE).sd for sd in (1.0, 4.0))
    assert torch.allclose(loud / quiet, torch.full((1, 2), 4.0), rtol=0.02)
    # The quietest quarter of pure noise has .87 of the level of all.
    whole = fine_part(noise(1.0)).std()
    assert quiet.mean() / whole == pytest.approx(0.87, abs=0.05)


def test_structures_are_no_noise() -> None:
    vessels = torch.zeros(1, 2, SIDE, SIDE, SIDE)
    vessels[..., ::12, 20] = 50.0
    plain, crossed = (measure_noise(noise(1.0) + v, EVERYWHERE).sd for v in (0 * vessels, vessels))
    assert torch.allclose(crossed, plain, rtol=0.1)


def test_what_is_no_tissue_is_not_looked_at() -> None:
    tissue = ball(SIDE, 18)[None]
    signal = torch.where(tissue[:, None], noise(2.0), noise(0.1, seed=1))
    assert measure_noise(signal, tissue).sd.mean() > 1.5
    assert torch.equal(noise_level(signal, tissue), measure_noise(signal, tissue).sd)
    assert measure_noise(signal, tissue & False).sd.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("correlation", [-0.1, 0.05, 0.25])
def test_new_noise_has_the_level_and_the_correlation_of_the_scan(correlation: float) -> None:
    scan = ScanNoise(torch.tensor([[3.0, 7.0]]), torch.tensor([[correlation, -0.1, 0.1]]))
    made = coloured(noise(1.0, seed=3), scan)
    fine = fine_part(made)
    assert torch.allclose(fine.flatten(2).std(-1), scan.sd, rtol=1e-3)
    along = (fine[..., 1:, :, :] * fine[..., :-1, :, :]).mean() / fine.square().mean()
    assert along.item() == pytest.approx(correlation, abs=0.06)


def test_blurred_noise_is_told_from_white() -> None:
    white, blurred = noise(1.0), gaussian(noise(1.0), 0.6)
    plain, correlated = (measure_noise(x, EVERYWHERE).correlation for x in (white, blurred))
    assert plain.max() < 0 < correlated.min()


def test_a_row_does_not_depend_on_its_batch() -> None:
    signals = torch.cat([noise(1.0), noise(3.0, seed=5)])
    tissue = EVERYWHERE.expand(2, -1, -1, -1)
    both = measure_noise(signals, tissue)
    white = standard_normal((1, 2), (2, SIDE, SIDE, SIDE), torch.device("cpu"))
    together = coloured(white, both)
    for k in range(2):
        one = measure_noise(signals[k : k + 1], EVERYWHERE)
        assert torch.allclose(one.sd, both.sd[k : k + 1], rtol=1e-4)
        assert torch.allclose(coloured(white[k : k + 1], one), together[k : k + 1], atol=1e-3)


def test_the_noise_of_a_tumor_is_not_the_denoisers() -> None:
    shape, cpu = (2, 8, 8, 8), torch.device("cpu")
    assert not torch.equal(
        standard_normal((1,), shape, cpu, PAIR_STREAM), standard_normal((1,), shape, cpu)
    )


@pytest.mark.parametrize("shape", [(2, 2, 9, 8, 7), (1, 3, 1, 2, 12)])
def test_noise_is_blurred_the_same_on_every_device(shape: tuple[int, ...]) -> None:
    white = torch.randn(shape, generator=seeded())
    kernels = torch.rand(shape[0], 3, 7, generator=seeded(1))
    found = grain._blurred_by_shifts(white, kernels)
    torch.testing.assert_close(found, grain._blurred(white, kernels))
