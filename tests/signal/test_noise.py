"""Noise from a hash: known integers, known moments, nothing shared between seeds and rows."""

from __future__ import annotations

import pytest
import torch

from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.signal.noise import _mixed, standard_normal

CPU = torch.device("cpu")


def test_the_hash_is_that_of_splitmix64() -> None:
    # The first outputs of the reference generator seeded with 0: it hashes multiples of the step.
    step = 0x9E3779B97F4A7C15
    assert [_mixed(step * k % 2**64) for k in (1, 2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_what_is_hashed_in_tensors_is_what_is_hashed_in_python() -> None:
    start, step, numbers = _mixed(7), 0x9E3779B97F4A7C15, []
    for k in range(50):
        word = _mixed((start + k * step) % 2**64)
        for half in (word % 2**32, word >> 32):
            signed = half - 2**32 if half >= 2**31 else half
            numbers.append(((signed >> 8) + 0.5) / 2**23)
    wanted = torch.erfinv(torch.tensor(numbers)) * 2**0.5
    assert torch.allclose(standard_normal([7], (100,), CPU)[0], wanted, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**62, 2**64 - 1])
def test_its_moments_are_those_of_a_normal_distribution(seed: int) -> None:
    x = standard_normal([seed], (80, 100, 50), CPU).double().flatten()
    error = len(x) ** -0.5
    assert abs(float(x.mean())) < 4 * error
    assert abs(float(x.square().mean()) - 1) < 4 * 2**0.5 * error
    assert abs(float(x.pow(3).mean())) < 4 * 15**0.5 * error
    assert abs(float(x.pow(4).mean()) - 3) < 4 * 96**0.5 * error
    assert float(x.abs().max()) < 5.5
    for lag in (1, 2, 50, 5000):
        assert abs(float((x[lag:] * x[:-lag]).mean())) < 4 * error
    below = (x < torch.tensor([[-1.0], [0.0], [1.0], [2.0]])).double().mean(1)
    wanted = torch.special.ndtr(torch.tensor([-1.0, 0.0, 1.0, 2.0]).double())
    assert (below - wanted).abs().max() < 4 * 0.5 * error


def test_a_row_depends_on_its_own_seed_alone() -> None:
    both = standard_normal([5, 6], (3, 7, 5), CPU)
    assert torch.equal(both[1], standard_normal([6], (3, 7, 5), CPU)[0])
    large = 100_000
    rows = standard_normal([5, 6], (large,), CPU)
    other = standard_normal([5], (large,), CPU, stream=1)
    assert abs(float((rows[0] * rows[1]).mean())) < 4 * large**-0.5
    assert abs(float((rows[0] * other[0]).mean())) < 4 * large**-0.5


def test_an_odd_number_of_values_is_the_beginning_of_an_even_one() -> None:
    assert torch.equal(standard_normal([3], (7,), CPU)[0], standard_normal([3], (8,), CPU)[0, :7])


def test_a_device_is_sent_the_seeds_alone_and_makes_the_same() -> None:
    with PretendAccelerator() as there:
        made = standard_normal([3, 4], (2, 16, 16, 16), FAR)
        assert there.to_device == 16 and there.waits == [] and there.launches < 25
        assert torch.equal(there.get(made), standard_normal([3, 4], (2, 16, 16, 16), CPU))
