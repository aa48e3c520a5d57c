"""How far a long piece of work is: a bar where somebody watches, a line now and then elsewhere.

A log of a cluster's job shows the same as a terminal: what is done, of how much, and the time left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

#: Seconds between two lines where nobody watches.
EVERY_S = 30.0


class Reporter:
    """Shows the progress of one piece of work.

    Args:
        what: The work, in a few words.
        console: Where to; a terminal gets a bar.
        say: Takes a line where there is no terminal; None prints it on the console.
    """

    def __init__(
        self, what: str, console: Console, say: Callable[[str], None] | None = None
    ) -> None:
        self.what, self.console = what, console
        self.say = say or (lambda line: console.print(line, markup=False, soft_wrap=True))
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._first: float | None = None
        self._started = self._said = 0.0

    def tell(self, done: float, total: float, detail: str = "") -> None:
        """Say how far it is, at once the first time.

        Args:
            done: Of the work.
            total: All of it.
            detail: Stands for "12 of 30".
        """
        detail = detail or f"{done:g} of {total:g}"
        now = time.monotonic()
        begins = self._first is None
        if begins:
            self._first, self._started = done, now
        if self.console.is_terminal:
            self._move(done, total, detail)
        elif begins or done >= total or now - self._said >= EVERY_S:
            self._said = now
            self.say(f"{self.what}: {detail}{self._left(done, total, now)}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _move(self, done: float, total: float, detail: str) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(self.what, total=total, detail=detail)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total, detail=detail)

    def _left(self, done: float, total: float, now: float) -> str:
        made = done - (self._first or 0.0)
        if made <= 0 or done >= total:
            return ""
        return f", about {clock((now - self._started) / made * (total - done))} left"


def each(what: str, items: Sequence[Item], say: Callable[[str], None]) -> Iterator[Item]:
    """The items, one after the other, telling how many were done.

    Args:
        what: The work that is done with each, in a few words.
        items: All of them.
        say: Takes a line where there is no terminal.
    """
    reporter = Reporter(what, Console(stderr=True), say)
    reporter.tell(0, len(items))
    try:
        for done, item in enumerate(items, 1):
            yield item
            reporter.tell(done, len(items))
    finally:
        reporter.close()


def clock(seconds: float) -> str:
    """A time as 0:07, 12:30 or 1:02:30."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
