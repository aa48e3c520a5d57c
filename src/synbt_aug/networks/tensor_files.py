"""Tensors in safetensors files.

A file appears whole, and is as readable as the user's umask has it. Its header is held against
what is needed before a tensor is read or a network made: a file says how large it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.support.files import written_whole

# Of the JSON before the tensors: a network of 200 tensors has one of 30 kB.
_MOST_HEADER_BYTES = 4_000_000

Shapes = dict[str, tuple[int, ...]]


def save_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write tensors by name, whole or not at all.

    Args:
        path: The file.
        tensors: On any device; two names must not share memory.
        metadata: Text by name, which the header holds.
    """
    path = Path(path)
    plain = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    # By its bytes: `safetensors.torch.save_file` lets nobody but the user read the file.
    content = save(plain, dict(metadata) if metadata is not None else None)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content)
    return path


def shapes_in(path: str | os.PathLike[str]) -> Shapes:
    """Shapes of the tensors in a file, by name; nothing else of it is read.

    Raises:
        SynBTError: If it is no such file, or its header does not fit the file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > _MOST_HEADER_BYTES:
            raise _damaged(path, f"its header would take {header_bytes} bytes")
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, first_line(error)) from error


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file, by name, on the CPU.

    Raises:
        SynBTError: If it is no such file, or damaged.
    """
    shapes_in(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, first_line(error)) from error


def _damaged(path: str | os.PathLike[str], why: str) -> SynBTError:
    return SynBTError(f"{path} is damaged, or no safetensors file ({why}). Copy it again.")


def mismatch(
    make: Callable[[], nn.Module], found: Mapping[str, tuple[int, ...]], *, device: str = "meta"
) -> str:
    """Where the tensors of a file differ from those of a network, told in a few words.

    Args:
        make: Makes the network.
        found: By `shapes_in`.
        device: Where it is made; "meta" takes no memory for its weights.

    Returns:
        Empty where they are the same.
    """
    with torch.device(device):
        needed = {name: tuple(value.shape) for name, value in make().state_dict().items()}
    if missing := sorted(needed.keys() - found.keys()):
        return f"{missing[0]} is missing"
    if other := sorted(found.keys() - needed.keys()):
        return f"{other[0]} is of no use"
    for name, shape in needed.items():
        if found[name] != shape:
            return f"{name} has the shape {found[name]}, the network {shape}"
    return ""
