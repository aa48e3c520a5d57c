from __future__ import annotations

import json

import numpy as np
import pytest

from analytic import seeded
from synbt_aug.tumor.fringe import (
    LONGEST_MM,
    MAX_ROUGH_MM,
    MAX_STRANDS,
    Fringe,
    draw_fringe,
    fringe_of_mask,
)

MANY = Fringe(
    seed=5,
    strands=2,
    nodules=1,
    length_mm=(2.0, LONGEST_MM),
    rough_mm=0.5,
    reach_mm=(4.2, 0.0, 3.0),
)


def test_small_bodies_have_little_around_them() -> None:
    def mean(diameter: float) -> float:
        drawn = [draw_fringe(diameter, "mass", seeded(k)) for k in range(60)]
        return float(np.mean([one.strands + one.nodules for one in drawn]))

    assert mean(7.0) < 0.4 * mean(20.0)


def test_strands_grow_in_number_with_the_body_and_nodules_do_not() -> None:
    def mean(diameter: float, what: str) -> float:
        drawn = [draw_fringe(diameter, "mass", seeded(k)) for k in range(60)]
        return float(np.mean([getattr(one, what) for one in drawn]))

    assert mean(36.0, "strands") / mean(18.0, "strands") == pytest.approx(2.0, rel=0.05)
    assert mean(16.0, "strands") / mean(8.0, "strands") == pytest.approx(2**1.5, rel=0.1)
    assert mean(36.0, "nodules") == pytest.approx(mean(18.0, "nodules"))
    assert max(draw_fringe(60.0, "mass", seeded(k)).strands for k in range(60)) <= MAX_STRANDS


def test_json_brings_it_back() -> None:
    assert Fringe.from_dict(json.loads(json.dumps(MANY.to_dict()))) == MANY


@pytest.mark.parametrize(
    "change",
    [
        {"strands": MAX_STRANDS + 1},
        {"nodules": -1},
        {"rough_mm": -0.1},
        {"rough_mm": MAX_ROUGH_MM + 1},
        {"reach_mm": [1.0]},
        {"length_mm": [1.0, 99.0]},
        {"soft": 1.1},
    ],
)
def test_what_no_recipe_holds_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Fringe.from_dict({**MANY.to_dict(), **change})


def test_how_soft_edges_are_is_drawn_for_each_tumor() -> None:
    drawn = [draw_fringe(20.0, "mass", seeded(k)).soft for k in range(60)]
    assert min(drawn) < 0.02 and 0.18 < max(drawn) <= 0.2 and len(set(drawn)) > 40


def test_nothing_leaves_a_given_mask() -> None:
    one, other = fringe_of_mask(seeded(1)), fringe_of_mask(seeded(2))
    assert (one.strands, one.nodules, one.rough_mm) == (0, 0, 0.0)
    assert one.seed != other.seed and one.soft != other.soft


def test_a_recipe_from_before_edges_were_softened_is_as_hard_as_it_was() -> None:
    values = draw_fringe(20.0, "mass", seeded(3)).to_dict()
    del values["soft"]
    assert Fringe.from_dict(values).soft == 0.0
