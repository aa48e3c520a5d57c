"""What is asked of a sample, and the wishes that are drawn from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.request import AppearanceRequest, Request


def test_a_request_without_ranges_draws_nothing() -> None:
    generator = seeded()
    before = generator.get_state()
    look = Appearance(enhancement=1.0, category="rim")
    wishes = Request(tumors=2, diameter_mm=12.0, appearance=look).draw(generator)
    assert [(w.kind, w.diameter_mm, w.appearance) for w in wishes] == [("tumor", 12.0, look)] * 2
    assert torch.equal(generator.get_state(), before)


def test_an_appearance_of_single_numbers_is_the_one_asked_for() -> None:
    asked = AppearanceRequest(enhancement=0.5, rim=1.5, category="rim")
    assert asked.draw(seeded()) == Appearance(enhancement=0.5, rim=1.5, category="rim")


def test_a_range_of_sizes_is_left_to_the_placement() -> None:
    (wish,) = Request(diameter_mm=(10, 30)).draw(seeded())
    assert wish.diameter_mm == (10.0, 30.0)


def test_given_shapes_get_an_appearance_each_and_the_distractors_come_last() -> None:
    masks = [torch.ones(2, 2, 2, dtype=torch.bool), torch.zeros(2, 2, 2, dtype=torch.bool)]
    look = AppearanceRequest(enhancement=(0.8, 1.6))
    wishes = Request(appearance=look, distractors=2.0).draw_for(masks, seeded())
    assert [w.kind for w in wishes] == ["tumor", "tumor", "distractor", "distractor"]
    assert wishes[0].mask is masks[0] and wishes[1].mask is masks[1]
    assert wishes[0].appearance.enhancement != wishes[1].appearance.enhancement


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tumors": 2.5}, "tumors needs a whole number from 0 to 100, got 2.5"),
        ({"tumors": (3, 1)}, "tumors needs the smaller number of a range first, got 3:1"),
        ({"diameter_mm": (2, 10)}, "diameter_mm needs a number from 6 to 90, got 2. Smaller"),
        ({"multifocal": 2}, "multifocal needs a number from 0 to 1, got 2"),
        ({"distractors": float("nan")}, "distractors needs a number from 0 to 8, got nan"),
        ({"kind": "cyst"}, "kind needs one of"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        Request(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"enhancement": (0.5, 30)}, "enhancement needs a number from -0.9 to 20, got 30"),
        ({"category": "cyst"}, "category needs one of 'mass', 'rim', 'non-mass', got 'cyst'"),
    ],
)
def test_an_appearance_that_no_tumor_has_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        AppearanceRequest(**values)
