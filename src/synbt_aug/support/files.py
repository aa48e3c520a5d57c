"""Output folders that are checked before work starts, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug.errors import SynBTError

_KINDS = {dict: "an object", list: "a list", str: "text", bool: "yes or no", int: "a number"}
_KINDS |= {float: "a number"}

#: Of a file: all that we read have a few kB, and one that names 100,000 cases has 10 MB.
MAX_JSON_BYTES = 16_000_000

#: Of a file: nnU-Net's plans have 12.
MAX_JSON_DEPTH = 64

# Begins the names of folders for files that are not whole yet.
_UNFINISHED = ".unfinished-"


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


@contextlib.contextmanager
def scratch_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A new hidden folder inside `folder`, gone when the block ends.

    For files that are moved from there to where others list them: a process that is killed
    leaves nothing among those.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=_UNFINISHED) as inside:
        yield Path(inside)


def remove_unfinished(folder: str | os.PathLike[str], older_than_s: float = 0.0) -> None:
    """Remove the scratch folders of runs that were killed.

    Args:
        folder: As for `scratch_folder`.
        older_than_s: Keep what is younger: another run may be at work on it.
    """
    for left in Path(folder).glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):  # its own run was quicker
            if time.time() - left.stat().st_mtime >= older_than_s:
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The arrays of an `.npz` by name; nothing is unpickled.

    Raises:
        zipfile.BadZipFile: If the file is no archive, such as a single array (`.npy`).
    """
    with open(path, "rb") as handle:
        # Asked first: np.load gives whatever a file holds.
        if not zipfile.is_zipfile(handle):
            raise zipfile.BadZipFile("it is no .npz archive")
        handle.seek(0)
        with np.load(handle, allow_pickle=False) as arrays:
            yield arrays


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all."""
    path = Path(path)
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    return path


def read_json(path: str | os.PathLike[str], what: str = "a JSON file") -> dict[str, Any]:
    """Read a JSON object, with an error that says what the file was to be.

    Raises:
        SynBTError: If the file is missing, no JSON, holds something else than an object, is larger
            than `MAX_JSON_BYTES`, or nested deeper than `MAX_JSON_DEPTH`.
    """
    found = _parsed(path, what)
    if not isinstance(found, dict):
        raise SynBTError(
            f"{path} was to be {what}, an object with named values, but holds "
            f"{_KINDS.get(type(found), 'nothing')}. Copy it again, or have it written anew."
        )
    return found


def read_json_list(path: str | os.PathLike[str], what: str = "a JSON file") -> list[Any]:
    """As `read_json`, for a file that holds a list."""
    found = _parsed(path, what)
    if not isinstance(found, list):
        raise SynBTError(
            f"{path} was to be {what}, a list, but holds {_KINDS.get(type(found), 'nothing')}. "
            f"Copy it again, or have it written anew."
        )
    return found


def _parsed(path: str | os.PathLike[str], what: str) -> Any:
    path = Path(path)
    try:
        with path.open("rb") as file:
            # A byte more than is allowed: what a device or a pipe holds has no size to ask for.
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {MAX_JSON_BYTES // 1_000_000} MB")
        text = content.decode("utf-8")
        if _depth(text) > MAX_JSON_DEPTH:
            raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep")
        return json.loads(text)
    except FileNotFoundError as error:
        raise SynBTError(f"{path} does not exist; it was to be {what}.") from error
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no JSON, or a giant number
        raise SynBTError(f"{path} was to be {what}, but cannot be read: {error}.") from error


def _depth(text: str) -> int:
    """How deep brackets of JSON are nested; those within strings do not count."""
    brackets = re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text))
    steps = (1 if bracket in "[{" else -1 for bracket in brackets)
    return max(itertools.accumulate(steps), default=0)
