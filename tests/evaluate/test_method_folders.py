from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_scans import block, save
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.method_folders import name_methods, score_methods


def _folder(path: Path, *cases: str, mask: np.ndarray | None = None) -> Path:
    for case in cases:
        save(path / f"{case}.nii.gz", block() if mask is None else mask)
    return path


def test_a_method_is_called_as_its_folder_or_as_it_is_named() -> None:
    found = name_methods(["runs/plain", "ours=runs/x"])
    assert found == {"plain": Path("runs/plain"), "ours": Path("runs/x")}


def test_folders_of_one_name_are_told_apart_by_those_above() -> None:
    found = name_methods(["a/fold_0/pred", "b/fold_0/pred/", "other=c/pred"])
    assert list(found) == ["a/fold_0/pred", "b/fold_0/pred", "other"]
    assert list(name_methods(["a/pred", "pred=b/pred"])) == ["a/pred", "pred"]


def test_a_folder_may_have_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lr=1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert name_methods(["lr=1", "runs/lr=2"]) == {"lr=1": Path("lr=1"), "lr=2": Path("runs/lr=2")}


def test_names_may_be_given_at_once() -> None:
    assert name_methods(["x/p", "y/p"], ["plain", " ours"]) == {
        "plain": Path("x/p"), "ours": Path("y/p"),
    }  # fmt: skip
    with pytest.raises(SynBTError, match="got 1 names for 2 folders: --names plain"):
        name_methods(["x/p", "y/p"], ["plain"])


def test_methods_of_one_name_are_refused() -> None:
    with pytest.raises(SynBTError, match="different names, but 2 are called a"):
        name_methods(["a=x", "a=y"])
    with pytest.raises(SynBTError, match="different names, but 2 are called .*x/p"):
        name_methods(["x/p", "x/p"])


def test_progress_counts_the_masks_of_all_methods(tmp_path: Path) -> None:
    methods = {name: _folder(tmp_path / name, "1", "2") for name in "ab"}
    told: list[tuple[int, int]] = []
    scores = score_methods(
        methods, _folder(tmp_path / "ref", "1", "2"), on_case=lambda *done: told.append(done)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [scores[name].cases[1].dice for name in "ab"] == [1.0, 1.0]


def test_all_folders_are_looked_through_before_a_mask_is_read(tmp_path: Path) -> None:
    methods = {"a": _folder(tmp_path / "a", "1", "2"), "b": _folder(tmp_path / "b", "1")}
    told: list[int] = []
    with pytest.raises(SynBTError, match=r"b lacks 1 of 2 cases: 2\."):
        score_methods(
            methods, _folder(tmp_path / "ref", "1", "2"), on_case=lambda *done: told.append(1)
        )
    assert not told


def test_a_label_that_no_mask_holds_is_no_perfect_score(tmp_path: Path) -> None:
    pred, ref = _folder(tmp_path / "a", "1"), _folder(tmp_path / "ref", "1")
    with pytest.raises(SynBTError, match="No mask holds label 3, neither"):
        score_methods({"a": pred}, ref, label=3)
    empty = _folder(tmp_path / "empty", "1", mask=block() * np.uint8(0))
    with pytest.raises(SynBTError, match="No mask holds a value above 0"):
        score_methods({"a": empty}, empty)
    assert score_methods({"a": pred}, empty)["a"].counts["false alarm"] == 1


def test_a_confidence_in_percent_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="confidence between 0 and 1, got 1 methods and 95"):
        score_methods({"a": tmp_path}, tmp_path, confidence=95)
