"""`synbt doctor`."""

from __future__ import annotations


def doctor() -> None:
    """What works here (being built)."""
    from synbt_aug.errors import SynBTError

    raise SynBTError("doctor is being built.")
