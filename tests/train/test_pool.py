"""The pool of encoded windows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from synbt_aug.train.denoiser_presets import WindowPool
from synbt_aug.train.pool import LatentPool, encode_example
from synbt_aug.train.windows import ExampleSampler, HoleSettings

SIZE = WindowPool((32, 32, 32), share=1.0, batch=3, start=2, most=4)


def shrink(x: Tensor) -> Tensor:
    """Stands in for the encoder."""
    return torch.nn.functional.avg_pool3d(x, 4).repeat(1, 4, 1, 1, 1)


@pytest.fixture
def pool(cases: list) -> LatentPool:
    sampler = ExampleSampler(cases, HoleSettings())
    return LatentPool(
        SIZE, sampler, shrink, torch.device("cpu"), background=0.1, refresh=0.5, seed=(0, 0)
    )


def test_it_starts_small_grows_and_drops_the_oldest(pool: LatentPool) -> None:
    pool.advance(0)
    assert list(pool.windows) == [0, 1]
    pool.advance(4)
    assert list(pool.windows) == [0, 1, 2, 3]
    pool.advance(7)
    assert list(pool.windows) == [1, 2, 3, 4]


def test_a_jump_makes_the_pool_that_steps_would(pool: LatentPool, cases: list) -> None:
    for step in range(8):
        pool.advance(step)
    jumped = LatentPool(
        SIZE, pool.sampler, shrink, torch.device("cpu"), background=0.1, refresh=0.5, seed=(0, 0)
    )
    jumped.advance(7)
    assert jumped.windows.keys() == pool.windows.keys()
    for number, window in pool.windows.items():
        for a, b in zip(window, jumped.windows[number], strict=True):
            assert torch.equal(a, b)


def test_a_batch_stacks_every_field(pool: LatentPool) -> None:
    pool.advance(4)
    batch = pool.batch(torch.Generator().manual_seed(0))
    assert batch.z.shape == batch.z_masked.shape == (3, 8, 8, 8, 8)
    assert batch.mask.shape == batch.weight.shape == (3, 1, 8, 8, 8)
    assert batch.appearance.shape == batch.appearance_known.shape == (3, 7)


def test_the_loss_weighs_the_hole_and_one_ring_and_no_padding(pool: LatentPool) -> None:
    example = pool.sampler.draw((32, 32, 32), generator=torch.Generator().manual_seed(2))
    valid = torch.ones_like(example.valid)
    valid[:4] = False
    hole = torch.zeros_like(example.hole)
    hole[16, 16, 16] = True
    encoded = encode_example(
        example._replace(valid=valid, hole=hole), shrink, torch.device("cpu"), 0.1
    )
    expected = torch.full((1, 8, 8, 8), 0.1)
    expected[:, 3:6, 3:6, 3:6] = 1.0
    expected[:, 0] = 0.0
    assert torch.allclose(encoded.weight, expected)


def test_the_sums_give_mean_and_spread(pool: LatentPool) -> None:
    pool.advance(0)
    total, squares, count = pool.statistics()
    z = torch.stack([window.z for window in pool.windows.values()]).double()
    flat = z.movedim(1, 0).flatten(1)
    assert torch.allclose(total / count, flat.mean(1))
    assert torch.allclose(squares / count - (total / count) ** 2, flat.var(1, unbiased=False))
