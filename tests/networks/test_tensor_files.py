"""Safetensors files: how they are written, and headers that lie."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from synbt_aug.errors import SynBTError
from synbt_aug.networks.tensor_files import load_tensors, mismatch, save_tensors, shapes_in


def with_header(path: Path, header: Any, body: bytes = b"\0" * 64) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_tensors_come_back_as_they_were_whatever_their_strides(tmp_path: Path) -> None:
    saved = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(True)}
    path = save_tensors(tmp_path / "a.safetensors", saved)
    assert shapes_in(path) == {"a": (3, 2), "b": ()}
    loaded = load_tensors(path)
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_file_is_as_readable_as_the_umask_has_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}},
        {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 64]}},
        {"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 64]}},
        {"a": {"dtype": "F32", "shape": [-16], "data_offsets": [0, 64]}},
        {"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 64]}},
        {"a": "text"},
        b"[" * 3_000_000,
        b"",
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_read(tmp_path: Path, header: Any) -> None:
    path = with_header(tmp_path / "a.safetensors", header)
    for read in (shapes_in, load_tensors):
        with pytest.raises(SynBTError, match="a.safetensors is damaged, or no safetensors file"):
            read(path)


def test_a_header_that_would_take_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(SynBTError, match="its header would take 1099511627776 bytes"):
        shapes_in(path)
    with_header(path, json.dumps({"a" * 5_000_000: 1}).encode())
    with pytest.raises(SynBTError, match="its header would take 50000"):
        shapes_in(path)


@pytest.mark.parametrize("kept", [0, 5, 100])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SynBTError, match="a.safetensors is damaged, or no safetensors file"):
        load_tensors(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="a.safetensors is damaged, or no .*No such file"):
        shapes_in(tmp_path / "a.safetensors")


def test_the_first_difference_between_a_file_and_a_network_is_told() -> None:
    def make() -> nn.Module:
        return nn.Linear(3, 2)

    fits = {"weight": (2, 3), "bias": (2,)}
    assert mismatch(make, fits) == ""
    assert mismatch(make, {"weight": (2, 3)}) == "bias is missing"
    assert mismatch(make, {**fits, "other": ()}) == "other is of no use"
    assert mismatch(make, {**fits, "bias": (3,)}) == ("bias has the shape (3,), the network (2,)")


def test_a_network_is_compared_without_memory_for_its_weights() -> None:
    def make() -> nn.Module:
        return nn.Linear(1 << 20, 1 << 20)  # four terabytes

    assert "weight has the shape" in mismatch(make, {"weight": (2, 3), "bias": (2,)})
