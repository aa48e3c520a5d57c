"""Samples: functions of seed, step and index; painted where the plan says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segmentation_cases import BallPainter, named_case, source_of
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.train.segmentation_preset import segmentation_preset
from synbt_aug.train.segmentation_samples import SampleSource
from synbt_aug.train.segmentation_synthetic import REAL_ONLY, SyntheticPlan

TINY = segmentation_preset("tiny")
REPLACE = SyntheticPlan("syntumor", "replace", 1.0)
ADD = SyntheticPlan("syntumor", "add")
NOTHING_ADDED = SyntheticPlan("none", "add")


def test_adding_doubles_the_samples_of_a_step() -> None:
    assert len(source_of(replace(TINY, batch=3), REAL_ONLY)) == 3
    assert len(source_of(replace(TINY, batch=3), ADD, BallPainter())) == 6
    assert len(source_of(replace(TINY, batch=3), NOTHING_ADDED)) == 6


def test_added_samples_are_painted_into_and_real_ones_are_not() -> None:
    images, labels, painted = source_of(TINY, ADD, BallPainter()).batch(5, range(2))
    assert painted.tolist() == [0.0, 1.0]
    assert images.shape == (2, 2, 32, 32, 32) and labels.shape == (2, 1, 32, 32, 32)


def test_rows_see_the_same_crops_turned_alike_and_differ_in_the_paint_alone() -> None:
    plain, painted = source_of(TINY, NOTHING_ADDED), source_of(TINY, ADD, BallPainter())
    for step in range(4):
        (x, a, _), (y, b, _) = plain.batch(step, range(2)), painted.batch(step, range(2))
        assert torch.equal(x[0], y[0]) and torch.equal(a[0], b[0])
        new = (b[1] > a[1])[0]
        assert new.any() and not (a[1] > b[1]).any()
        # A rotation mixes a voxel with its neighbours.
        far = torch.nn.functional.max_pool3d(new.float()[None, None], 5, 1, 2)[0, 0] == 0
        assert torch.equal(x[1][:, far], y[1][:, far])


def test_the_label_of_a_synthetic_sample_is_its_tumor() -> None:
    still = replace(TINY, flip=0.0, rotated=0.0, jittered=0.0)
    cases = [named_case(3, tumor=False)]
    plain = source_of(still, REAL_ONLY, cases=cases).draft(0, 0)
    painted = source_of(still, REPLACE, BallPainter(), cases=cases).draft(0, 0)
    changed = (painted.view.image != plain.view.image).any(0)
    assert torch.equal(changed, painted.view.label[0] > 0) and changed.any()


def test_a_sample_depends_on_nothing_that_was_drawn_before() -> None:
    one, other = source_of(TINY, ADD, BallPainter()), source_of(TINY, ADD, BallPainter())
    for step in range(3):
        one.batch(step, range(2))
    for a, b in zip(one.batch(3, range(2)), other.batch(3, range(2)), strict=True):
        assert torch.equal(a, b)


def test_the_samples_of_a_step_do_not_depend_on_who_draws_them() -> None:
    preset = replace(TINY, batch=2)
    whole = source_of(preset, ADD, BallPainter()).batch(1, range(4))[0]
    for rank in range(2):
        part = source_of(preset, ADD, BallPainter()).batch(1, range(rank, 4, 2))[0]
        assert torch.equal(part, whole[rank::2])


def test_every_case_is_seen_once_before_any_is_seen_twice() -> None:
    cases = [named_case(seed) for seed in range(5)]
    for case, level in zip(cases, range(5), strict=True):
        case.q.fill_(level / 10)
    still = replace(TINY, jittered=0.0)
    source = source_of(still, REAL_ONLY, cases=cases)
    seen = [round(float(source.batch(step, [0])[0].mean()) * 10) for step in range(10)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]
    assert seen[:5] != seen[5:]


def test_the_samples_of_a_step_go_through_the_cases_together() -> None:
    cases = [named_case(seed) for seed in range(4)]
    for case, level in zip(cases, range(4), strict=True):
        case.q.fill_(level / 10)
    source = source_of(replace(TINY, jittered=0.0, batch=2), NOTHING_ADDED, cases=cases)
    drawn = torch.stack([source.batch(step, range(4))[0].mean((1, 2, 3, 4)) for step in range(2)])
    real, added = (drawn[:, part].mul(10).round().flatten() for part in (slice(2), slice(2, 4)))
    assert real.sort().values.tolist() == added.sort().values.tolist() == [0, 1, 2, 3]


def test_a_painted_sample_is_used_as_often_as_asked_and_turned_anew() -> None:
    painter = BallPainter()
    preset = replace(TINY, repeats=3, pool=2)
    source = source_of(preset, REPLACE, painter)
    images = [source.batch(step, [0])[0] for step in range(12)]
    assert painter.calls == 4
    assert all(not torch.equal(a, b) for k, a in enumerate(images) for b in images[:k])
    again = source_of(preset, REPLACE, BallPainter())
    assert torch.equal(again.batch(11, [0])[0], images[11])


def test_no_more_drafts_are_kept_than_the_pool_holds() -> None:
    source = source_of(replace(TINY, repeats=2, pool=2), ADD, BallPainter())
    for step in range(16):
        source.batch(step, range(2))
    assert len(source._kept) == 2


def test_further_real_cases_take_the_place_of_painted_ones() -> None:
    further = [named_case(9)]
    with_them = source_of(TINY, NOTHING_ADDED, supplement=further)
    x, y = with_them.batch(0, range(2))[0], source_of(TINY, NOTHING_ADDED).batch(0, range(2))[0]
    assert torch.equal(x[0], y[0]) and not torch.equal(x[1], y[1])
    there = inverse_knee(further[0].q.float()).unique().tolist()
    assert set(with_them.draft(0, 1).view.image.unique().tolist()) <= set(there)


def test_half_the_resolution_halves_the_sides() -> None:
    preset = replace(TINY, spacing_mm=2)
    images, labels, _ = source_of(preset, REPLACE, BallPainter()).batch(0, [0])
    assert images.shape == (1, 2, 16, 16, 16) and set(labels.unique().tolist()) == {0.0, 1.0}


def test_a_case_smaller_than_the_field_of_view_lies_in_its_middle() -> None:
    small = [named_case(0, side=40)]
    draft = source_of(TINY, REAL_ONLY, cases=small, field_of_view="volume").draft(0, 0)
    assert torch.equal(draft.view.label[0, 12:52, 12:52, 12:52] > 0, small[0].tumor > 0)
    assert draft.view.image.shape == (2, 64, 64, 64) and draft.view.image.isfinite().all()


def test_no_case_is_refused() -> None:
    with pytest.raises(SynBTError, match="at least one case, got none. Give --data"):
        SampleSource([], TINY, "patch", REAL_ONLY)
