"""Settings that are one number, or a range that each tumor draws its own number from.

A range is a pair `(low, high)`, both included, in which every number is equally likely; as text it
is `low:high`. One number stays one number, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.support.number import check_number, check_whole

#: From the first to the second, both included.
Range = tuple[float, float]
WholeRange = tuple[int, int]

N = TypeVar("N", int, float)


def check_range(
    name: str, value: Any, least: float, most: float, *, advice: str = ""
) -> float | Range:
    """A number within limits, or a range of them.

    Args:
        name: What the user calls it.
        value: A number, or two in a tuple or list, the smaller first.
        least: At least this.
        most: At most this.
        advice: A sentence that ends the error.

    Returns:
        A float, or a tuple of two.

    Raises:
        SynBTError: If it is neither, or a number lies outside.
    """
    return _checked(
        name, value, lambda n, v: check_number(n, v, least, most, advice=advice), (10, 30)
    )


def check_whole_range(name: str, value: Any, least: int, most: int) -> int | WholeRange:
    """As `check_range`, of whole numbers."""
    return _checked(name, value, lambda n, v: check_whole(n, v, least, most), (1, 3))


def _checked(
    name: str, value: Any, check: Callable[[str, Any], N], example: tuple[int, int]
) -> N | tuple[N, N]:
    if not isinstance(value, (tuple, list)):
        return check(name, value)
    if len(value) != 2:
        raise SynBTError(
            f"{name} needs one number, or two as a range such as {example}, got {value!r}."
        )
    low, high = (check(name, number) for number in value)
    if low > high:
        raise SynBTError(
            f"{name} needs the smaller number of a range first, got {low:g}:{high:g}. Type "
            f"{high:g}:{low:g}."
        )
    return low, high


def read_range(text: str, kind: type[N]) -> N | tuple[N, N]:
    """A number or a range as typed: `20`, `10:30`.

    Args:
        text: What was typed.
        kind: `int` or `float`.

    Raises:
        ValueError: If it is neither.
    """
    low, colon, high = text.partition(":")
    return (kind(low), kind(high)) if colon else kind(low)


def draw(value: float | Range, generator: torch.Generator) -> float:
    """The number, or one drawn from the range.

    Args:
        value: As `check_range` returns it.
        generator: On the CPU.
    """
    if not isinstance(value, tuple):
        return value
    return at(value, float(torch.rand((), generator=generator, dtype=torch.float64)))


def draw_whole(value: int | WholeRange, generator: torch.Generator) -> int:
    """The whole number, or one drawn from the range."""
    if not isinstance(value, tuple):
        return value
    low, high = value
    return int(torch.randint(low, high + 1, (), generator=generator))


def at(limits: Range, share: float) -> float:
    """The number that a share of the way up, 0 to 1, leads to."""
    low, high = limits
    return min(low + share * (high - low), high)


def shown(value: float | Range) -> str:
    """As it is typed: `20`, `10:30`."""
    return f"{value[0]:g}:{value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
