"""Checkpoints of a training: whole or absent, and checked to the last bit.

The file is torch's own, which `torch.load` reads, with the SHA-256 of its content behind it.
Nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.support.files import written_whole

_SEAL = re.compile(rb"sha256:[0-9a-f]{64}")
_SEAL_BYTES = 71
_KEYS = {"step", "elapsed_s", "settings", "parts"}


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; whatever stops it leaves the earlier one as it was.

    Args:
        path: The file.
        state: Tensors and plain values, with the keys step, elapsed_s, settings and parts.

    Raises:
        SynBTError: If it cannot be written, as on a full disk.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getbuffer()
    try:
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            file.write(content)
            file.write(b"sha256:" + hashlib.sha256(content).hexdigest().encode())
            file.flush()
            # Some network disks tell only now that they are full.
            os.fsync(file.fileno())
    except OSError as error:
        advice = "Make room, then start again."
        if path.exists():
            advice = "The earlier one is intact. Make room, then go on with --resume."
        raise SynBTError(
            f"{error.strerror or error}: the checkpoint {path} of step {state['step']} cannot be "
            f"written ({len(content) / 1e6:.0f} MB). {advice}"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, on the CPU.

    Raises:
        SynBTError: If a bit of it has changed, it was cut short, or something else wrote it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SynBTError(f"{path} cannot be read ({error.strerror or error}).") from error
    content, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if not _SEAL.fullmatch(seal):
        raise _unusable(path, "it was cut short, or is none of this version of synbt-aug")
    if seal != b"sha256:" + hashlib.sha256(content).hexdigest().encode():
        raise _unusable(path, "its SHA-256 is not the one it was written with")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > len(content):  # torch does not compress
            raise ValueError(f"it would take {size} bytes")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file may raise
        raise _unusable(path, first_line(error)) from error
    if not (isinstance(state, dict) and state.keys() >= _KEYS):
        raise _unusable(path, "something else than a training wrote it")
    return state


def _unusable(path: Path, why: str) -> SynBTError:
    return SynBTError(
        f"{path} is damaged, or no checkpoint ({why}). Put a copy in its place; or remove it, and "
        f"start again without --resume."
    )
