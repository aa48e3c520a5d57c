"""Which part of a piece of work is this process's: as typed, or as SLURM and torchrun say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from synbt_aug.errors import SynBTError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """One of several parts.

    Args:
        number: From 1 on.
        count: Of all parts.
        source: Where the two were read, for the log.

    Raises:
        SynBTError: If there is no such part.
    """

    number: int = 1
    count: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise SynBTError(
                f"A shard is a number from 1 to the count of all, such as 1/2 and 2/2 for two, "
                f"got {self}{f' from {self.source}' if self.source else ''}."
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, index: int) -> bool:
        """Whether an item is this shard's, by its index from 0 on."""
        return index % self.count == self.number - 1


def shard_of(text: str | None, environment: Mapping[str, str] | None = None) -> Shard:
    """The shard that was typed, else that of a SLURM array task or a torchrun rank, else all.

    Args:
        text: `1/2`, or None.
        environment: In place of `os.environ`.

    Raises:
        SynBTError: If the text is no shard, or the variables are not what SLURM or torchrun set.
    """
    variables = os.environ if environment is None else environment
    if text is not None:
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if match is None:
            raise SynBTError(f"A shard is written as 1/2 and 2/2 for two, not {text!r}.")
        return Shard(int(match[1]), int(match[2]), "--shard")
    if "SLURM_ARRAY_TASK_ID" in variables:
        names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
        task, first, count = (_whole(variables, name) for name in names)
        step = _whole(variables, "SLURM_ARRAY_TASK_STEP", "1")
        return Shard((task - first) // step + 1, count, "SLURM_ARRAY_TASK_ID")
    if "RANK" in variables and "WORLD_SIZE" in variables:
        rank, count = (_whole(variables, name) for name in ("RANK", "WORLD_SIZE"))
        return Shard(rank + 1, count, "RANK and WORLD_SIZE")
    return Shard()


def _whole(variables: Mapping[str, str], name: str, default: str | None = None) -> int:
    value = variables.get(name, default)
    if value is None or not value.strip().isdecimal():
        told = "is not set" if value is None else f"is {value!r}"
        raise SynBTError(
            f"The shard of this process cannot be told: {name} {told}, where a whole number was "
            f"needed. Type it: --shard 1/2, or --shard 1/1 for all."
        )
    return int(value)
