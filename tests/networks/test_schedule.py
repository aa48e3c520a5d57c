"""The noise schedule and what a network may predict."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synbt_aug.networks import NoiseSchedule, add_noise, split
from synbt_aug.networks.schedule import min_snr_weight, target, v_target


def latents(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z, noise = torch.randn(2, 3, 8, 2, 2, 2, generator=torch.Generator().manual_seed(seed))
    return z, noise


def test_the_default_schedule_has_the_papers_thousand_steps() -> None:
    schedule = NoiseSchedule()
    assert schedule.steps == len(schedule.beta) == len(schedule.alpha_bar) == 1000
    assert schedule.beta[0].item() == pytest.approx(1e-4)
    assert schedule.beta[-1].item() == pytest.approx(2e-2)


def test_the_signal_left_is_the_product_of_what_each_step_keeps() -> None:
    schedule = NoiseSchedule(steps=3, first_beta=0.1, last_beta=0.3)
    assert torch.allclose(schedule.alpha_bar, torch.tensor([0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7]))


def test_the_signal_falls_from_nearly_all_to_nearly_none() -> None:
    alpha_bar = NoiseSchedule().alpha_bar
    assert bool((alpha_bar.diff() < 0).all())
    assert alpha_bar[0] > 0.9998 and alpha_bar[-1] < 1e-4


def test_betas_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Use NoiseSchedule\(\)"):
        NoiseSchedule(first_beta=0.0)


def test_without_noise_left_add_noise_is_the_identity() -> None:
    z, noise = latents()
    assert torch.equal(add_noise(z, noise, torch.tensor(1.0)), z)
    assert torch.equal(add_noise(z, noise, torch.tensor(0.0)), noise)


def test_one_step_at_a_time_is_the_closed_form() -> None:
    # Two steps of eq. 1 with independent noise have the variance of the closed form.
    b = NoiseSchedule(steps=2, first_beta=0.2, last_beta=0.4)
    variance = (1 - b.beta[1]) * b.beta[0] + b.beta[1]
    assert variance.item() == pytest.approx(1 - b.alpha_bar[1].item())


def test_each_sample_has_its_own_step() -> None:
    z, noise = latents()
    a = torch.tensor([1.0, 0.0, 0.25])
    mixed = add_noise(z, noise, a)
    assert torch.equal(mixed[0], z[0]) and torch.equal(mixed[1], noise[1])
    assert torch.allclose(mixed[2], 0.5 * z[2] + 0.75**0.5 * noise[2])


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 0.999), st.sampled_from(["v", "noise"]))
def test_the_true_target_gives_back_latent_and_noise(a: float, kind: str) -> None:
    z, noise = latents()
    alpha_bar = torch.tensor(a)
    z_t = add_noise(z, noise, alpha_bar)
    clean, found = split(kind, target(kind, z, noise, alpha_bar), z_t, alpha_bar)
    assert torch.allclose(clean, z, atol=1e-4) and torch.allclose(found, noise, atol=1e-4)


def test_v_is_the_direction_in_which_the_angle_grows() -> None:
    # With a = cos^2 phi, z_t = cos phi z + sin phi noise and dz_t / dphi = v.
    z, noise = latents()
    phi, step = torch.tensor(0.7), 1e-3
    ahead, behind = (add_noise(z, noise, (phi + d).cos() ** 2) for d in (step, -step))
    assert torch.allclose(
        (ahead - behind) / (2 * step), v_target(z, noise, phi.cos() ** 2), atol=2e-3
    )


@pytest.mark.parametrize("kind", ["v", "noise"])
def test_min_snr_limits_what_a_noise_level_counts_in_the_clean_latent(kind: str) -> None:
    z, noise = latents()
    for a in (0.1, 0.5, 0.8, 0.99):
        alpha_bar = torch.tensor(a)
        z_t = add_noise(z, noise, alpha_bar)
        # A prediction that is off everywhere by one: by how much is its clean latent?
        off = target(kind, z, noise, alpha_bar) + 1
        clean, _ = split(kind, off, z_t, alpha_bar)
        error = float((clean - z).square().mean())
        weight = float(min_snr_weight(kind, alpha_bar, 5.0))
        assert weight / error == pytest.approx(min(a / (1 - a), 5.0), rel=1e-3)


def test_a_schedule_survives_json() -> None:
    schedule = NoiseSchedule(steps=7)
    assert NoiseSchedule.from_dict(schedule.to_dict()) == schedule
