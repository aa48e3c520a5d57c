from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from analytic import examples
from around_a_ball import MANY, body, everywhere, grown
from synbt_aug.tumor.fringe import LONGEST_MM, Fringe
from synbt_aug.tumor.fringe_courses import courses_of, within


def test_a_seed_gives_the_same_and_another_seed_another() -> None:
    inside = body()
    assert torch.equal(grown(MANY, inside), grown(MANY, inside))
    other = Fringe(seed=6, strands=14, nodules=6)
    assert not torch.equal(grown(MANY, inside) <= 0, grown(other, inside) <= 0)


def test_nothing_lies_where_tumor_may_not() -> None:
    inside = body()

    def left_half(places: np.ndarray) -> np.ndarray:
        return places[:, 2] < 36

    fringe = within(MANY, courses_of(MANY, inside), inside, left_half)
    beyond = (grown(fringe, inside) <= 0) & (inside > 1.0)
    # A strand that ends at the border is a millimetre thick there.
    assert not beyond[:, :, 38:].any()
    assert beyond[:, :, :36].any()


def test_the_faces_of_the_window_stay_free() -> None:
    inside = body(radius=16.0, side=48)
    far = Fringe(seed=1, strands=30, nodules=20, length_mm=(10.0, LONGEST_MM))
    fringe = within(far, courses_of(far, inside), inside, everywhere)
    label = grown(fringe, inside) <= 0
    c = slice(2, -2)
    assert int(label.sum()) == int(label[c, c, c].sum())


@given(seed=st.integers(0, 2**31 - 1))
@examples(10)
def test_strands_are_ribbons_that_end_in_a_point_and_nodules_are_threads(seed: int) -> None:
    points, _, sides = courses_of(Fringe(seed, strands=8, nodules=4), body())
    for k, (path, side) in enumerate(zip(points, sides, strict=True)):
        assert path.shape == side.shape
        half = np.linalg.norm(side, axis=1)
        if k < 8 and len(path):
            assert 0.6 <= half[0] <= 2.4
            assert half[-1] == 0
            assert (np.diff(half) < 0).all()
        else:
            assert not half.any()


def test_what_leaves_a_body_is_denser_on_some_sides() -> None:
    sides = []
    for seed in range(40):
        fringe = Fringe(seed, strands=30, nodules=0)
        points = courses_of(fringe, body(side=40)).points
        starts = np.stack([path[0] for path in points if len(path)]) - 19.5
        sides.append(np.linalg.norm((starts / np.linalg.norm(starts, axis=1)[:, None]).mean(0)))
    # Thirty starts spread evenly over a sphere have a mean direction of about .17.
    assert float(np.median(sides)) > 0.22
    assert max(sides) > 0.4
