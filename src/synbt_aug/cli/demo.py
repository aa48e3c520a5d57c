"""`synbt demo`."""

from __future__ import annotations


def demo() -> None:
    """The main job on phantoms (being built)."""
    from synbt_aug.errors import SynBTError

    raise SynBTError("demo is being built.")
