from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from analytic import examples
from around_a_ball import MANY, body, everywhere, grown
from synbt_aug.grid.mask import blend_weight
from synbt_aug.grid.support import islets
from synbt_aug.tumor.fringe import Fringe
from synbt_aug.tumor.fringe_courses import courses_of, within
from synbt_aug.tumor.fringe_shape import joined, softened


@given(seed=st.integers(0, 2**31 - 1))
@examples(15)
def test_strands_and_nodules_leave_the_volume_as_it_was(seed: int) -> None:
    inside = body()
    fringe = Fringe(seed, 10, 5)
    whole = grown(within(fringe, courses_of(fringe, inside), inside, everywhere), inside)
    # Two voxels may be equally deep.
    assert abs(int((whole <= 0).sum()) - int((inside <= 0).sum())) <= 1
    assert bool(((whole <= 0) & (inside > 3.0)).any())


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


def test_a_slice_shows_more_of_a_ribbon_than_of_a_thread() -> None:
    inside = body()
    fringe = Fringe(seed=3, strands=20, nodules=0)
    courses = courses_of(fringe, inside)
    threads = courses._replace(sides=[np.zeros_like(side) for side in courses.sides])
    off = inside > 1.5
    shown = [int(((joined(inside, fringe, c) <= 0) & off).sum()) for c in (threads, courses)]
    assert shown[1] > 1.3 * shown[0]


def test_what_json_brings_back_grows_the_same() -> None:
    inside = body()
    fringe = within(MANY, courses_of(MANY, inside), inside, everywhere)
    again = Fringe.from_dict(json.loads(json.dumps(fringe.to_dict())))
    assert again == fringe
    assert torch.equal(grown(again, inside), grown(fringe, inside))


@given(seed=st.integers(0, 2**31 - 1), rough_mm=st.floats(0.2, 1.0))
@examples(15)
def test_a_rough_surface_goes_up_and_down_and_holds_as_much(seed: int, rough_mm: float) -> None:
    inside = body()
    fringe = Fringe(seed, strands=0, nodules=0, rough_mm=rough_mm)
    rough = grown(fringe, inside)
    assert abs(int((rough <= 0).sum()) - int((inside <= 0).sum())) <= 1
    surface = inside.abs() < 0.75
    moved = (rough - inside)[surface]
    assert 0.4 * rough_mm < float(moved.std()) < 1.8 * rough_mm
    assert bool((rough[inside >= 6.0] > 0).all())


@pytest.mark.parametrize("seed", range(4))
def test_a_label_has_no_pinholes(seed: int) -> None:
    inside = body()
    fringe = Fringe(seed, strands=40, nodules=20, rough_mm=1.5)
    whole = grown(within(fringe, courses_of(fringe, inside), inside, everywhere), inside)
    pinholes = islets(whole > 0, 30, 1.0)
    # A surface that is met again may open one anew.
    assert pinholes is None or int(pinholes.sum()) <= 1


def test_a_seed_roughens_the_same_way_whatever_else_leaves_the_body() -> None:
    inside = body()
    bare = grown(Fringe(seed=7, strands=0, nodules=0, rough_mm=0.8), inside)
    again = grown(Fringe(seed=7, strands=0, nodules=0, rough_mm=0.8), inside)
    smooth = grown(Fringe(seed=7, strands=0, nodules=0), inside)
    assert torch.equal(bare, again)
    assert torch.equal(smooth, inside)
    assert not torch.equal(bare <= 0, inside <= 0)


@given(seed=st.integers(0, 2**31 - 1), soft=st.floats(0.0, 1.0))
@examples(15)
def test_a_softer_edge_is_the_same_label_with_a_wider_blend(seed: int, soft: float) -> None:
    hard = body()
    soft_edge = softened(hard, Fringe(seed, 0, 0, soft=soft))
    assert torch.equal(soft_edge <= 0, hard <= 0)
    assert bool((soft_edge.abs() <= hard.abs()).all())
    # Nothing from 5/3 mm on, whole from there inward.
    assert not bool(blend_weight(soft_edge)[hard >= 1.67].any())
    assert bool((blend_weight(soft_edge)[hard <= -1.67] == 1).all())


def test_edges_are_softer_in_parts() -> None:
    hard = body()
    near = hard.abs() < 1
    shares = (softened(hard, Fringe(7, 0, 0, soft=0.5)) / hard)[near]
    assert float(shares.quantile(0.1)) < 0.7 and float(shares.quantile(0.9)) > 0.85
    assert torch.equal(softened(hard, Fringe(7, 0, 0)), hard)
