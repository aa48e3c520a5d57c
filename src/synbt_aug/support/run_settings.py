"""The settings of a folder's run: a run that was stopped goes on with the same, or is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json


def keep_settings(path: Path, wanted: Mapping[str, Any], what: str) -> bool:
    """Write a run's settings, or see that those there are the same.

    Args:
        path: A JSON file in the run's folder.
        wanted: JSON-ready, by name.
        what: What the folder holds; opens the message.

    Returns:
        Whether the run is a new one.

    Raises:
        SynBTError: If the folder holds a run of other settings; the message names them.
    """
    wanted = json.loads(json.dumps(dict(wanted)))
    if not path.is_file():
        write_json(path, wanted)
        return True
    found = read_json(path, f"the settings of {what}")
    names = sorted({*found, *wanted})
    if differ := [name for name in names if found.get(name) != wanted.get(name)]:
        told = [f"{n}: {_short(found.get(n))}, now {_short(wanted.get(n))}" for n in differ]
        raise SynBTError(
            f"{path.parent} holds {what} made with other settings ({'; '.join(told)}). Name "
            f"another folder with -o, or remove this one."
        )
    return False


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
