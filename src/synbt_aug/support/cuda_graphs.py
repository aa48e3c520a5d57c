"""How launches are recorded: by CUDA, on a stream of its own.

What is recorded, when, and with which memory is for `support/graphs.py` to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch

#: CUDA records one stream of a process at a time.
_one_recording = threading.Lock()


class Recorder(Protocol):
    """What can record launches: CUDA, or a stand-in of the tests."""

    def records(self, device: torch.device) -> bool:
        """Whether it can on this device."""

    def beside(self, device: torch.device) -> AbstractContextManager[Any]:
        """A place where launches can be recorded, in order with the caller's before and after."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record some work, inside of `beside`; gives what replays it on the caller's stream."""

    def begin(self, device: torch.device) -> None:
        """Let the caller's next launches come after all replays so far."""


class CudaRecorder:
    """CUDA's own graphs; they share the memory of what lies between arguments and results."""

    def __init__(self) -> None:
        self._side: dict[torch.device, torch.cuda.Stream] = {}
        self._pool: dict[torch.device, Any] = {}
        self._last: dict[torch.device, torch.cuda.Stream] = {}

    def records(self, device: torch.device) -> bool:
        """Whether this is a GPU of CUDA."""
        return device.type == "cuda"

    @contextmanager
    def beside(self, device: torch.device) -> Iterator[None]:
        """The side stream: the caller's own may be the one that cannot be recorded."""
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

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Recorder`. Waits for the device once."""
        side = torch.cuda.current_stream()
        if side.device not in self._pool:
            self._pool[side.device] = torch.cuda.graph_pool_handle()
        graph, pool = torch.cuda.CUDAGraph(), self._pool[side.device]
        # Another thread may train meanwhile: what it asks of CUDA is no part of the recording.
        recording = torch.cuda.graph(
            graph, pool=pool, stream=side, capture_error_mode="thread_local"
        )
        with _one_recording, recording:
            work()
        replay: Callable[[], None] = graph.replay
        return replay

    def begin(self, device: torch.device) -> None:
        """Wait for the stream of the last replay, on the device, where it was another one."""
        current = torch.cuda.current_stream(device)
        last = self._last.get(current.device, current)
        if last != current:
            current.wait_stream(last)
        self._last[current.device] = current
