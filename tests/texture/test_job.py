"""What a texture is asked: jobs that can be joined, and noise of each tumor's own."""

from __future__ import annotations

import torch

from analytic import ball, seeded
from synbt_aug.texture import PaintingJob, join
from synbt_aug.tumor.appearance import Appearance

SIDE = 16


def job(seed: int, tumor: bool = True) -> PaintingJob:
    mask = ball(SIDE, 4)[None]
    return PaintingJob(
        q=torch.randn(1, 2, SIDE, SIDE, SIDE, generator=seeded(seed)),
        mask=mask if tumor else mask & False,
        hole=ball(SIDE, 6)[None],
        known=~ball(SIDE, 7)[None],
        appearance=(Appearance(enhancement=0.1 * seed),),
        noise_seeds=(seed,),
    )


def test_joined_jobs_keep_their_order() -> None:
    both = join([job(1), job(2, tumor=False)])
    assert len(both) == 2 and both.shape == (SIDE,) * 3
    assert torch.equal(both.q, torch.cat([job(1).q, job(2).q]))
    assert both.noise_seeds == (1, 2)
    assert [a.enhancement for a in both.appearance] == [0.1, 0.2]
    assert both.mask.flatten(1).any(1).tolist() == [True, False]
    assert torch.equal(both.hole[1:], job(2).hole) and torch.equal(both.known[1:], job(2).known)


def test_noise_does_not_depend_on_the_batch() -> None:
    both = join([job(1), job(2)]).noise(8, (4, 4, 4))
    assert both.shape == (2, 8, 4, 4, 4)
    assert torch.equal(both[:1], job(1).noise(8, (4, 4, 4)))
    assert torch.equal(both[1:], job(2).noise(8, (4, 4, 4)))


def test_noise_is_standard_normal_and_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    noise = job(3).noise(8, (16, 16, 16))
    assert torch.equal(torch.random.get_rng_state(), before)
    # 32768 numbers: the mean is known to .006, the SD to .004.
    assert abs(noise.mean().item()) < 0.03 and abs(noise.std().item() - 1) < 0.02


def test_a_wish_is_told_where_there_is_a_tumor_and_only_there() -> None:
    values, known = join([job(1), job(1, tumor=False)]).appearance_inputs()
    expected, told = Appearance(enhancement=0.1).to_model()
    assert torch.equal(values[0], expected) and torch.equal(known[0], told)
    assert not values[1].any() and not known[1].any()
