"""Output folders that are checked before work starts, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError


def check_output_folder(folder: str | os.PathLike[str]) -> Path:
    """Make `folder` and see that a file can be written there, before any work is done.

    Raises:
        SynBTError: If it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SynBTError(
            f"The output folder must be writable, but {folder} is not "
            f"({error.strerror or error}). Name another one with -o."
        ) from error
    return folder


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path`, and move the file into place when the block ends well.

    The temporary name keeps the ending, since writers choose their format by it. A block that
    raises, or a process that is killed, leaves an earlier `path` as it was.
    """
    path = Path(path)
    stem, dot, ending = path.name.partition(".")
    unfinished = path.with_name(f".{stem}-unfinished-{os.getpid()}{dot}{ending}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all."""
    path = Path(path)
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    return path


def read_json(path: str | os.PathLike[str], what: str = "a JSON file") -> Any:
    """Read JSON, with an error that says what the file was to be.

    Raises:
        SynBTError: If the file is missing or no JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SynBTError(f"{path} does not exist; it was to be {what}.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SynBTError(f"{path} was to be {what}, but cannot be read: {error}.") from error
