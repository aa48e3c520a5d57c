from __future__ import annotations

import torch

from analytic import ball
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.paint.carried_on import carried_on
from synbt_aug.tumor.label_shape import LabelShape

SIDE = 32


def shape(*, strand: bool) -> LabelShape:
    body = ball(SIDE, 6.0)
    outline = body.clone()
    outline[15:17, 15:17, 20:30] = True
    distance = signed_distance_mm(body)
    return LabelShape.of(distance, signed_distance_mm(outline) if strand else None)


def painted(label: LabelShape, core: float = 2.0) -> torch.Tensor:
    level = torch.where(label.distance <= 0, 2.0, -0.5)
    level = torch.where(label.depth > 4.5, core, level)
    return torch.stack([level - 1, level], 1)


def test_a_strand_goes_on_at_the_level_of_the_bodys_edge() -> None:
    label = shape(strand=True)
    window = carried_on(painted(label), label)
    along = window[0, :, 15, 15, 24:30]
    torch.testing.assert_close(along[1], torch.full((6,), 2.0), atol=0.02, rtol=0)
    torch.testing.assert_close(along[0], torch.full((6,), 1.0), atol=0.02, rtol=0)


def test_a_dark_core_does_not_darken_it() -> None:
    label = shape(strand=True)
    window = carried_on(painted(label, core=-3.0), label)
    assert float(window[0, 1, 15, 15, 28]) > 1.9


def test_the_body_and_the_millimetre_around_it_stay_as_they_were_painted() -> None:
    label = shape(strand=True)
    before = painted(label)
    near = (label.distance <= 1.0)[:, None].expand_as(before)
    assert torch.equal(carried_on(before, label)[near], before[near])


def test_without_an_outline_nothing_changes() -> None:
    label = shape(strand=False)
    before = painted(label)
    assert carried_on(before, label) is before


def test_each_row_has_its_own_level() -> None:
    label = LabelShape.join([shape(strand=True), shape(strand=True)])
    one = painted(shape(strand=True))
    window = carried_on(torch.cat([one, one + 3]), label)
    torch.testing.assert_close(window[1], window[0] + 3)


def test_a_row_without_an_outline_stays_as_it_was_beside_one_that_has_it() -> None:
    label = LabelShape.join([shape(strand=True), shape(strand=False)])
    before = torch.cat([painted(shape(strand=True))] * 2)
    after = carried_on(before, label)
    assert torch.equal(after[1], before[1])
    assert not torch.equal(after[0], before[0])
