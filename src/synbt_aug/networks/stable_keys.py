"""State dicts under key names of our own.

The networks are built from MONAI blocks, and MONAI renames its attributes now and
then. Saved weights must outlive that: a module with a key table saves and loads
under our names only, and a renaming upstream is one edit of the table.

Nothing here touches values: the table is a bijection between two sets of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class StableKeys(nn.Module):
    """A module whose `state_dict` speaks names of ours.

    A subclass calls `_set_key_table` at the end of its `__init__`.
    """

    _ours_to_theirs: dict[str, str]

    def _set_key_table(self, ours_to_theirs: Mapping[str, str]) -> None:
        """Take the names.

        Args:
            ours_to_theirs: For each of our names the name that `nn.Module` gives.

        Raises:
            RuntimeError: If the table and the module's own names differ.
        """
        theirs = set(nn.Module.state_dict(self))
        missing = sorted(theirs - set(ours_to_theirs.values()))
        stale = sorted(set(ours_to_theirs.values()) - theirs)
        if missing or stale or len(ours_to_theirs) != len(theirs):
            raise RuntimeError(
                f"The key table of {type(self).__name__} does not fit the installed MONAI: "
                f"no name for {missing[:3]}, nothing there for {stale[:3]}. "
                f"Install a MONAI release that synbt-aug supports."
            )
        self._ours_to_theirs = dict(ours_to_theirs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """As `nn.Module.state_dict`, under our names."""
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        state: dict[str, Tensor] = super().state_dict(*args, **kwargs)
        taken = {ours: state.pop(prefix + theirs) for ours, theirs in self._ours_to_theirs.items()}
        state.update({prefix + ours: value for ours, value in taken.items()})
        return state

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # torch calls this before it descends into children, so that renaming
        # here is seen by all of them.
        found = {
            theirs: state_dict.pop(prefix + ours)
            for ours, theirs in self._ours_to_theirs.items()
            if prefix + ours in state_dict
        }
        state_dict.update({prefix + theirs: value for theirs, value in found.items()})
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
