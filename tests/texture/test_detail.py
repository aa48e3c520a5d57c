"""Detail finer than a latent cell, drawn from a tumor's own seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from synbt_aug.grid.mask import gaussian_mean
from synbt_aug.signal.noise import noise_starts
from synbt_aug.texture.detail import (
    DETAIL_STREAM,
    IN_POST,
    IN_PRE_ALONE,
    IN_PRE_WITH_POST,
    TYPICAL_HETEROGENEITY,
    detailed,
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


def sd_of(*parts: tuple[float, ...]) -> float:
    return float(torch.tensor([w for part in parts for w in part]).square().sum().sqrt())


def test_pre_and_post_vary_as_much_as_their_tables_say() -> None:
    # A quarter of it: the more, the longer the tail to dark, which the tables leave out.
    quarter = 0.25 * TYPICAL_HETEROGENEITY
    found = torch.stack([changes(quarter, k).square().mean((1, 2, 3)) for k in range(6)])
    pre, post = (4 * found.mean(0).sqrt()).tolist()
    assert post == pytest.approx(sd_of(IN_POST), rel=0.1)
    assert pre == pytest.approx(sd_of(IN_PRE_WITH_POST, IN_PRE_ALONE), rel=0.1)


def test_a_part_of_pre_goes_with_post() -> None:
    shared = sum(a * b for a, b in zip(IN_PRE_WITH_POST, IN_POST, strict=True))
    expected = shared / (sd_of(IN_POST) * sd_of(IN_PRE_WITH_POST, IN_PRE_ALONE))
    found = torch.corrcoef(changes().flatten(1))[0, 1]
    assert float(found) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_detail_is_in_proportion_to_the_heterogeneity(share: float) -> None:
    found, most = (changes(h).std().item() for h in (share * TYPICAL_HETEROGENEITY, 1.0))
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


def test_no_request_has_more_than_the_typical() -> None:
    assert torch.equal(changes(2 * TYPICAL_HETEROGENEITY), changes())


def test_it_is_stronger_in_some_parts_than_in_others() -> None:
    strength = gaussian_mean(changes()[1].square(), 3.0).sqrt()
    weak, strong = torch.quantile(strength.flatten(), torch.tensor([0.1, 0.9])).tolist()
    assert strong > 1.3 * weak


def test_a_row_does_not_depend_on_its_batch() -> None:
    asked = torch.tensor([[0.1], [0.25]])
    both = detailed(PLAIN.expand(2, -1, -1, -1, -1), asked, started(3, 4))
    for row, seed in enumerate((3, 4)):
        alone = detailed(PLAIN[None], asked[row : row + 1], started(seed))
        assert torch.allclose(both[row], alone[0], rtol=1e-6)
    assert not torch.allclose(both[0], both[1], rtol=1e-2)


def test_a_third_of_it_is_finer_than_a_latent_cell() -> None:
    post = changes()[1]
    assert float((post - gaussian_mean(post, 2.0)).var()) > 0.35 * float(post.var())


def test_walls_are_dark_and_thin_and_vary_as_much_as_the_noise_they_replace() -> None:
    normal = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    found = walls(normal)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(found.std()) == pytest.approx(1.0, abs=0.01)
    assert float(found[normal.abs() < 0.05].max()) < -1.5
    assert float((found < -1).float().mean()) < 0.25
