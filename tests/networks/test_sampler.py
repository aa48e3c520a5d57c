"""The samplers, on Gaussians whose best denoiser is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from synbt_aug.networks import (
    NoiseSchedule,
    add_noise,
    ddim_step,
    ddim_timesteps,
    ddpm_step,
    sample_ddim,
    sample_ddpm,
)
from synbt_aug.networks.schedule import v_target

SCHEDULE = NoiseSchedule()
COUNTS = [1, 2, 4, 6, 10, 7, 33, 600, 1000]


def noise(count: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(count, 2, 4, 4, 4, generator=torch.Generator().manual_seed(seed))


def perfect(mean: float, spread: float, kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The best network there is for latents drawn from N(mean, spread^2)."""

    def predict(z_t: Tensor, t: Tensor) -> Tensor:
        a = SCHEDULE.alpha_bar[t].view(-1, 1, 1, 1, 1)
        variance = a * spread**2 + 1 - a
        found = (1 - a).sqrt() * (z_t - a.sqrt() * mean) / variance
        clean = mean + a.sqrt() * spread**2 * (z_t - a.sqrt() * mean) / variance
        return found if kind == "noise" else v_target(clean, found, a.flatten())

    return predict


@pytest.mark.parametrize("count", COUNTS)
def test_every_count_starts_at_the_noisiest_step(count: int) -> None:
    times = ddim_timesteps(count)
    assert len(times) == count and times[0] == 999
    assert bool((times.diff() < 0).all()) and times[-1] >= 0


def test_ten_steps_are_a_hundred_apart() -> None:
    assert ddim_timesteps(10).tolist() == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_count_that_does_not_exist_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 1000 steps, got {count}"):
        ddim_timesteps(count)


@pytest.mark.parametrize("kind", ["v", "noise"])
@pytest.mark.parametrize("count", COUNTS)
def test_a_single_point_is_found_in_any_number_of_steps(count: int, kind: str) -> None:
    z = sample_ddim(perfect(3.0, 0.0, kind), noise(), SCHEDULE, count, predicts=kind)
    assert torch.allclose(z, torch.full_like(z, 3.0), atol=2e-3)


@pytest.mark.parametrize("count", COUNTS)
def test_a_standard_normal_shrinks_by_the_cosines_of_the_angles_between_steps(count: int) -> None:
    # For N(0, 1) the best noise is sqrt(1 - a) z_t: each step multiplies by
    # cos(phi_t - phi_s), where a = cos^2 phi.
    angles = SCHEDULE.alpha_bar.double()[ddim_timesteps(count)].sqrt().acos().tolist()
    factor = math.prod(math.cos(t - s) for t, s in zip(angles, [*angles[1:], 0.0], strict=True))
    z = sample_ddim(perfect(0.0, 1.0, "v"), noise(), SCHEDULE, count)
    assert torch.allclose(z, factor * noise(), atol=2e-3)


def test_all_steps_follow_the_exact_flow() -> None:
    # The probability flow keeps each point's standard score.
    mean, spread = 1.0, 0.5
    a = SCHEDULE.alpha_bar[-1]
    score = (noise() - a.sqrt() * mean) / (a * spread**2 + 1 - a).sqrt()
    z = sample_ddim(perfect(mean, spread, "v"), noise(), SCHEDULE, 1000)
    assert torch.allclose(z, mean + spread * score, atol=2e-2)


def test_true_noise_gives_back_the_clean_latent() -> None:
    clean, true = noise(seed=1), noise(seed=2)
    a = torch.tensor(0.3)
    back = ddim_step(add_noise(clean, true, a), true, a, torch.tensor(1.0))
    assert torch.allclose(back, clean, atol=1e-5)


def test_a_ddim_step_lands_on_the_same_noise_at_a_lower_level() -> None:
    clean, true = noise(seed=1), noise(seed=2)
    t, s = torch.tensor(0.3), torch.tensor(0.6)
    there = ddim_step(add_noise(clean, true, t), true, t, s)
    assert torch.allclose(there, add_noise(clean, true, s), atol=1e-5)


def test_a_ddpm_step_is_the_papers_equation_worked_by_hand() -> None:
    one = torch.ones(1, 1, 1, 1, 1)
    # beta .19, alpha .81, alpha_bar .36: (2 - .19 / .8 * 1) / .9 + sqrt(.19) * 3
    step = ddpm_step(2 * one, one, torch.tensor(0.19), torch.tensor(0.36), 3 * one)
    assert step.item() == pytest.approx((2 - 0.19 / 0.8) / 0.9 + math.sqrt(0.19) * 3, rel=1e-5)


def test_ddpm_draws_from_the_gaussian() -> None:
    z = sample_ddpm(
        perfect(2.0, 0.5, "noise"),
        noise(8),
        SCHEDULE,
        generator=torch.Generator().manual_seed(3),
    )
    assert z.mean().item() == pytest.approx(2.0, abs=0.06)
    assert z.std().item() == pytest.approx(0.5, abs=0.06)


def test_a_batch_is_the_same_as_one_by_one() -> None:
    predict = perfect(1.0, 0.5, "v")
    both = sample_ddim(predict, noise(2), SCHEDULE, 4)
    single = [sample_ddim(predict, part[None], SCHEDULE, 4) for part in noise(2)]
    assert torch.allclose(both, torch.cat(single), atol=1e-6)
