"""`synbt synthesize`."""

from __future__ import annotations


def synthesize() -> None:
    """Paint tumors into a real DCE-MRI pair (being built)."""
    from synbt_aug.errors import SynBTError

    raise SynBTError("synthesize is being built.")
