"""A watched pass tells what could not be recorded, and what has to be kept with a recording."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.support.recordable import NotRecordable, Watch

X = torch.tensor([3.0, -1.0, 2.0])


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x * 2 + 1,
        # A single number of the CPU goes along with a launch.
        lambda x: x * torch.tensor(2.0).sqrt(),
        lambda x: x[torch.zeros(2, dtype=torch.long, device=FAR)],
        lambda x: torch.where(x > 0, x, 0.0).sort().values,
        lambda x: x.double().to(torch.float32),
        lambda x: x.clone().index_fill_(0, torch.zeros(1, dtype=torch.long, device=FAR), 1.0),
    ],
)
def test_what_stays_on_the_device_passes(work: Callable[[Tensor], Tensor]) -> None:
    with PretendAccelerator() as there:
        x = there.put(X)
        wanted = there.get(work(x)).clone()
        with Watch([x]):
            assert torch.equal(there.get(work(x)), wanted)


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda x: bool((x > 0).any()), "reads a number"),
        (lambda x: x.sum().item(), "reads a number"),
        (lambda x: x[x > 0], "reads a number"),
        (lambda x: x.clone().index_put_((x > 0,), x[:1]), "reads a number"),
        (lambda x: torch.unique(x), "reads a number"),
        (lambda x: x.cpu(), "copies between cpu and meta"),
        (lambda x: torch.ones(3).to(FAR, non_blocking=True), "copies between cpu and meta"),
        (lambda x: torch.tensor(1.0).to(FAR), "copies between cpu and meta"),
        (lambda x: x.copy_(torch.ones(3), non_blocking=True), "copies between cpu and meta"),
    ],
)
def test_what_reads_or_copies_is_refused(work: Callable[[Tensor], object], why: str) -> None:
    with PretendAccelerator() as there:
        x = there.put(X)
        with pytest.raises(NotRecordable, match=why), Watch([x]):
            work(x)


def test_what_is_read_besides_is_told_once_and_what_is_made_is_not() -> None:
    with PretendAccelerator() as there:
        x, weight = there.put(X), there.put(torch.ones(3, 3))
        with Watch([x]) as watch:
            y = weight @ x
            y.add_(x)
            (weight.T @ y).sum()
        assert len(watch.read) == 1 and watch.read[0] is weight


def test_on_the_cpu_everything_passes() -> None:
    with Watch([X]) as watch:
        assert float(X.sum()) == 4 and X[X > 0].tolist() == [3, 2]
    assert watch.read == []
