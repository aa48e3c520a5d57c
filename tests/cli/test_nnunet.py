from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def pretend(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """Have the installed nnunetv2 say another version, or be missing."""
    real = importlib.metadata.version

    def installed(name: str) -> str:
        if name != "nnunetv2":
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)


def test_the_path_is_a_folder_of_one_module(
    synbt: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("2.8.1", "2.8", "2.10.0rc1"):
        pretend(monkeypatch, version)
        said = synbt("nnunet-path")
        assert said.code == 0 and said.err == ""
        folder = Path(said.out.strip())
        assert [path.name for path in folder.glob("*.py")] == ["synbt_aug_trainers.py"]


def test_an_nnunet_that_reads_no_folders_is_told(
    synbt: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "2.7.0")
    said = synbt("nnunet-path")
    assert Path(said.out.strip()).is_dir()
    assert "nnunetv2 2.7.0 does not read nnUNet_extTrainer" in said.err


def test_without_nnunet_the_extra_is_named(
    synbt: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, None)
    said = synbt("nnunet-path")
    assert said.code == 2 and said.out == ""
    assert "pip install 'synbt-aug[nnunet]'" in said.err


def test_nnunet_finds_our_trainers_by_the_path_alone(synbt: Callable) -> None:
    """And they can be pickled, as worker processes that are spawned need it."""
    pytest.importorskip("nnunetv2.utilities.find_objects")
    folder = synbt("nnunet-path").out.strip()
    code = (
        "import pickle, sys\n"
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find\n"
        "found = find('nnUNetTrainerSynBT_1epoch')\n"
        "assert pickle.loads(pickle.dumps(found)) is found\n"
        "print(found.__module__, find.__globals__['recursive_find_python_class'].__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SYNBT_NO_HOOK": "1", "nnUNet_extTrainer": folder},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, finder = done.stdout.splitlines()[-1].split()
    assert where == "synbt_aug_nnunet.trainers"
    assert finder == "nnunetv2.utilities.find_class_by_name"


def test_an_export_says_how_to_predict(
    synbt: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = pytest.importorskip("synbt_aug_nnunet.export")
    asked: dict[str, Any] = {}

    def exporting(source: Path, output: Path, **options: Any) -> Any:
        asked.update(options, source=source, output=output)
        return export.Export(output / "model", ("0", "all"), "nnUNetTrainerSynBT", "nnUNetTrainer")

    monkeypatch.setattr(export, "export_model", exporting)
    said = synbt(
        "nnunet-export", tmp_path / "results", "-o", tmp_path, "-f", 0, "--fold", "all",
        "-chk", "checkpoint_best.pth",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert asked == {
        "source": tmp_path / "results",
        "output": tmp_path,
        "folds": ["0", "all"],
        "checkpoint": "checkpoint_best.pth",
    }
    assert f"-m {tmp_path / 'model'} -f 0 all -chk checkpoint_best.pth" in said.out
    assert "nnUNetTrainerSynBT as nnUNetTrainer" in said.out


def test_a_folder_that_is_none_is_one_line(synbt: Callable, tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2")
    said = synbt("nnunet-export", tmp_path / "nowhere", "-o", tmp_path)
    assert said.code == 2 and "There is no folder" in said.err and "Traceback" not in said.err
