"""What a call costs: seconds, memory, floating point operations, launches and waits."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import resource
import statistics
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], Any]


def now(device: torch.device) -> float:
    """CPU time of this process; on a GPU the wall clock, after all that was launched."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(call: Call, device: torch.device) -> float:
    """Of one call."""
    start = now(device)
    call()
    return now(device) - start


def medians(calls: Mapping[str, Call], rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each call, taken in turn after a first round that warms up."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, call in calls.items():
            taken = seconds(call, device)
            if number > 0:
                found[name].append(taken)
    return {name: statistics.median(values) for name, values in found.items()}


def flops(call: Call) -> float:
    """Of convolutions and matrix products; exact, and the same on any device."""
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def peak_mb(call: Call, device: torch.device) -> float:
    """Memory that a call takes at most beyond what was held before, in MB: looked at each 2 ms."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    _give_back()
    before, highest, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            highest[0] = max(highest[0], _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return max(highest[0] - before, 0) / 1e6


def _give_back() -> None:
    """Hand memory that was freed back to the system, or a call seems to need none."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass(frozen=True)
class Launches:
    """What a GPU is asked for.

    Args:
        kernels: Launched; a graph counts as one.
        waits: How often the CPU waits for the GPU.
        how: Counted on a GPU, or by the pretend accelerator of the tests.
    """

    kernels: int
    waits: int
    how: str


def launches_on_gpu(call: Call) -> Launches:
    """Of one call on CUDA."""
    call()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchronizing" in str(one.message) for one in told)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    launches = ("LaunchKernel", "GraphLaunch")
    kernels = sum(
        one.count for one in seen.key_averages() if any(name in one.key for name in launches)
    )
    return Launches(kernels, waits, "on the GPU")


class Stages:
    """Seconds spent inside some functions, while they are watched.

    Args:
        device: Waited for before and after each function, where it is a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def watching(self, functions: Mapping[str, tuple[Any, str]]) -> Iterator[None]:
        """Watch functions, each given as (where it is looked up, its name)."""
        before = [(owner, name, vars(owner)[name]) for owner, name in functions.values()]
        try:
            for label, (owner, name) in functions.items():
                setattr(owner, name, self._timed(label, vars(owner)[name]))
            yield
        finally:
            for owner, name, original in before:
                setattr(owner, name, original)

    def _timed(self, label: str, original: Any) -> Any:
        static = isinstance(original, staticmethod)
        function = original.__func__ if static else original

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            start = now(self.device)
            try:
                return function(*args, **options)
            finally:
                self.seconds[label] += now(self.device) - start

        return staticmethod(timed) if static else timed
