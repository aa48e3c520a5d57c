"""Stages are recorded once and replayed with other tensors, on a pretend accelerator."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from pretend_accelerator import FAR, PretendAccelerator
from pretend_graphs import pretend_graphs
from synbt_aug.support.graphs import Graphs, launch_by_launch

CPU = torch.device("cpu")


def blended(x: Tensor, y: Tensor, weight: Tensor, sharp: bool) -> tuple[Tensor, Tensor]:
    """A stage of fifteen launches, with views and changes in place."""
    for _ in range(10):
        x = x.sin()
    share = weight[:, None].clamp(0, 1)
    z = torch.lerp(x, y, share)
    z[:, 1:].mul_(2)
    return (z - z.mean() if sharp else z), z.T


def tensors(seed: int, rows: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn((2, rows, 4), generator=generator)
    return x, y, torch.rand(rows, generator=generator)


@pytest.mark.parametrize("sharp", [True, False])
def test_a_replay_gives_for_other_tensors_what_the_stage_gives(sharp: bool) -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        for seed in range(5):
            x, y, weight = tensors(seed)
            # One lies there already, two are sent.
            found = graphs(blended, (there.put(x), y, weight, sharp), FAR)
            for one, wanted in zip(found, blended(x, y, weight, sharp), strict=True):
                assert torch.equal(there.get(one), wanted)
        assert len(graphs) == 1
        there.reset()
        graphs(blended, (there.put(x), y, weight, sharp), FAR)
        # x copied to where it is read, the graph, two results copied out.
        assert there.launches == 4 and there.waits == []


def test_a_number_that_is_no_argument_is_that_of_the_recording() -> None:
    factor = [2.0]

    def scaled(x: Tensor) -> Tensor:
        return x * factor[0]

    with PretendAccelerator() as there:
        graphs, x = pretend_graphs(there), there.put(torch.ones(2))
        for _ in range(2):
            assert there.get(graphs(scaled, (x,), FAR)).tolist() == [2, 2]
        factor[0] = 3.0
        assert there.get(graphs(scaled, (x,), FAR)).tolist() == [2, 2]
        assert there.get(launch_by_launch(scaled, (x,), FAR)).tolist() == [3, 3]


def test_each_shape_type_and_word_has_its_own_recording_from_the_second_use_on() -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        x, y, weight = (there.put(one) for one in tensors(0))
        wide = tuple(there.put(one) for one in tensors(0, rows=5))
        others = [
            (x, y, weight, True),
            (x, y, weight, False),
            (*wide, True),
            (x.double(), y.double(), weight.double(), True),
        ]
        for number, arguments in enumerate(others):
            graphs(blended, arguments, FAR)
            assert len(graphs) == number
            graphs(blended, arguments, FAR)
            assert len(graphs) == number + 1


def test_nothing_is_recorded_on_a_cpu() -> None:
    graphs = Graphs()
    x, y, weight = tensors(1)
    for _ in range(3):
        z, _ = graphs(blended, (x, y, weight, False), CPU)
    assert len(graphs) == 0 and torch.equal(z, blended(x, y, weight, False)[0])


@pytest.mark.parametrize(
    "stage",
    [
        lambda x: x * float(x.sum()),
        lambda x: x[x > 0],
        lambda x: x + x.nonzero().sum(),
        lambda x: x * torch.tensor([1.0, 2.0]).to(FAR, non_blocking=True),
        lambda x: x.cpu().to(FAR),
    ],
    ids=["number", "mask", "nonzero", "copy there", "copy here"],
)
def test_what_cannot_be_recorded_runs_launch_by_launch_and_is_told_once(
    stage: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    with PretendAccelerator() as there, caplog.at_level(logging.WARNING):
        graphs, x = pretend_graphs(there), torch.tensor([1.0, -2.0])
        for _ in range(4):
            assert torch.equal(
                there.get(graphs(stage, (there.put(x),), FAR)),
                there.get(stage(there.put(x))),
            )
        graphs(blended, (*map(there.put, tensors(0)), True), FAR)
    assert len(graphs) == 0 and graphs.failed is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"CUDA graphs: a recording failed ({graphs.failed}). What was not recorded before is "
        f"painted launch by launch, which takes longer; nothing else changes."
    ]


def test_what_was_recorded_before_a_failure_goes_on() -> None:
    with PretendAccelerator() as there:
        graphs, arguments = pretend_graphs(there), (*map(there.put, tensors(0)), True)
        for stage, given in ((blended, arguments), (torch.nonzero, arguments[:1])):
            for _ in range(2):
                graphs(stage, given, FAR)
        assert graphs.failed is not None and len(graphs) == 1
        there.reset()
        graphs(blended, arguments, FAR)
        assert there.launches == 6


def test_an_error_of_the_stage_is_raised() -> None:
    def out_of_memory(x: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("no memory is left")

    with PretendAccelerator() as there:
        graphs, x = pretend_graphs(there), there.put(torch.ones(2))
        for _ in range(3):
            with pytest.raises(torch.cuda.OutOfMemoryError, match="no memory is left"):
                graphs(out_of_memory, (x,), FAR)


def test_what_is_used_more_often_takes_the_place_of_what_is_used_less() -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there, most=1)
        rare = (*map(there.put, tensors(0)), True)
        often = (*map(there.put, tensors(0, rows=5)), True)

        def launches(arguments: tuple[Tensor, Tensor, Tensor, bool]) -> int:
            there.reset()
            graphs(blended, arguments, FAR)
            return there.launches

        for _ in range(3):
            launches(rare)
        assert launches(rare) == 6
        # Used four times each, then five: nothing gives way. The sixth of one takes its place.
        assert [launches(often) for _ in range(4)] == [15] * 4
        assert launches(rare) == 6 and launches(often) == 15
        launches(often)
        assert launches(often) == 6 and launches(rare) == 15 and len(graphs) == 1


def test_what_a_stage_reads_besides_is_kept_as_long_as_its_recording() -> None:
    with PretendAccelerator() as there:
        graphs, x = pretend_graphs(there), there.put(torch.ones(2))
        kept = {"matrix": there.put(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))}

        def turned(x: Tensor) -> Tensor:
            return kept["matrix"].T @ x

        for _ in range(2):
            graphs(turned, (x,), FAR)
        seen = weakref.ref(kept["matrix"])
        # As a cache does that is full: whatever comes to lie there must not be read.
        kept["matrix"] = there.put(torch.zeros(2, 2))
        gc.collect()
        assert seen() is not None
        assert there.get(graphs(turned, (x,), FAR)).tolist() == [4, 6]
        del graphs
        gc.collect()
        assert seen() is None


def test_results_are_not_overwritten_by_the_next_replay() -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        arguments = [(*map(there.put, tensors(seed)), True) for seed in range(2)]
        graphs(blended, arguments[0], FAR)
        first = graphs(blended, arguments[0], FAR)[0]
        before = there.get(first).clone()
        graphs(blended, arguments[1], FAR)
        assert torch.equal(there.get(first), before)


def test_one_tensor_given_twice_when_it_is_recorded_may_be_two_later() -> None:
    with PretendAccelerator() as there:
        graphs, (x, y, weight) = pretend_graphs(there), tensors(0)
        once, other = there.put(x), there.put(y)
        for _ in range(2):
            graphs(blended, (once, once, weight, True), FAR)
        found = graphs(blended, (once, other, weight, True), FAR)[0]
        assert torch.equal(there.get(found), blended(x, y, weight, True)[0])


def test_a_larger_shape_leaves_what_was_recorded_of_a_smaller_one_right() -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        for rows in (3, 3, 40, 40, 3, 5, 5, 40):
            arguments = tensors(rows, rows)
            found = graphs(blended, (*map(there.put, arguments), True), FAR)
            for one, wanted in zip(found, blended(*arguments, True), strict=True):
                assert torch.equal(there.get(one), wanted)
        assert len(graphs) == 3


def test_a_copy_and_a_pickle_record_their_own() -> None:
    graphs = Graphs(most=3)
    for other in (copy.deepcopy(graphs), pickle.loads(pickle.dumps(graphs))):
        assert isinstance(other, Graphs) and other.most == 3 and len(other) == 0


class Again:
    """Works on the CPU: what it records is done again, slowly, at each replay."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def records(self, device: torch.device) -> bool:
        return True

    @contextmanager
    def beside(self, device: torch.device) -> Iterator[None]:
        self.said.append("beside")
        yield
        self.said.append("back")

    def begin(self, device: torch.device) -> None:
        self.said.append("begin")

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            self.said.append("replay")
            time.sleep(0.001)
            work()

        self.said.append("record")

        return replay


def test_the_shared_memory_is_written_to_when_earlier_replays_are_done() -> None:
    recorder = Again()
    graphs = Graphs(recorder=recorder)
    for _ in range(3):
        graphs(blended, (*tensors(0), True), CPU)
    assert recorder.said == ["begin", "beside", "record", "back", *["begin", "replay"] * 2]


def test_threads_take_turns() -> None:
    graphs = Graphs(recorder=Again())

    def right(seed: int) -> bool:
        arguments = (*tensors(seed), True)
        found = graphs(blended, arguments, CPU)
        return all(map(torch.equal, found, blended(*arguments)))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(40)))
    assert len(graphs) == 1


def test_arguments_that_ask_for_gradients_are_taken_all_the_same() -> None:
    graphs, (x, y, weight) = Graphs(recorder=Again()), tensors(0)
    for _ in range(3):
        found = graphs(blended, (x.requires_grad_(), y, weight, False), CPU)[0]
    assert torch.equal(found, blended(x, y, weight, False)[0].detach())
