"""Work on a GPU as CUDA graphs: one launch in place of the thousand that it is made of.

What is to be replayed is a stage: a function of tensors whose launches depend on nothing but their
shapes and types, and on its other arguments. It is recorded for each such combination when it
comes the second time: what comes once is not worth it, and the first pass has filled all caches by
then. From then on the arguments are copied to where the recording reads them, the recording is
replayed, and the results are copied out. All else runs launch by launch. After a recording has
failed, which is said once, no other one is tried.

A graph keeps its arguments and results, about 40 bytes a window voxel for painting and writing: 25
MB for two windows of 80x64x64, 160 MB for two of 128 mm. What lies between is memory that all
graphs share: as much as the largest needs, .5 to 1 GB for two windows of 128 mm. `MOST` graphs are
kept. A further one takes the place of that which was used least, once it was used more often.

The arithmetic is that of the recording: a change of `torch.backends` afterwards has no effect.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from synbt_aug.support.device import Packed, sent_together
from synbt_aug.support.recordable import Watch

logger = logging.getLogger(__name__)

#: A function of tensors on one device and of hashable values, which gives tensors.
Stage = Callable[..., Any]

#: Graphs that are kept.
MOST = 16

#: From this use on a stage is recorded.
_RECORDED_FROM = 2

#: CUDA records one stream of a process at a time.
_one_recording = threading.Lock()


class Runs(Protocol):
    """How stages are run."""

    def __call__(self, stage: Stage, arguments: Sequence[Any], device: torch.device) -> Any:
        """Run a stage.

        Args:
            stage: What to run.
            arguments: Its tensors, on the device or on the CPU, from where they are sent in one
                copy; and values that can be hashed, of which there are few.
            device: Where it calculates.

        Returns:
            What the stage returns, nobody else's memory.
        """
        ...


def launch_by_launch(stage: Stage, arguments: Sequence[Any], device: torch.device) -> Any:
    """Run a stage as it is; see `Runs`."""
    at = [k for k, one in enumerate(arguments) if isinstance(one, Tensor)]
    placed = list(arguments)
    for k, value in zip(at, sent_together([arguments[k] for k in at], device), strict=True):
        placed[k] = value
    return stage(*placed)


class Recorder(Protocol):
    """What can record launches: CUDA, or a stand-in of the tests."""

    def records(self, device: torch.device) -> bool:
        """Whether it can on this device."""

    def beside(self, device: torch.device) -> AbstractContextManager[Any]:
        """A place where launches can be recorded, in order with the caller's before and after."""

    def record(self, stage: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Record a stage; inside of `beside`.

        Returns:
            What replays it on the caller's stream, and its results, which each replay renews.
        """

    def begin(self, device: torch.device) -> None:
        """Let the caller's next launches come after all replays so far."""


class _Cuda:
    """CUDA's own graphs; they share the memory of what lies between arguments and results."""

    def __init__(self) -> None:
        self._side: dict[torch.device, torch.cuda.Stream] = {}
        self._pool: dict[torch.device, Any] = {}
        self._last: dict[torch.device, torch.cuda.Stream] = {}

    def records(self, device: torch.device) -> bool:
        return device.type == "cuda"

    @contextmanager
    def beside(self, device: torch.device) -> Iterator[None]:
        current = torch.cuda.current_stream(device)
        if current.device not in self._side:
            self._side[current.device] = torch.cuda.Stream(device)
        side = self._side[current.device]
        side.wait_stream(current)
        try:
            with torch.cuda.device(current.device), torch.cuda.stream(side):
                yield
        finally:
            current.wait_stream(side)

    def record(self, stage: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        side = torch.cuda.current_stream()
        if side.device not in self._pool:
            self._pool[side.device] = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        pool = self._pool[side.device]
        # Another thread may train meanwhile: what it asks of CUDA is no part of the recording.
        recording = torch.cuda.graph(
            graph, pool=pool, stream=side, capture_error_mode="thread_local"
        )
        with _one_recording, recording:
            results = stage()
        return graph.replay, results

    def begin(self, device: torch.device) -> None:
        current = torch.cuda.current_stream(device)
        last = self._last.get(current.device, current)
        if last != current:
            current.wait_stream(last)
        self._last[current.device] = current


@dataclass(frozen=True)
class _Recording:
    """A stage that was recorded.

    Args:
        buffers: Where it reads the arguments that come from the device, by their number.
        content: Where it reads those of the CPU, as bytes.
        replay: Launches it.
        results: Where it writes.
        read: What else it reads.
    """

    buffers: dict[int, Tensor]
    content: Tensor | None
    replay: Callable[[], None]
    results: Any
    read: list[Tensor]


class Graphs:
    """Runs stages as graphs where a device has them; see `Runs`. Threads take turns.

    Args:
        most: Graphs that are kept.
        recorder: What records; None: CUDA.

    Attributes:
        failed: Why a recording failed; None: none did.
    """

    def __init__(self, most: int = MOST, recorder: Recorder | None = None) -> None:
        self.most = most
        self.failed: str | None = None
        self._recorder: Recorder = _Cuda() if recorder is None else recorder
        self._lock = threading.Lock()
        self._uses: Counter[Hashable] = Counter()
        self._held: dict[Hashable, _Recording] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __reduce__(self) -> tuple[type[Graphs], tuple[int]]:
        # A copy, in another process perhaps, records its own.
        return type(self), (self.most,)

    def __call__(self, stage: Stage, arguments: Sequence[Any], device: torch.device) -> Any:
        """Run a stage; see `Runs`."""
        if self._recorder.records(device):
            with self._lock:
                recording = self._recording(stage, arguments, device)
                if recording is not None:
                    return self._replayed(recording, arguments, device)
        return launch_by_launch(stage, arguments, device)

    def _recording(
        self, stage: Stage, arguments: Sequence[Any], device: torch.device
    ) -> _Recording | None:
        """The recording for such arguments, made now if it is time; None: there is none."""
        key = _key(stage, arguments, device)
        self._uses[key] += 1
        if key in self._held or self.failed is not None or self._uses[key] < _RECORDED_FROM:
            return self._held.get(key)
        leaves = None
        if len(self._held) >= self.most:
            rarest = min(self._held, key=self._uses.__getitem__)
            if self._uses[key] <= self._uses[rarest]:
                return None
            # Let go of below, when CUDA has waited for what it has under way.
            leaves = self._held.pop(rarest)
        try:
            self._held[key] = self._recorded(stage, arguments, device)
        except Exception as error:
            self.failed = f"{type(error).__name__}: {error}".split("\n")[0]
            logger.warning(
                "CUDA graphs: a recording failed (%s). What was not recorded before is painted "
                "launch by launch, which takes longer; nothing else changes.",
                self.failed,
            )
        del leaves
        return self._held.get(key)

    def _recorded(self, stage: Stage, arguments: Sequence[Any], device: torch.device) -> _Recording:
        here, there = _places(arguments)
        with self._recorder.beside(device):
            ready, content = list(arguments), None
            for k in there:
                ready[k] = arguments[k].to(device, copy=True)
            if here:
                packed = _packed(arguments, here, device)
                content = packed.content.to(device, non_blocking=True)
                for k, view in zip(here, packed.views(content), strict=True):
                    ready[k] = view
            # What is made once and kept is made in the first of the two.
            stage(*ready)
            with Watch([ready[k] for k in (*here, *there)]) as watch:
                stage(*ready)
            replay, results = self._recorder.record(lambda: stage(*ready))
        return _Recording({k: ready[k] for k in there}, content, replay, results, watch.read)

    def _replayed(
        self, recording: _Recording, arguments: Sequence[Any], device: torch.device
    ) -> Any:
        self._recorder.begin(device)
        here, there = _places(arguments)
        for k in there:
            recording.buffers[k].copy_(arguments[k], non_blocking=True)
        if recording.content is not None:
            packed = _packed(arguments, here, device)
            recording.content.copy_(packed.content, non_blocking=True)
        recording.replay()
        return tree_map(torch.clone, recording.results)


def _key(stage: Stage, arguments: Sequence[Any], device: torch.device) -> Hashable:
    """All that a recording depends on."""
    kinds = (
        (tuple(one.shape), one.dtype, one.device.type == "cpu") if isinstance(one, Tensor) else one
        for one in arguments
    )
    return stage, device, tuple(kinds)


def _places(arguments: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Numbers of the tensors on the CPU, and of those elsewhere."""
    tensors = [(k, one) for k, one in enumerate(arguments) if isinstance(one, Tensor)]
    here = [k for k, one in tensors if one.device.type == "cpu"]
    return here, [k for k, one in tensors if one.device.type != "cpu"]


def _packed(arguments: Sequence[Any], here: Sequence[int], device: torch.device) -> Packed:
    return Packed.of([arguments[k] for k in here], pinned=device.type == "cuda")
