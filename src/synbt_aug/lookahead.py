"""The next batch is made ready while the network trains on this one.

    for batch in Lookahead(loader, inject, device):
        train(batch)

A thread takes batches from the loader, one at a time and in order, and makes each ready; on a GPU
on a stream of its own, so that what it launches runs beside a training step. What a batch becomes
is what it would have become without, and none is used twice. Nothing here knows of tumors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

Given = TypeVar("Given")
Ready = TypeVar("Ready")


class Beside(Protocol):
    """How work runs beside what the caller launches on the same device."""

    def after_caller(self) -> None:
        """Let what runs beside begin after all that the caller launched so far. Of the caller."""

    def __call__(self) -> AbstractContextManager[Any]:
        """Let what is launched inside run beside. Of the thread."""

    def mark(self) -> Any:
        """The end of what runs beside so far. Of the thread."""

    def before_caller(self, mark: Any, batch: Any) -> None:
        """Let the caller's next launches begin after a mark, and use a batch. Of the caller."""


class _OnCpu:
    """A CPU is done with an operation when the call returns."""

    def after_caller(self) -> None:
        pass

    def __call__(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def mark(self) -> None:
        pass

    def before_caller(self, mark: Any, batch: Any) -> None:
        pass


class _SideStream:
    """A stream of CUDA beside the caller's."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        # With its number: "cuda" means another device in another thread.
        self.device = self.stream.device

    def after_caller(self) -> None:
        self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def __call__(self) -> AbstractContextManager[Any]:
        # The device that is the current one belongs to a thread: a new one starts with the first.
        inside = ExitStack()
        inside.enter_context(torch.cuda.device(self.device))
        inside.enter_context(torch.cuda.stream(self.stream))
        return inside

    def mark(self) -> Any:
        return self.stream.record_event()

    def before_caller(self, mark: Any, batch: Any) -> None:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(mark)
        for value in tree_leaves(batch):
            if isinstance(value, Tensor) and value.device.type == "cuda":
                # Its memory was asked for on the other stream, and is not free before this one.
                value.record_stream(current)


class Lookahead(Iterator[Ready], Generic[Given, Ready]):
    """Batches, each made ready while the caller works with the one before.

    What goes wrong in the thread is raised where its batch is asked for.

    Args:
        batches: A loader; only the thread takes from it.
        make_ready: Called in the thread with each batch, in order; never twice at once.
        device: Where it works.
        goes_on: Asked whenever a batch is handed out, whether another one follows soon: after the
            last of an epoch nothing has to be begun.
        beside: In place of a stream of CUDA; for tests.
    """

    def __init__(
        self,
        batches: Iterable[Given],
        make_ready: Callable[[Given], Ready],
        device: torch.device,
        *,
        goes_on: Callable[[], bool] = lambda: True,
        beside: Beside | None = None,
    ) -> None:
        self.batches = iter(batches)
        self.make_ready = make_ready
        self.goes_on = goes_on
        on_device = _SideStream(device) if device.type == "cuda" else _OnCpu()
        self._beside: Beside = beside or on_device
        # On as many cores as the caller's: sums that are parted otherwise are rounded otherwise.
        cores = torch.get_num_threads()
        self._thread = ThreadPoolExecutor(
            1, "lookahead", initializer=torch.set_num_threads, initargs=(cores,)
        )
        self._begun: Future[tuple[Ready, Any]] | None = None

    def __next__(self) -> Ready:
        begun, self._begun = self._begun or self._begin(), None
        batch, mark = begun.result()
        self._beside.before_caller(mark, batch)
        if self.goes_on():
            self._begun = self._begin()
        return batch

    def settle(self) -> None:
        """Wait until nothing is under way; what was begun is kept for the next `next`.

        Raises:
            Exception: What went wrong with it.
        """
        if self._begun is not None:
            batch, mark = self._begun.result()
            self._beside.before_caller(mark, batch)

    def close(self) -> None:
        """Finish what was begun, without using it, and end the thread."""
        self._thread.shutdown(wait=True)
        self._begun = None

    def _begin(self) -> Future[tuple[Ready, Any]]:
        self._beside.after_caller()
        return self._thread.submit(self._one)

    def _one(self) -> tuple[Ready, Any]:
        with self._beside():
            batch = self.make_ready(next(self.batches))
            return batch, self._beside.mark()
