"""The next batch is made ready meanwhile: same batches, same order, nothing lost at the end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import breast, painter, seeded
from synbt_aug.injector import SynBTInjector
from synbt_aug.lookahead import Lookahead
from synbt_aug.settings.injection import InjectionSettings

CPU = torch.device("cpu")
SOON = 20.0


def unchanged(number: int) -> int:
    return number


class PretendStream:
    """Writes down what would be asked of a second stream."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.caller = threading.get_ident()

    def say(self, what: Any) -> None:
        here = "caller" if threading.get_ident() == self.caller else "thread"
        self.said.append((here, what))

    def after_caller(self) -> None:
        self.say("after caller")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.say("enter")
        yield
        self.say("leave")

    def mark(self) -> int:
        self.say("mark")
        return len(self.said)

    def before_caller(self, mark: int, batch: Any) -> None:
        assert self.said[mark - 1] == ("thread", "mark")
        self.say(f"before caller: {batch}")


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_every_batch_comes_once_in_order_and_the_last_one_ends_it(count: int) -> None:
    assert list(Lookahead(range(count), unchanged, CPU)) == list(range(count))


def test_the_next_batch_is_made_ready_while_the_caller_works_and_no_other() -> None:
    ready = [threading.Event() for _ in range(4)]

    def make_ready(number: int) -> int:
        ready[number].set()
        return number

    ahead = Lookahead(range(4), make_ready, CPU)
    assert not ready[0].is_set()
    assert next(ahead) == 0
    # The caller would train now.
    assert ready[1].wait(SOON)
    ahead.settle()
    assert not ready[2].is_set()
    ahead.close()


def test_nothing_is_begun_behind_the_last_batch_of_an_epoch() -> None:
    made: list[int] = []

    def make_ready(number: int) -> int:
        made.append(number)
        return number

    ahead = Lookahead(itertools.count(), make_ready, CPU, goes_on=lambda: len(made) % 3 != 0)
    for epoch in range(3):
        assert [next(ahead) for _ in range(3)] == [3 * epoch + k for k in range(3)]
        ahead.settle()
        # Validation, checkpoints: nothing is under way meanwhile.
        assert len(made) == 3 * (epoch + 1)


def test_what_goes_wrong_is_raised_where_its_batch_is_asked_for() -> None:
    def make_ready(number: int) -> int:
        if number == 1:
            raise ValueError("out of paint")
        return number

    ahead = Lookahead(range(3), make_ready, CPU)
    assert next(ahead) == 0
    with pytest.raises(ValueError, match="out of paint"):
        next(ahead)
    assert next(ahead) == 2


def test_a_loader_that_breaks_is_told_and_so_is_what_is_waited_for() -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise OSError("a worker died")

    ahead = Lookahead(broken(), unchanged, CPU)
    assert next(ahead) == 0
    with pytest.raises(OSError, match="a worker died"):
        ahead.settle()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_ends_the_thread_and_leaves_the_loader_to_its_owner(taken: int) -> None:
    threads = set()

    def make_ready(number: int) -> int:
        threads.add(threading.current_thread())
        return number

    loader = itertools.count()
    ahead = Lookahead(loader, make_ready, CPU)
    for _ in range(taken):
        next(ahead)
    ahead.close()
    assert len(threads) == (taken > 0) and not any(one.is_alive() for one in threads)
    assert ahead.batches is loader
    # The batch that was begun is gone: none is used twice.
    assert next(loader) == (taken + 1 if taken else 0)


def test_launches_of_both_sides_wait_for_each_other_and_not_for_more() -> None:
    beside = PretendStream()
    ahead = Lookahead([7], unchanged, CPU, goes_on=lambda: False, beside=beside)
    assert next(ahead) == 7
    ahead.close()
    assert beside.said == [
        ("caller", "after caller"),
        ("thread", "enter"),
        ("thread", "mark"),
        ("thread", "leave"),
        ("caller", "before caller: 7"),
    ]


def test_what_is_begun_waits_for_what_was_launched_before_the_batch_is_handed_out() -> None:
    beside = PretendStream()
    ahead = Lookahead(range(9), unchanged, CPU, beside=beside)
    next(ahead)
    beside.say("step 0")
    next(ahead)
    ahead.close()
    caller = [what for who, what in beside.said if who == "caller"]
    # Batch 1 is begun before step 0 is launched, and runs beside it.
    assert caller == [
        "after caller",
        "before caller: 0",
        "after caller",
        "step 0",
        "before caller: 1",
        "after caller",
    ]


def injected(make: Callable[[Iterator[Tensor], Callable[[Tensor], Any]], Any]) -> list[Any]:
    """Batches with tumors, handed from a loader to an injector by `make`."""
    injector = SynBTInjector(InjectionSettings(probability=1.0, diameter_mm=9.0), painter())
    generator = seeded(3)
    labels = torch.zeros((1, 1, *breast().shape), dtype=torch.int16)

    def inject(images: Tensor) -> tuple[Tensor, Tensor]:
        done = injector(images, labels, generator=generator)
        assert done.painted == (True,)
        return done.images, done.labels

    return list(make((breast(seed=k).image[None] for k in range(3)), inject))


def test_tumors_are_bitwise_those_that_come_without() -> None:
    plain = injected(lambda batches, inject: map(inject, batches))
    ahead = injected(lambda batches, inject: Lookahead(batches, inject, CPU))
    assert len(plain) == len(ahead) == 3
    for one, other in zip(plain, ahead, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_thread_computes_on_as_many_cores_as_its_caller() -> None:
    # A product of vectors goes to a library that asks OpenMP, and not torch, how many there are.
    vector = torch.randn(300_000, generator=seeded())

    def square(_: int) -> float:
        return float(vector @ vector)

    ahead = Lookahead(range(2), square, CPU)
    assert next(ahead) == square(0)
    ahead.close()
