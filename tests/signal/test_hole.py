"""The hole rule: what is filled, from what, and with what."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analytic import ball, breast, examples, seeded
from synbt_aug.signal.hole import fill_hole, tissue
from synbt_aug.signal.intensity import measure_reference, to_model

SIDE = 24
HOLE = ball(SIDE, 6)[None]
EVERYWHERE = torch.ones(1, SIDE, SIDE, SIDE, dtype=torch.bool)


def noise(seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 2, SIDE, SIDE, SIDE, generator=seeded(seed))


def test_only_the_hole_is_filled() -> None:
    q = noise()
    before = q.clone()
    filled = fill_hole(q, HOLE, EVERYWHERE)
    outside = ~HOLE.expand(2, -1, -1, -1)
    assert torch.equal(filled[0][outside], before[0][outside])
    assert bool((filled[0][:, HOLE[0]] != before[0][:, HOLE[0]]).all())
    assert torch.equal(q, before)


def test_what_is_in_the_hole_leaves_no_trace() -> None:
    q, other = noise(), noise()
    other[:, :, HOLE[0]] = 1e3
    assert torch.equal(fill_hole(q, HOLE, EVERYWHERE), fill_hole(other, HOLE, EVERYWHERE))


def test_unknown_voxels_leave_no_trace() -> None:
    known = EVERYWHERE.clone()
    known[:, :, :, :5] = False
    q, other = noise(), noise()
    other[..., :5] = 1e3
    found, expected = fill_hole(other, HOLE, known), fill_hole(q, HOLE, known)
    assert torch.equal(found[:, :, HOLE[0]], expected[:, :, HOLE[0]])


def test_even_tissue_is_continued_evenly() -> None:
    q = torch.full((1, 2, SIDE, SIDE, SIDE), 0.25)
    q[:, 1] = -0.5
    filled = fill_hole(q, HOLE, EVERYWHERE)
    assert torch.allclose(filled, q, atol=1e-4)


@given(seed=st.integers(0, 50), low=st.floats(-1, 0), width=st.floats(0, 2))
@examples(10)
def test_the_fill_stays_between_the_least_and_the_most_of_its_surroundings(
    seed: int, low: float, width: float
) -> None:
    q = low + width * torch.rand((1, 2, SIDE, SIDE, SIDE), generator=seeded(seed))
    inside = fill_hole(q, HOLE, EVERYWHERE)[:, :, HOLE[0]]
    assert low - 1e-4 <= inside.min() and inside.max() <= low + width + 1e-4


def test_the_fill_follows_the_tissue_on_either_side() -> None:
    q = torch.zeros(1, 2, SIDE, SIDE, SIDE)
    q[:, :, 12:] = 1.0
    filled = fill_hole(q, HOLE, EVERYWHERE)[0, 0]
    middle = filled[:, 12, 12]
    assert middle[6] < 0.2 and middle[17] > 0.8
    assert bool((middle[6:18].diff() > -1e-4).all())
    # The window is its own mirror image: so is the fill.
    assert torch.allclose(filled, 1 - filled.flip(0), atol=1e-4)


@pytest.mark.parametrize("known", [EVERYWHERE & False, HOLE])
def test_without_tissue_the_hole_is_filled_from_whatever_lies_around(known: torch.Tensor) -> None:
    q = torch.full((1, 2, SIDE, SIDE, SIDE), 0.7)
    assert torch.allclose(fill_hole(q, HOLE, known), q, atol=1e-4)


def test_a_window_that_is_all_hole_comes_out_finite() -> None:
    assert bool(torch.isfinite(fill_hole(noise(), EVERYWHERE, EVERYWHERE)).all())


def test_a_batch_is_filled_as_its_members() -> None:
    q = noise(batch=2)
    holes = torch.cat([HOLE, ball(SIDE, 4)[None]])
    known = torch.cat([EVERYWHERE, EVERYWHERE & False])
    together = fill_hole(q, holes, known)
    for k in range(2):
        alone = fill_hole(q[k : k + 1], holes[k : k + 1], known[k : k + 1])
        assert torch.allclose(together[k : k + 1], alone, atol=1e-6)


def test_breast_is_tissue_and_air_is_not() -> None:
    image = breast().image
    found = tissue(to_model(image, measure_reference(image))[None])[0]
    assert found[20:, 20:52, 20:52].all()
    assert not found[:2].any()


def test_a_lone_bright_voxel_in_air_is_no_tissue() -> None:
    air = torch.full((1, 2, 9, 9, 9), -1.0)
    air[:, :, 4, 4, 4] = 2.0
    assert not tissue(air).any()


def test_tissue_shows_in_either_channel() -> None:
    for channel in range(2):
        q = torch.full((1, 2, 5, 5, 5), -1.0)
        q[:, channel] = 0.0
        assert tissue(q).all()


def test_holes_are_filled_as_if_all_of_the_windows_were(monkeypatch: pytest.MonkeyPatch) -> None:
    q, holes = noise(3, 2), torch.cat([HOLE, HOLE.roll((7, -4), (1, 3))])
    known = torch.rand(2, SIDE, SIDE, SIDE, generator=seeded(4)) > 0.3
    part = fill_hole(q, holes, known)
    monkeypatch.setattr("synbt_aug.signal.hole.box_to_work_in", lambda hole: (slice(None),) * 3)
    torch.testing.assert_close(part, fill_hole(q, holes, known), rtol=0, atol=1e-6)
    nothing = torch.zeros_like(holes)
    assert torch.equal(fill_hole(q, nothing, known), q)
