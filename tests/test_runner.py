"""Several things into several hosts: order, attempts, and what follows a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import FlatTexture, breast, ground_of, painter, seeded, small_bank
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.host import Host
from synbt_aug.runner import Series, run
from synbt_aug.texture import PaintingJob
from synbt_aug.tumor.wish import Wish

SMALL = Wish(diameter_mm=8.0)
BENIGN = Wish("distractor")


class Failing(FlatTexture):
    """Paints what `fails` lets pass."""

    def __init__(self, fails: Callable[[int], Exception | float | None]) -> None:
        super().__init__((0.3, 1.5))
        self.fails, self.calls = fails, 0

    def __call__(self, job: PaintingJob) -> Tensor:
        self.calls += 1
        what = self.fails(self.calls)
        if isinstance(what, Exception):
            raise what
        painted = super().__call__(job)
        return painted if what is None else torch.full_like(painted, what)


def series(*wishes: Wish, seed: int = 0) -> Series:
    host = Host.of(breast(seed=seed))
    ground = ground_of(host)
    return Series(
        host, decide_all(ground, wishes, small_bank(), 2.0, seeded(seed), fringe=False), ground
    )


@pytest.mark.parametrize("attempts", [True, False])
def test_everything_decided_is_painted_in_order_into_one_image(attempts: bool) -> None:
    one = series(SMALL, SMALL, BENIGN)
    run(painter().painter, [one], attempts=attempts)
    results = one.results()
    assert [r.painted for r in results] == [True] * 3
    assert all(r.image is one.host.volume.image for r in results)
    assert [bool(r.tumor.any()) for r in results] == [True, True, False]
    supports = torch.stack([r.support for r in results]).sum(0)
    assert int(supports.max()) == 1
    untouched = supports == 0
    assert torch.equal(one.host.volume.image[:, untouched], one.first.volume.image[:, untouched])


@pytest.mark.parametrize(
    "failure", [torch.OutOfMemoryError("no room on the card"), ValueError("odd"), float("nan")]
)
@pytest.mark.parametrize("attempts", [True, False])
def test_a_failure_costs_one_thing_and_the_rest_is_tried(
    failure: Exception | float, attempts: bool
) -> None:
    # Three attempts are made where something is not finite; an error ends the thing.
    tries = 3 if attempts and isinstance(failure, float) else 1
    texture = Failing(lambda call: failure if call <= tries else None)
    one = series(SMALL, SMALL)
    run(painter(texture).painter, [one], attempts=attempts)
    first, second = one.results()
    assert not first.painted and second.painted
    assert not first.tumor.any() and torch.isfinite(one.host.volume.image).all()
    said = {"OutOfMemoryError": "out of memory: ", "ValueError": "error: odd"}
    wanted = said.get(type(failure).__name__, "the networks returned NaN")
    assert str(first.reason).startswith(wanted)


def test_a_batch_that_does_not_fit_is_painted_one_by_one() -> None:
    texture = Failing(lambda call: torch.OutOfMemoryError("too much") if call == 1 else None)
    both = [series(SMALL, seed=0), series(SMALL, seed=0)]
    run(painter(texture).painter, both, attempts=False)
    assert texture.calls == 3
    assert [one.results()[0].painted for one in both] == [True, True]


@pytest.mark.parametrize("attempts", [True, False])
def test_distractors_and_satellites_do_not_come_without_what_they_come_with(
    attempts: bool,
) -> None:
    faint = FlatTexture((0.0, 0.001))
    one = series(SMALL, BENIGN)
    assert len(one.decided) == 2
    run(painter(faint).painter, [one], attempts=attempts)
    (only,) = one.results()
    assert str(only.reason).startswith(("not visible enough", "the label did not change"))
    assert torch.equal(one.host.volume.image, one.first.volume.image)
    group = series(replace(SMALL, diameter_mm=12.0, group=True))
    assert [isinstance(d, Plan) and d.satellite for d in group.decided][:2] == [False, True]
    run(painter(faint).painter, [group], attempts=attempts)
    assert torch.equal(group.host.volume.image, group.first.volume.image)
    assert len(group.results()) == 1


def test_what_has_no_room_is_left_out_while_deciding_and_the_rest_is_painted() -> None:
    one = series(Wish(diameter_mm=80.0), SMALL)
    assert isinstance(one.decided[0], LeftOut) and isinstance(one.decided[1], Plan)
    run(painter().painter, [one], attempts=True)
    assert [r.painted for r in one.results()] == [False, True]
    assert str(one.results()[0].reason).startswith("no room")


def test_a_given_mask_may_use_the_place_of_one_that_was_left_out() -> None:
    # Two parts that touch: the second keeps off the first, unless that was not painted.
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[30:38, 30:40, 30:37] = True
    beside = torch.zeros_like(mask)
    beside[30:38, 30:40, 37:44] = True
    whole = series(Wish(mask=beside))
    run(painter().painter, [whole], attempts=True)
    calls = iter([float("nan")] * 3)
    texture = Failing(lambda call: next(calls, None))
    both = series(Wish(mask=mask), Wish(mask=beside))
    run(painter(texture).painter, [both], attempts=True)
    assert [r.painted for r in both.results()] == [False, True]
    assert torch.equal(both.results()[1].tumor, whole.results()[0].tumor)
    together = series(Wish(mask=mask), Wish(mask=beside))
    run(painter().painter, [together], attempts=True)
    first, second = together.results()
    assert not bool((first.support & second.support).any())
