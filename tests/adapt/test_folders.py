from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from synbt_aug.adapt.folders import Folders
from synbt_aug.errors import SynBTError

HOME = "SYNBT_HOME"


def test_a_name_lies_in_the_user_s_folder_and_a_path_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    named = Folders.of("ours")
    assert named.weights == tmp_path / "weights" / "ours"
    assert named.run == tmp_path / "weights" / "ours-run"
    assert Folders.of("./ours").weights == Path("ours")
    assert Folders.of(str(tmp_path / "a")).run == tmp_path / "a-run"


def test_the_shipped_name_is_taken() -> None:
    with pytest.raises(SynBTError, match="names the weights of the package"):
        Folders.of("shipped")


def test_what_is_finished_begun_or_missing_is_told_before_anything_is_read(tmp_path: Path) -> None:
    folders = Folders.of(str(tmp_path / "ours"))
    with pytest.raises(SynBTError, match="holds no run to go on with. Leave --resume out"):
        folders.open(True, 1)
    folders.open(False, 1)
    folders.settings.write_text("{}")
    with pytest.raises(SynBTError, match="begun and not ended. Go on with it by --resume"):
        folders.open(False, 1)
    folders.open(True, 1)
    folders.weights.mkdir()
    (folders.weights / "manifest.json").touch()
    for resume in (False, True):
        with pytest.raises(SynBTError, match="is there already. Choose another name"):
            folders.open(resume, 1)


def test_a_full_disk_is_told_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(9, 9, 3_000_000))
    folders = Folders.of(str(tmp_path / "ours"))
    with pytest.raises(SynBTError, match="needs 40 MB for checkpoints.* has 3 MB. Make room"):
        folders.open(False, 1_000_000)
    folders.open(False, 50_000)
