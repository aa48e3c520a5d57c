from __future__ import annotations

import math

import pytest

from analytic import breast, ellipsoid, painter, seeded, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.control import (
    Control,
    ask,
    drawn_appearances,
    median_ratio,
    of_size,
    paint_often,
    range_of,
    spread_over,
    together,
)
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank


def looks(*values: float) -> list[Appearance]:
    return [Appearance(v, v / 10, 1 + v, v / 2, "mass") for v in values]


def test_a_wish_that_is_met_but_for_an_offset_correlates_fully() -> None:
    control = Control("enhancement", (1.0, 2.0, 3.0), (1.1, 2.1, 3.1))
    assert control.correlation == pytest.approx(1)
    assert control.mean_error == pytest.approx(0.1)


def test_a_wish_that_is_not_heard_has_no_correlation_to_speak_of() -> None:
    assert math.isnan(Control("rim", (1.0, 2.0, 3.0), (1.0, 1.0, 1.0)).correlation)
    assert math.isnan(Control("rim", (1.0, 2.0), (1.0, 2.0)).correlation)
    assert math.isnan(Control("rim", (), ()).mean_error)


def test_wishes_of_several_hosts_are_put_together() -> None:
    whole = together([Control("rim", (1.0,), (2.0,)), Control("rim", (), (), 1)])
    assert whole == Control("rim", (1.0,), (2.0,), 1)


def test_what_is_asked_spans_what_the_bank_has() -> None:
    mask = small_bank().templates[0].mask
    bank = TumorBank(tuple(Template(mask, a, "mass") for a in looks(*range(19))))
    low, high = range_of(bank, "enhancement")
    assert (low, high) == pytest.approx((0.05 * 18, 0.95 * 18))


def test_a_bank_that_was_not_measured_cannot_say_what_to_ask() -> None:
    bank = TumorBank((Template(small_bank().templates[0].mask, Appearance(), "mass"),))
    with pytest.raises(SynBTError, match="have no rim"):
        range_of(bank, "rim")


def test_an_attribute_is_asked_for_and_measured() -> None:
    synthesizer = painter()
    found = ask(synthesizer, breast(), "enhancement", 0.9, seed=3, diameter_mm=10)
    assert found.asked == (0.9,)
    assert len(found.measured) == 1
    # The texture adds 1.5 of linear signal, half of that in reference ranges, whatever is asked.
    assert found.measured[0] == pytest.approx(0.75, abs=0.2)
    assert found.refused == 0


def test_a_wish_without_room_is_counted() -> None:
    found = ask(painter(), breast(), "enhancement", 0.9, seed=3, diameter_mm=60)
    assert found == Control("enhancement", (), (), 1)


def test_one_mask_is_painted_with_every_seed() -> None:
    mask = ellipsoid(breast().shape, (30, 36, 36), (6, 6, 6))
    found = paint_often(painter(), breast(), mask, [Appearance()] * 2, first_seed=1)
    assert len(found) == 2
    assert found[0] != found[1]
    again = paint_often(painter(), breast(), mask, [Appearance()], first_seed=1)
    assert again == found[:1]


def test_appearances_are_drawn_among_tumors_of_the_size() -> None:
    bank = small_bank()
    eight = drawn_appearances(bank, 8.0, 20, generator=seeded())
    assert set(eight) == {bank.templates[0].appearance}
    assert len(drawn_appearances(bank, 500.0, 3, generator=seeded())) == 3


def test_half_of_the_spread_is_a_ratio_of_one_half() -> None:
    real, painted = looks(1, 2, 3, 4, 5), looks(1, 1.5, 2, 2.5, 3)
    ratios = spread_over(painted, real)
    assert ratios == pytest.approx(dict.fromkeys(ratios, 0.5))
    assert len(ratios) == 4
    assert median_ratio([ratios, {"rim": 2.5}]) == pytest.approx(1.5)


def test_few_tumors_have_no_spread() -> None:
    assert spread_over(looks(1, 2, 3, 4), looks(1, 2, 3, 4, 5)) is None
    assert math.isnan(median_ratio([]))


def test_real_tumors_are_held_against_masks_of_their_size() -> None:
    tumors = list(zip((7.1, 10.0, 12.9, 13.1), looks(1, 2, 3, 4), strict=True))
    assert of_size(tumors, 10.0) == [a for mm, a in tumors if mm < 13]
