from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from analytic import ball, examples, seeded
from synbt_aug.grid.mask import signed_distance_mm, tilted
from synbt_aug.tumor.fringe import (
    LONGEST_MM,
    MAX_STRANDS,
    Fringe,
    courses_of,
    draw_fringe,
    joined,
    within,
)

MANY = Fringe(seed=5, strands=14, nodules=6)


def body(radius: float = 8.0, side: int = 64) -> Tensor:
    return tilted(signed_distance_mm(ball(side, radius)))


def everywhere(places: np.ndarray) -> np.ndarray:
    return np.ones(len(places), dtype=bool)


def grown(fringe: Fringe, inside: Tensor) -> Tensor:
    return joined(inside, fringe, courses_of(fringe, inside))


@given(seed=st.integers(0, 2**31 - 1))
@examples(15)
def test_strands_and_nodules_leave_the_volume_as_it_was(seed: int) -> None:
    inside = body()
    whole = grown(within(*_drawn(Fringe(seed, 10, 5), inside), inside, everywhere), inside)
    # Two voxels may be equally deep.
    assert abs(int((whole <= 0).sum()) - int((inside <= 0).sum())) <= 1
    assert bool(((whole <= 0) & (inside > 3.0)).any())


def _drawn(fringe: Fringe, inside: Tensor) -> tuple[Fringe, object]:
    return fringe, courses_of(fringe, inside)


def test_strands_are_thin_long_and_hang_on_the_body() -> None:
    inside = body()
    strands = Fringe(seed=3, strands=12, nodules=0)
    label = (grown(strands, inside) <= 0).numpy()
    _, pieces = ndimage.label(label, np.ones((3, 3, 3)))
    assert pieces == 1
    off = label & (inside.numpy() > 1.5)
    assert 0.005 < off.sum() / label.sum() < 0.15
    assert not ndimage.binary_erosion(off, np.ones((3, 3, 3))).any()
    assert inside.numpy()[label].max() > 5.0


def test_nodules_lie_beside_the_body() -> None:
    inside = body()
    nodules = Fringe(seed=4, strands=0, nodules=12)
    parts, count = ndimage.label((grown(nodules, inside) <= 0).numpy(), np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    assert count >= 4
    assert (sizes >= 7).all()
    assert sizes.max() > 0.7 * sizes.sum()


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


def test_small_bodies_have_little_around_them() -> None:
    def mean(diameter: float) -> float:
        drawn = [draw_fringe(diameter, "mass", seeded(k)) for k in range(60)]
        return float(np.mean([one.strands + one.nodules for one in drawn]))

    assert mean(7.0) < 0.4 * mean(20.0)


def test_strands_grow_in_number_with_the_body_and_nodules_do_not() -> None:
    def mean(diameter: float, what: str) -> float:
        drawn = [draw_fringe(diameter, "mass", seeded(k)) for k in range(60)]
        return float(np.mean([getattr(one, what) for one in drawn]))

    assert 2.0 < mean(36.0, "strands") / mean(18.0, "strands") < 4.0
    assert mean(36.0, "nodules") == pytest.approx(mean(18.0, "nodules"))
    assert max(draw_fringe(60.0, "mass", seeded(k)).strands for k in range(60)) <= MAX_STRANDS


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


def test_a_slice_shows_more_of_a_ribbon_than_of_a_thread() -> None:
    inside = body()
    fringe = Fringe(seed=3, strands=20, nodules=0)
    courses = courses_of(fringe, inside)
    threads = courses._replace(sides=[np.zeros_like(side) for side in courses.sides])
    off = inside > 1.5
    shown = [int(((joined(inside, fringe, c) <= 0) & off).sum()) for c in (threads, courses)]
    assert shown[1] > 1.3 * shown[0]


def test_json_brings_it_back() -> None:
    inside = body()
    fringe = within(MANY, courses_of(MANY, inside), inside, everywhere)
    again = Fringe.from_dict(json.loads(json.dumps(fringe.to_dict())))
    assert again == fringe
    assert torch.equal(grown(again, inside), grown(fringe, inside))


@pytest.mark.parametrize(
    "change",
    [
        {"strands": MAX_STRANDS + 1},
        {"nodules": -1},
        {"reach_mm": [1.0]},
        {"length_mm": [1.0, 99.0]},
    ],
)
def test_what_no_recipe_holds_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Fringe.from_dict({**MANY.to_dict(), **change})


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
