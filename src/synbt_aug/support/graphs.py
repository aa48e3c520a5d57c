"""Work on a GPU as CUDA graphs: one launch in place of the thousand that it is made of.

What is to be replayed is a stage: a function of tensors whose launches depend on nothing but their
shapes and types, and on its other arguments. It is recorded for each such combination when it
comes the second time: what comes once is not worth it, and the first pass has filled all caches by
then. From then on the arguments are copied to where the recording reads them, the recording is
replayed, and the results are copied out. All else runs launch by launch. After a recording has
failed, which is said once, no other one is tried.

All graphs share their memory: one row of bytes for arguments and results, 40 a window voxel for
painting or writing, which is 25 MB for two windows of 80x64x64 and 160 MB for two of 128 mm; and
what lies between, as much as the largest needs, .5 to 1 GB for two windows of 128 mm. It is kept as
long as the graphs are. `MOST` are kept; a further one takes the place of that which was used least,
once it was used more often. Tumors by the default sizes take 37 combinations of shape and number in
batches of two at probability .5; the 24 most frequent ones are 96 % of the batches.

The arithmetic is that of the recording: a change of `torch.backends` afterwards has no effect.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from synbt_aug.support.cuda_graphs import CudaRecorder, Recorder
from synbt_aug.support.device import Layout, sent_together
from synbt_aug.support.recordable import Watch

logger = logging.getLogger(__name__)

#: A function of tensors on one device and of hashable values, which gives tensors and leaves its
#: arguments as they are.
Stage = Callable[..., Any]

#: Graphs that are kept: painting and writing of 24 combinations of shape and number of windows.
MOST = 48

#: From this use on a stage is recorded.
_RECORDED_FROM = 2


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


@dataclass(frozen=True)
class _Recording:
    """A stage that was recorded.

    Args:
        content: Where it reads the arguments that come from the CPU, as bytes.
        layout: Theirs.
        arguments: Where it reads those that come from the device.
        results: Where it writes.
        spec: How the results are put together.
        replay: Launches it.
        read: What else it reads, to be kept.
    """

    content: Tensor
    layout: Layout
    arguments: list[Tensor]
    results: list[Tensor]
    spec: TreeSpec
    replay: Callable[[], None]
    read: list[Tensor]

    def __call__(self, here: Sequence[Tensor], there: Sequence[Tensor]) -> Any:
        """Replay it for arguments on the CPU and on the device."""
        if here:
            bytes_here = self.layout.filled(here, pinned=self.content.device.type == "cuda")
            self.content.copy_(bytes_here, non_blocking=True)
        for place, value in zip(self.arguments, there, strict=True):
            place.copy_(value)
        self.replay()
        return tree_unflatten([result.clone() for result in self.results], self.spec)


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
        self._recorder: Recorder = CudaRecorder() if recorder is None else recorder
        self._lock = threading.Lock()
        self._uses: Counter[Hashable] = Counter()
        self._held: dict[Hashable, _Recording] = {}
        self._memory: dict[torch.device, Tensor] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __reduce__(self) -> tuple[type[Graphs], tuple[int]]:
        # A copy, in another process perhaps, records its own.
        return type(self), (self.most,)

    def __call__(self, stage: Stage, arguments: Sequence[Any], device: torch.device) -> Any:
        """Run a stage; see `Runs`."""
        if self._recorder.records(device):
            with self._lock, torch.no_grad():
                recording = self._recording(stage, arguments, device)
                if recording is not None:
                    self._recorder.begin(device)
                    return recording(*_places(arguments))
        return launch_by_launch(stage, arguments, device)

    def _recording(
        self, stage: Stage, arguments: Sequence[Any], device: torch.device
    ) -> _Recording | None:
        """The recording for such arguments, made now if it is time; None: there is none."""
        key = _key(stage, arguments, device)
        self._uses[key] += 1
        if key in self._held or self.failed is not None or self._uses[key] < _RECORDED_FROM:
            return self._held.get(key)
        rarest = min(self._held, key=self._uses.__getitem__) if len(self) >= self.most else None
        if rarest is not None and self._uses[key] <= self._uses[rarest]:
            return None
        # The memory that is written to may still be read for a replay on another stream.
        self._recorder.begin(device)
        with self._recorder.beside(device):
            # What is made once and kept is made here; what goes wrong here is the stage's own.
            first = launch_by_launch(stage, arguments, device)
            try:
                self._held[key] = self._recorded(stage, arguments, first, device)
            except Exception as error:
                self.failed = f"{type(error).__name__}: {error}".split("\n")[0]
                logger.warning(
                    "CUDA graphs: a recording failed (%s). What was not recorded before is "
                    "painted launch by launch, which takes longer; nothing else changes.",
                    self.failed,
                )
                return None
        if rarest is not None:
            # Not before: recording waited for what the device had under way.
            del self._held[rarest]
        return self._held[key]

    def _recorded(
        self, stage: Stage, arguments: Sequence[Any], first: Any, device: torch.device
    ) -> _Recording:
        """Record a stage whose first results are known; inside of the recorder's `beside`."""
        here, there = _places(arguments)
        leaves, spec = tree_flatten(first)
        layout = Layout.of([*here, *there, *leaves])
        memory = self._memory_for(layout.size, device)
        places = layout.views(memory)
        given, results = places[: len(here) + len(there)], places[len(here) + len(there) :]
        for place, value in zip(given, sent_together([*here, *there], device), strict=True):
            place.copy_(value)
        ready = _with_tensors(arguments, given)

        def stored() -> None:
            for place, one in zip(results, tree_leaves(stage(*ready)), strict=True):
                place.copy_(one)

        with Watch(places) as watch:
            stored()
        replay = self._recorder.record(stored)
        from_here = Layout.of(here)
        content = memory.narrow(0, 0, from_here.size)
        return _Recording(content, from_here, given[len(here) :], results, spec, replay, watch.read)

    def _memory_for(self, size: int, device: torch.device) -> Tensor:
        """So many bytes, which all recordings share; earlier ones keep what they have."""
        memory = self._memory.get(device)
        if memory is None or len(memory) < size:
            memory = torch.empty(size, dtype=torch.uint8, device=device)
            self._memory[device] = memory
        return memory


def _key(stage: Stage, arguments: Sequence[Any], device: torch.device) -> Hashable:
    """All that a recording depends on."""
    kinds = (
        (tuple(one.shape), one.dtype, one.device.type == "cpu") if isinstance(one, Tensor) else one
        for one in arguments
    )
    return stage, device, tuple(kinds)


def _places(arguments: Sequence[Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors on the CPU, and those elsewhere."""
    tensors = [one for one in arguments if isinstance(one, Tensor)]
    here = [one for one in tensors if one.device.type == "cpu"]
    return here, [one for one in tensors if one.device.type != "cpu"]


def _with_tensors(arguments: Sequence[Any], given: Sequence[Tensor]) -> list[Any]:
    """Arguments with other tensors, in the order of `_places`."""
    count = len(_places(arguments)[0])
    here, there = iter(given[:count]), iter(given[count:])
    return [
        one if not isinstance(one, Tensor) else next(here if one.device.type == "cpu" else there)
        for one in arguments
    ]
