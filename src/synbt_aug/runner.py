"""Several things painted into one host, one after the other.

One rule for a single volume and for a batch: what is painted goes on, and what is left is still
tried, whatever failed before it. Distractors come beside something painted, never in its place,
unless nothing else was asked for.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from synbt_aug.decide.decide import satellite_wishes
from synbt_aug.errors import first_line
from synbt_aug.host import Host
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import Synthesis, unchanged

#: Errors that cost one painting, not the run. torch's own for "out of memory" is a RuntimeError,
#: ours are ValueErrors.
FAILURES = (RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError)


class Series:
    """What is left to paint into one host, and what became of the rest.

    Args:
        host: As it is before the first.
        wishes: What to paint, in order.
        generator: On the CPU; further lesions of multifocal groups are drawn from it.

    Attributes:
        first: The host as it was before anything was painted.
        host: The host as it is now, with what was painted.
        results: What became of each wish that was tried; all hold the host's newest image.
    """

    def __init__(self, host: Host, wishes: list[Wish], generator: torch.Generator) -> None:
        self.first = self.host = host
        self.generator = generator
        self.results: list[Synthesis] = []
        self._left = list(wishes)
        self._only_distractors = all(wish.kind == "distractor" for wish in wishes)

    @property
    def painted(self) -> bool:
        """Whether anything was painted so far."""
        return any(result.painted for result in self.results)

    @property
    def upcoming(self) -> Wish | None:
        """What to try next; None at the end."""
        if not (self.painted or self._only_distractors):
            while self._left and self._left[0].kind == "distractor":
                self._left.pop(0)
        return self._left[0] if self._left else None

    def record(self, result: Synthesis, bank: TumorBank) -> None:
        """Take down what became of `upcoming`, and go on to the next.

        Args:
            result: What became of it.
            bank: Templates of a group's further lesions.
        """
        wish = self._left.pop(0)
        self.results.append(result)
        more = satellite_wishes(self.host, wish, result, bank, self.generator)
        self._left = more + self._left
        if result.painted:
            self.host = self.host.after(result)
            # One image, not one each: a scan at its native size takes a quarter of a gigabyte.
            self.results = [replace(one, image=result.image) for one in self.results]


def failed(host: Host, error: Exception) -> Synthesis:
    """The host as it was, with an error of `FAILURES` as the reason."""
    kind = "out of memory" if is_out_of_memory(error) else "error"
    return unchanged(host.volume.image, f"{kind}: {first_line(error)}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory."""
    # By name: torch.OutOfMemoryError is not in every torch that we take.
    return type(error).__name__ in ("OutOfMemoryError", "MemoryError")
