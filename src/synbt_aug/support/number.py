"""Numbers that a user sets: each is checked once, where it enters, and refused by its name."""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

from synbt_aug.errors import SynBTError

#: Seeds that `torch.Generator.manual_seed` takes.
MAX_SEED = 2**64 - 1

#: Largest value of a label.
MAX_LABEL = 2**31 - 1

_LARGEST = sys.float_info.max


def check_number(
    name: str, value: Any, low: float, high: float = _LARGEST, *, advice: str = ""
) -> float:
    """A number within its range.

    Args:
        name: What the user calls it.
        value: What came; NumPy's scalars are numbers, too, text and booleans are not.
        low: At least this.
        high: At most this; left out, every finite number from `low` on will do.
        advice: A sentence that ends the error.

    Returns:
        The value as a float.

    Raises:
        SynBTError: If it is no finite number, or lies outside.
    """
    if not (_is_number(value) and low <= value <= high):
        limits = f"from {low:g} on" if high == _LARGEST else f"from {low:g} to {high:g}"
        raise SynBTError(f"{name} needs a number {limits}, got {_shown(value)}.{_after(advice)}")
    return float(value)


def check_whole(
    name: str, value: Any, low: int, high: int | None = None, *, advice: str = ""
) -> int:
    """A whole number within its range; 2.0 is one, 2.5 and True are none.

    Args:
        name: As for `check_number`, like the others.
        value: What came.
        low: At least this.
        high: At most this; None: no limit.
        advice: A sentence that ends the error.

    Returns:
        The value as an int.

    Raises:
        SynBTError: If it is no whole number, or lies outside.
    """
    limits = f"from {low} on" if high is None else f"from {low} to {high}"
    if not _is_number(value) or value != int(value):
        raise SynBTError(
            f"{name} needs a whole number {limits}, got {_shown(value)}.{_after(advice)}"
        )
    if value < low or (high is not None and value > high):
        raise SynBTError(f"{name} needs a number {limits}, got {_shown(value)}.{_after(advice)}")
    return int(value)


def check_seed(value: Any, name: str = "seed") -> int:
    """A seed that torch takes: a whole number from 0 to 2^64 - 1.

    Raises:
        SynBTError: If it is none.
    """
    return check_whole(name, value, 0, MAX_SEED)


def _is_number(value: Any) -> bool:
    if isinstance(value, numbers.Integral):
        return not isinstance(value, bool)
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _shown(value: Any) -> str:
    """Numbers as Python's own print them, all else as it is typed."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return f"{value}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _after(advice: str) -> str:
    return f" {advice}" if advice else ""
