from __future__ import annotations

import pytest
import torch

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.features import frechet_distance, mmd_squared, standardised


def test_a_set_has_no_distance_to_itself() -> None:
    x = torch.randn(40, 6, generator=seeded())
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_a_shifted_set_is_as_far_as_the_shift_squared() -> None:
    x = torch.randn(50, 3, generator=seeded())
    shift = torch.tensor([3.0, 0.0, 4.0])
    assert frechet_distance(x, x + shift) == pytest.approx(25, rel=1e-5)


def test_two_gaussians_have_the_distance_of_the_closed_form() -> None:
    # One axis: (m1 - m2)^2 + (s1 - s2)^2, and axes add up.
    x = torch.randn(5000, 2, generator=seeded()).double()
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    y = x * torch.tensor([3.0, 0.5]) + torch.tensor([1.0, -2.0])
    assert frechet_distance(x, y) == pytest.approx(1 + 4 + (3 - 1) ** 2 + (1 - 0.5) ** 2, rel=1e-6)


def test_covariances_that_do_not_commute_are_handled() -> None:
    # For 2 x 2, tr (A B)^(1/2) = sqrt(tr(A B) + 2 sqrt(det A det B)).
    x = torch.randn(400, 2, generator=seeded(1)).double() * torch.tensor([1.0, 3.0])
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    y = x @ turn
    a, b = torch.cov(x.T), torch.cov(y.T)
    root = (torch.trace(a @ b) + 2 * (torch.det(a) * torch.det(b)).sqrt()).sqrt()
    mean = (x.mean(0) - y.mean(0)).square().sum()
    expected = float(mean + a.trace() + b.trace() - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_fewer_vectors_than_features_are_enough() -> None:
    x = torch.randn(5, 20, generator=seeded())
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x + 1) == pytest.approx(20, rel=1e-5)


def test_two_draws_of_one_distribution_have_no_mmd_in_the_mean() -> None:
    values = [
        mmd_squared(torch.randn(30, 4, generator=g), torch.randn(30, 4, generator=g))
        for g in map(seeded, range(200))
    ]
    mean = sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
    # Unbiased: below 0 as often as above.
    assert abs(mean) < 3 * spread / 200**0.5
    assert min(values) < 0 < max(values)


def test_mmd_of_two_points_each_is_what_the_kernel_says() -> None:
    # x = (0, 0), y = (1, 1) in one dimension: k = 1, 8 and 1 in between.
    assert mmd_squared(torch.zeros(2, 1), torch.ones(2, 1)) == pytest.approx(1 + 8 - 2 * 1)


def test_standardised_features_do_not_know_their_units() -> None:
    a, b = (torch.randn(20, 3, generator=seeded(k)) for k in (0, 1))
    scale = torch.tensor([10.0, 0.1, 1.0])
    first = standardised(a, b)[0]
    second = standardised(a * scale + 7, b * scale + 7)[0]
    assert torch.allclose(first, second, atol=1e-4)
    assert standardised(a, a)[0].std(0).tolist() == pytest.approx([1, 1, 1])


def test_a_feature_that_does_not_vary_is_left_out() -> None:
    a = torch.randn(20, 3, generator=seeded())
    a[:, 1] = 5
    assert standardised(a, a)[0].shape == (20, 2)


def test_sets_of_other_lengths_and_single_vectors_are_refused() -> None:
    with pytest.raises(SynBTError, match=r"\(N, F\)"):
        frechet_distance(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(SynBTError, match="at least 2 windows"):
        mmd_squared(torch.zeros(1, 2), torch.zeros(3, 2))
