"""Work spread over processes that end with their parent.

Each worker computes with one thread, leaves Ctrl-C to its parent, and ends when the parent does,
however that came about: after a `kill -9` nothing is left that holds memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from synbt_aug.errors import SynBTError

Item = TypeVar("Item")
Result = TypeVar("Result")

_stop: Any = None


def each_done(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None
) -> Generator[tuple[Item, Result], None, None]:
    """Do the work of each item, and yield the item with its result as soon as it is there.

    Args:
        work: A function of a module, or a `functools.partial` of one: it is pickled.
        items: Pickled, too; handed out in this order.
        workers: Processes; None takes one a core. With one, or one item, the work is done here.

    Raises:
        SynBTError: If a worker was ended from outside.
    """
    workers = min(workers or os.cpu_count() or 1, len(items))
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    # Spawned, not forked: a forked copy of torch's thread pool can hang.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(stop,)
    ) as pool:
        jobs = {pool.submit(_unless_stopped, work, item): item for item in items}
        try:
            for job in as_completed(jobs):
                result: Any = job.result()
                yield jobs[job], result
        except BrokenProcessPool as error:
            raise SynBTError(
                "A worker process was ended from outside, most often because memory ran out. "
                f"Type the same command with fewer --workers than {workers}; it goes on from here."
            ) from error
        except BaseException:
            # Ctrl-C waits for the items at work, not for those handed out already.
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def end_with_parent() -> None:
    """Called in a process that `multiprocessing` started: end it when its parent ends."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _start(stop: Any) -> None:
    global _stop
    _stop = stop
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _unless_stopped(work: Callable[[Item], Result], item: Item) -> Result | None:
    return None if _stop.is_set() else work(item)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
