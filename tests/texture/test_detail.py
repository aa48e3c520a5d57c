"""Detail finer than a latent cell, drawn from a tumor's own seed."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kurtosis
from torch import Tensor

from analytic import seeded
from synbt_aug.grid.mask import gaussian_mean
from synbt_aug.signal.noise import noise_starts
from synbt_aug.texture import detail
from synbt_aug.texture.detail import (
    DETAIL_STREAM,
    FEWER_SPOTS,
    IN_POST,
    IN_PRE_ALONE,
    IN_PRE_WITH_POST,
    NODULE_MOST,
    NODULE_SD,
    NODULES,
    RIM,
    RIM_FACTOR,
    RIM_FACTOR_SD,
    RIM_IN_PRE,
    TYPICAL_HETEROGENEITY,
    detailed,
    nodules,
    pitted,
    walls,
)

SIDE = 48
PLAIN = torch.tensor([0.5, 2.0])[:, None, None, None].expand(2, SIDE, SIDE, SIDE)


def started(*seeds: int) -> Tensor:
    return noise_starts(seeds, DETAIL_STREAM)


def changes(heterogeneity: float = TYPICAL_HETEROGENEITY, seed: int = 3) -> Tensor:
    """Of the levels of pre and post, as shares of them, shape `(2, d, h, w)`."""
    found = detailed(PLAIN[None], torch.tensor([[heterogeneity]]), started(seed))
    return found[0] / PLAIN - 1


#: Nodules run into each other: of the SD of their levels this is left.
LEFT = 0.66


def sd_of(*parts: tuple[float, ...]) -> float:
    return float(torch.tensor([w for part in parts for w in part]).square().sum().sqrt())


#: Root mean square of what nodules and rims change by.
OF_NODULES, OF_RIMS = LEFT * NODULE_SD, RIM * math.hypot(RIM_FACTOR, RIM_FACTOR_SD)


def fine(change: Tensor, sigma: float = 2.0) -> Tensor:
    return change - gaussian_mean(change, sigma)


def test_pre_and_post_vary_as_much_as_their_tables_say() -> None:
    # A quarter of it: the more, the longer the tail to dark, which the tables leave out.
    quarter = 0.25 * TYPICAL_HETEROGENEITY
    found = torch.stack([changes(quarter, k).square().mean((1, 2, 3)) for k in range(6)])
    pre, post = (4 * found.mean(0).sqrt()).tolist()
    in_post, in_pre = (OF_NODULES, OF_RIMS), (OF_NODULES, RIM_IN_PRE * OF_RIMS)
    assert post == pytest.approx(sd_of(IN_POST, in_post), rel=0.1)
    assert pre == pytest.approx(sd_of(IN_PRE_WITH_POST, IN_PRE_ALONE, in_pre), rel=0.1)


def test_a_part_of_pre_goes_with_post() -> None:
    shared = sum(a * b for a, b in zip(IN_PRE_WITH_POST, IN_POST, strict=True))
    in_pre = sd_of(IN_PRE_WITH_POST, IN_PRE_ALONE, (OF_NODULES, RIM_IN_PRE * OF_RIMS))
    in_post = sd_of(IN_POST, (OF_NODULES, OF_RIMS))
    expected = (shared + OF_NODULES**2 + RIM_IN_PRE * OF_RIMS**2) / (in_pre * in_post)
    found = torch.stack([torch.corrcoef(changes(seed=k).flatten(1))[0, 1] for k in range(6)]).mean()
    assert float(found) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_detail_is_in_proportion_to_the_heterogeneity(share: float) -> None:
    found, most = (changes(s * TYPICAL_HETEROGENEITY).std().item() for s in (share, 1.0))
    assert found == pytest.approx(share * most, rel=0.1)


def test_levels_fall_farther_than_they_rise_and_never_to_nothing() -> None:
    moved = torch.linspace(-3, 3, 601)
    for pits in (1.5, 4.0):
        found = pitted(moved, pits)
        assert bool((found.diff() >= 0).all())
        assert found[300] == pytest.approx(1)
        assert float(found[310] - found[290]) == pytest.approx(0.2, rel=0.05)
        fall, rise = 1 - found[270:300].flip(0), found[301:331] - 1
        assert bool((fall > rise).all())
        assert found[0] == found.min() > 0.5


def test_dark_spots_lie_in_both_images() -> None:
    pre, post = changes().flatten(1)
    darkest = post <= torch.quantile(post, 0.02)
    assert float(pre[darkest].mean()) < -pre.std() / 2


def test_what_is_asked_to_be_uneven_has_less_detail_and_stronger_nodules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typical, uneven = (changes(k * TYPICAL_HETEROGENEITY) for k in (1, 4))
    coarse = [gaussian_mean(one[1], 2.0).flatten() for one in (typical, uneven)]
    grown = float(coarse[1].std()) / float(coarse[0].std())
    assert 0.8 * NODULE_MOST < grown <= 1.05 * NODULE_MOST
    assert float(torch.corrcoef(torch.stack(coarse))[0, 1]) > 0.9
    assert torch.allclose(typical[0], uneven[0])
    monkeypatch.setattr(detail, "NODULE_SD", 0.0)
    monkeypatch.setattr(detail, "RIM", 0.0)
    typical, uneven = (changes(k * TYPICAL_HETEROGENEITY) for k in (1, 4))
    left = float(fine(uneven[1], 0.6).std() / fine(typical[1], 0.6).std())
    assert left == pytest.approx(4**-FEWER_SPOTS, rel=0.1)


def test_it_is_weaker_in_some_parts_than_in_others_and_nowhere_pepper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rims have fine parts of their own.
    monkeypatch.setattr(detail, "RIM", 0.0)
    strength = gaussian_mean(fine(changes()[1], 0.6).square(), 2.0).sqrt().flatten()
    typical = strength.square().mean().sqrt()
    assert float(torch.quantile(strength, 0.1)) < 0.7 * float(typical)
    assert float(torch.quantile(strength, 0.999)) < 1.7 * float(typical)


def test_a_row_does_not_depend_on_its_batch() -> None:
    asked = torch.tensor([[0.1], [0.25]])
    both = detailed(PLAIN.expand(2, -1, -1, -1, -1), asked, started(3, 4))
    for row, seed in enumerate((3, 4)):
        alone = detailed(PLAIN[None], asked[row : row + 1], started(seed))
        assert torch.allclose(both[row], alone[0], rtol=1e-6)
    assert not torch.allclose(both[0], both[1], rtol=1e-2)


def test_a_third_of_it_is_finer_than_a_latent_cell() -> None:
    post = changes()[1]
    assert float(fine(post).var()) > 0.35 * float(post.var())


@pytest.mark.parametrize("shape", [(48, 48, 48), (47, 40, 33)])
def test_nodules_have_levels_of_their_own_and_few_voxels_between(shape: tuple[int, ...]) -> None:
    white = torch.randn(6, NODULES, *(-(-n // 2) for n in shape), generator=seeded(1))
    found = nodules(white, shape)[:, :1]
    assert found.shape == (6, 1, *shape)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(found.std()) == pytest.approx(LEFT, rel=0.08)
    # Smooth noise changes everywhere; within nodules it is level, so that steps have long tails.
    smooth = gaussian_mean(torch.randn(*shape, generator=seeded(2)), 3.2)
    tails = [float(kurtosis(one.diff(dim=-1).flatten())) for one in (found, smooth)]
    assert tails[0] > tails[1] + 1


@pytest.mark.parametrize("shape", [(48, 48, 48), (47, 40, 33)])
def test_rims_lie_where_levels_change(shape: tuple[int, ...]) -> None:
    white = torch.randn(6, NODULES, *(-(-n // 2) for n in shape), generator=seeded(1))
    levels, rims = nodules(white, shape).unbind(1)
    assert rims.shape == (6, *shape)
    assert float(rims.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(rims.std()) == pytest.approx(1.0, rel=0.05)
    steps = levels.diff(dim=-1).abs()
    amid, between = rims[..., :-1] < -0.8, rims[..., :-1] > 0.8
    assert float(steps[between].mean()) > 1.7 * float(steps[amid].mean())


def test_rims_are_bright_after_contrast_above_all_and_not_alike_in_all_tumors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detail, "NODULE_SD", 0.0)
    with_rims = [changes(seed=k) for k in range(6)]
    monkeypatch.setattr(detail, "RIM", 0.0)
    rims = torch.stack([w - changes(seed=k) for k, w in enumerate(with_rims)])
    pre, post = rims.std((2, 3, 4)).T
    assert torch.allclose(pre, RIM_IN_PRE * post, rtol=0.15)
    assert float(post.max()) > 1.5 * float(post.min())
    # Bright lines on a darker ground.
    assert float((rims[:, 1] > 0).float().mean()) < 0.5


def test_nodules_show_in_both_images() -> None:
    typical = changes()
    coarse = torch.stack([gaussian_mean(one, 2.0).flatten() for one in typical])
    assert float(torch.corrcoef(coarse)[0, 1]) > 0.6


def test_a_window_of_odd_sides_has_the_same_kind_of_detail() -> None:
    found = detailed(PLAIN[None, :, :47, :, :33], torch.tensor([[0.15]]), started(3))[0]
    post = found[1] / PLAIN[1, :47, :, :33] - 1
    assert float(post.std()) == pytest.approx(float(changes()[1].std()), rel=0.2)


def test_walls_are_dark_and_thin_and_vary_as_much_as_the_noise_they_replace() -> None:
    normal = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    found = walls(normal)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(found.std()) == pytest.approx(1.0, abs=0.01)
    assert float(found[normal.abs() < 0.05].max()) < -1.5
    assert float((found < -1).float().mean()) < 0.25
