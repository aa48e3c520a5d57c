"""The words of a name that somebody gave a channel, a label or a column."""

from __future__ import annotations

import re

_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORDS = re.compile(r"[^\W\d_]+|\d+")


def words_of(name: str) -> tuple[str, ...]:
    """Split a name into whole words and numbers, in lower case.

    A word ends at `_ - .`, at a digit, a space, or where a capital follows a small letter:
    `"T1w_preContrast-2"` gives `("t", "1", "w", "pre", "contrast", "2")`.
    """
    return tuple(_WORDS.findall(_BORDER.sub(" ", name).lower()))
