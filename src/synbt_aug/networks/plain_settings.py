"""Settings of networks as JSON holds them: read back, and refused where no network could be made.

The limits are far beyond any network that paints, and far below one that fills a memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from synbt_aug.errors import SynBTError
from synbt_aug.support.number import check_whole

#: Of a convolution, on either side.
MAX_WIDTH = 1024

Settings = TypeVar("Settings")


def from_plain(kind: type[Settings], values: Any) -> Settings:
    """Make a settings dataclass of what its `to_dict` wrote; lists become tuples.

    Args:
        kind: The dataclass; it checks the values itself.
        values: From JSON; what is left out has its default.

    Raises:
        SynBTError: If this is no JSON object, or names a setting that there is none of.
    """
    if not isinstance(values, Mapping):
        raise SynBTError(f"{kind.__name__} needs a JSON object, got {_shown(values)}.")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(str(name) for name in values if name not in known):
        raise SynBTError(
            f"{kind.__name__} has no {unknown[0][:40]!r}. Its settings are {sorted(known)}."
        )
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return kind(**plain)
    except TypeError as error:  # something without a default is missing
        raise SynBTError(f"{kind.__name__} cannot be read: {error}.") from error


def check_widths(name: str, value: Any, *, levels: tuple[int, int], least: int = 1) -> None:
    """See that a setting is one whole number a level.

    Args:
        name: What the setting is called.
        value: A tuple.
        levels: The fewest and the most.
        least: The smallest width.

    Raises:
        SynBTError: If it is no tuple, of another length, or holds something else.
    """
    fewest, most = levels
    if not isinstance(value, tuple) or not fewest <= len(value) <= most:
        raise SynBTError(
            f"{name} needs a tuple of {fewest} to {most} whole numbers, got {_shown(value)}."
        )
    for width in value:
        check_whole(f"Each of {name}", width, least, MAX_WIDTH)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, list | tuple | dict) or len(value) < 20 else ""
    return text if 0 < len(text) <= 60 else f"{type(value).__name__} of another kind"
