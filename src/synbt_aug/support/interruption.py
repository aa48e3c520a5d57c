"""Ctrl-C and SIGTERM as one exception, which knows the exit code that the shell expects."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

#: What asks a program to stop.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Somebody asked to stop, and it stopped well.

    Args:
        number: The signal.
        where: What was stopped, in a few words.
    """

    def __init__(self, number: int, where: str = "") -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"{where or 'It'} was stopped by {self.signal.name}.")


def exit_code(stop: KeyboardInterrupt) -> int:
    """130 after Ctrl-C, 143 after SIGTERM, as a shell gives for a program that a signal ended."""
    return 128 + int(stop.signal if isinstance(stop, Interrupted) else signal.SIGINT)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM raise `Interrupted`, as Ctrl-C raises `KeyboardInterrupt`; main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
