"""Pretend CUDA graphs: what is launched on the pretend accelerator, recorded and replayed.

As in a CUDA graph, numbers of the CPU are those of the recording, tensors that are read from
outside are read where they lay then, and what would wait or copy between devices is refused while
it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.support.graphs import MOST, Graphs


@dataclass(frozen=True)
class Made:
    """A tensor that the recording makes, by its number."""

    number: int


class PretendRecorder:
    """Records on a pretend accelerator; see `synbt_aug.support.cuda_graphs.Recorder`."""

    def __init__(self, there: PretendAccelerator) -> None:
        self.there = there
        self.begun = 0

    def records(self, device: torch.device) -> bool:
        return device == FAR

    @contextmanager
    def beside(self, device: torch.device) -> Iterator[None]:
        yield

    def begin(self, device: torch.device) -> None:
        self.begun += 1

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        tape = Tape()
        self.there.recording = tape
        try:
            work()
        finally:
            self.there.recording = None
        tape.end()

        def replay() -> None:
            self.there.launches += 1
            tape.play()

        return replay


class Tape:
    """Operations in order, with the tensors that they make by number."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, list[int]]] = []
        self.ends: list[list[int]] = []
        self._numbers = WeakTensorKeyDictionary()
        self._count = 0

    def write(self, func: Any, args: Any, kwargs: Any, made: Any) -> None:
        """Take down an operation on plain tensors, and what it gave."""
        taken = tree_map_only(Tensor, self._taken, (args, kwargs))
        numbers = []
        for one in tree_leaves(made):
            if one not in self._numbers:
                self._numbers[one] = self._count
                self._count += 1
            numbers.append(self._numbers[one])
        self.calls.append((func, *taken, numbers))

    def end(self) -> None:
        """Find what may be let go of after each operation."""
        last = {n: k for k, call in enumerate(self.calls) for n in _numbers(call)}
        self.ends = [[] for _ in self.calls]
        for number, k in last.items():
            self.ends[k].append(number)

    def play(self) -> None:
        """Carry all operations out anew."""
        there: dict[int, Tensor] = {}
        for (func, args, kwargs, numbers), ends in zip(self.calls, self.ends, strict=True):
            args, kwargs = tree_map(
                lambda x: there[x.number] if isinstance(x, Made) else x, (args, kwargs)
            )
            made = tree_leaves(func(*args, **kwargs))
            there.update(zip(numbers, made, strict=True))
            del args, kwargs, made
            for number in ends:
                del there[number]

    def _taken(self, one: Tensor) -> Any:
        return Made(self._numbers[one]) if one in self._numbers else one


def _numbers(call: tuple[Any, Any, Any, list[int]]) -> list[int]:
    taken = [x.number for x in tree_leaves((call[1], call[2])) if isinstance(x, Made)]
    return [*taken, *call[3]]


def pretend_graphs(there: PretendAccelerator, most: int = MOST) -> Graphs:
    """Graphs of a pretend accelerator."""
    return Graphs(most, PretendRecorder(there))
