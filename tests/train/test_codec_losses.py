"""The losses of the autoencoder."""

from __future__ import annotations

import math

import pytest
import torch

from synbt_aug.train.codec_losses import (
    Adversary,
    difference_l1,
    gradient_l1,
    l1,
    linear_square,
    make_discriminator,
)


def image(seed: int = 0, side: int = 16) -> torch.Tensor:
    return torch.randn(2, 2, side, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", [l1, gradient_l1, difference_l1, linear_square])
def test_a_perfect_reconstruction_costs_nothing(loss: object) -> None:
    assert loss(image(), image()).item() == 0  # type: ignore[operator]


def test_an_offset_costs_its_size_and_has_no_gradient() -> None:
    assert l1(image() + 0.5, image()).item() == pytest.approx(0.5)
    assert gradient_l1(image() + 0.5, image()).item() == pytest.approx(0.0, abs=1e-6)


def test_an_offset_of_both_channels_leaves_their_difference() -> None:
    assert difference_l1(image() + 0.5, image()).item() == pytest.approx(0.0, abs=1e-6)
    shifted = image()
    shifted[:, 1] += 0.25
    assert difference_l1(shifted, image()).item() == pytest.approx(0.25, abs=1e-6)


def test_a_ramp_costs_its_slope_along_one_axis_of_three() -> None:
    ramp = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(1, 2, 16, 16, 16)
    assert gradient_l1(ramp, torch.zeros_like(ramp)).item() == pytest.approx(1 / 3)


def test_before_the_knee_a_bright_error_weighs_as_much_as_it_shows() -> None:
    # q = 1 + ln s: from s = 2 to s = 3.
    two, three = (torch.full((1, 2, 4, 4, 4), 1 + math.log(s)) for s in (2.0, 3.0))
    assert linear_square(two, three).item() == pytest.approx(1.0, abs=1e-5)
    dim = torch.full_like(two, 0.2)
    assert linear_square(dim + 0.5, dim).item() == pytest.approx(0.25, abs=1e-6)


def test_the_verdict_teaches_the_reconstruction_and_not_the_discriminator() -> None:
    raw = make_discriminator(4)
    adversary = Adversary(raw, raw, torch.optim.SGD(raw.parameters(), lr=0.1))
    fake = image(1).requires_grad_()
    adversary.verdict(fake).backward()
    assert fake.grad is not None and fake.grad.abs().sum() > 0
    assert all(p.grad is None for p in raw.parameters())


def test_the_discriminator_learns_to_tell_and_leaves_the_reconstruction() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        raw = make_discriminator(8)
    optimizer = torch.optim.Adam(raw.parameters(), lr=3e-3)
    adversary = Adversary(raw, raw, optimizer)
    fake = (0.2 * image(1)).requires_grad_()
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = adversary.own_loss(fake, image())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert fake.grad is None and losses[-1] < 0.7 * losses[0]
