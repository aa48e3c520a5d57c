"""Checkpoints: what is written, and files that no training wrote."""

from __future__ import annotations

import io
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.loop import checkpoint as module
from synbt_aug.loop.checkpoint import load_checkpoint, save_checkpoint

resource = pytest.importorskip("resource")  # of POSIX


def state(step: int = 3) -> dict[str, Any]:
    parts = {"line": {"weight": torch.arange(1000.0)}}
    return {"step": step, "elapsed_s": 1.5, "settings": "{}", "parts": parts}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "a.checkpoint.pt", state())
    return tmp_path / "a.checkpoint.pt"


def test_what_is_saved_is_loaded_and_torch_reads_it_too(path: Path) -> None:
    for loaded in (load_checkpoint(path), torch.load(path, weights_only=True)):
        assert loaded["step"] == 3 and loaded["settings"] == "{}"
        assert torch.equal(loaded["parts"]["line"]["weight"], torch.arange(1000.0))


def test_one_bit_that_changed_is_told_wherever_it_is(path: Path) -> None:
    whole = path.read_bytes()
    for place in (0, 60, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1
        path.write_bytes(bytes(spoiled))
        with pytest.raises(SynBTError, match="is damaged, or no checkpoint"):
            load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 10, 71, 500, -1, -71])
def test_a_truncated_checkpoint_is_told_with_the_way_out(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SynBTError, match=r"cut short.*remove it, and start again without --resume"):
        load_checkpoint(path)


class Command:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("run-from-a-file",)


def packed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    return buffer.getvalue()


def of_torch(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (of_torch({"state_dict": {}}), "something else than a training wrote it"),
        (of_torch(torch.zeros(3)), "something else than a training wrote it"),
        (of_torch({**state(), "parts": Command()}), "Weights only load failed"),
        (packed(), "it would take 50000000 bytes"),
        (b"text", "not a zip file"),
    ],
    ids=["state dict", "tensor", "command", "packed", "text"],
)
def test_a_foreign_file_is_told_even_with_a_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(SynBTError, match="cut short, or is none of this version"):
        load_checkpoint(path)
    seal = b"sha256:" + module.hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content + seal)
    with pytest.raises(SynBTError, match=f"is damaged, or no checkpoint .*{said}"):
        load_checkpoint(path)
    assert not (tmp_path / "run-from-a-file").exists()


def test_a_disk_that_is_full_leaves_the_earlier_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of the system stands for the disk: writing fails in the middle of the file."""
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(SynBTError, match=r"File too large: the checkpoint .*a\.checkpoint\.pt"):
            save_checkpoint(path, state(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_no_space_left_is_told_with_the_step_and_the_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(
        SynBTError,
        match=r"No space left on device: the checkpoint .* of step 4 cannot be written .*The "
        r"earlier one is intact. Make room, then go on with --resume",
    ):
        save_checkpoint(path, state(4))
    assert load_checkpoint(path)["step"] == 3
    with pytest.raises(SynBTError, match=r"written \(0 MB\)\. Make room, then start again"):
        save_checkpoint(path.with_name("b.checkpoint.pt"), state())
