"""The user's own folder for what is kept between projects, such as named weights.

`$SYNBT_HOME` where it is set, else the place that the system has for programs' data.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def user_folder() -> Path:
    """The folder, which need not be there yet."""
    if home := os.environ.get("SYNBT_HOME"):
        return Path(home)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "synbt-aug"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "synbt-aug"
    # An empty variable counts as none (XDG base directory specification).
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "synbt-aug"


def is_plain_name(name: str) -> bool:
    """Whether this is a name such as `ours-fold0`, and no path of several parts."""
    return _NAME.fullmatch(name) is not None
