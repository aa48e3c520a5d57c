"""Examples for the denoiser: holes, masks, appearance."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import distance_mm
from synbt_aug.train.windows import Example, ExampleSampler, HoleSettings

SIDES = (32, 32, 32)


def draw(sampler: ExampleSampler, seed: int) -> Example:
    return sampler.draw(SIDES, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def examples(cases: list) -> list[Example]:
    sampler = ExampleSampler(cases, HoleSettings(healthy=0.4))
    return [draw(sampler, seed) for seed in range(40)]


def test_the_fill_changes_the_hole_alone(examples: list[Example]) -> None:
    for e in examples:
        outside = (~e.hole).expand_as(e.q)
        assert torch.equal(e.filled[outside], e.q[outside])
        assert (e.filled != e.q)[:, e.hole].float().mean() > 0.9


def test_the_hole_holds_the_mask_and_ends_within_its_margin(examples: list[Example]) -> None:
    tumors = [e for e in examples if e.mask.any()]
    assert tumors
    for e in tumors:
        assert (e.hole | ~e.mask).all()
        assert distance_mm(e.mask)[e.hole].max() <= 3.0 + 1e-3


def test_a_hole_is_never_in_padding(examples: list[Example]) -> None:
    assert any(not e.valid.all() for e in examples)
    assert all(e.valid[e.hole].all() for e in examples)


def test_some_holes_are_in_healthy_tissue_and_nothing_is_known_there(
    examples: list[Example],
) -> None:
    healthy = [e for e in examples if not e.mask.any()]
    assert 8 <= len(healthy) <= 25
    for e in healthy:
        assert int(e.hole.sum()) >= 20
        assert not e.appearance_known.any() and not e.appearance.any()


def test_a_tumors_appearance_is_told(examples: list[Example]) -> None:
    for e in examples:
        if e.mask.any():
            assert e.appearance_known.all() and e.appearance.isfinite().all()


def test_masks_hold_one_lesion_or_all(cases: list) -> None:
    alone = ExampleSampler(cases, HoleSettings(healthy=0, alone=1.0))
    together = ExampleSampler(cases, HoleSettings(healthy=0, alone=0.0))
    counts = [[int(draw(s, i).mask.sum()) for i in range(12)] for s in (alone, together)]
    sizes = [int((cases[0].tumor == number).sum()) for number in (1, 2)]
    assert max(counts[0]) == max(sizes) and min(counts[0]) <= min(sizes)
    assert max(counts[1]) == sum(sizes)


def test_rescaling_moves_intensities_but_not_the_hole(cases: list) -> None:
    plain = ExampleSampler(cases, HoleSettings(healthy=0, rescaled=0.0))
    scaled = dataclasses.replace(plain.settings, rescaled=1.0)
    a, b = draw(plain, 3), draw(ExampleSampler(cases, scaled), 3)
    assert torch.equal(a.hole, b.hole) and not torch.equal(a.q, b.q)


def test_the_same_generator_draws_the_same_example(cases: list) -> None:
    sampler = ExampleSampler(cases, HoleSettings())
    for left, right in zip(draw(sampler, 9), draw(sampler, 9), strict=True):
        assert torch.equal(left, right)


def test_cases_without_tumors_are_refused(cases: list) -> None:
    with pytest.raises(SynBTError, match="learns from tumors, but none of the 1 cases"):
        ExampleSampler(cases[2:], HoleSettings())
