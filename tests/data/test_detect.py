from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synbt_aug.data.detect import detect_layout, read_dataset
from synbt_aug.errors import SynBTError


def test_both_layouts_are_told_apart(
    nnunet_folder: Callable[..., Path], mama_mia_folder: Path
) -> None:
    assert detect_layout(nnunet_folder()) == "nnunet"
    assert detect_layout(mama_mia_folder) == "mama-mia"


def test_an_unknown_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(SynBTError, match=r"neither an nnU-Net.*nor a.*It holds holiday\.jpg"):
        read_dataset(tmp_path)
    with pytest.raises(SynBTError, match="must be a folder"):
        read_dataset(tmp_path / "nowhere")


def test_the_folder_above_a_dataset_is_told_from_it(
    nnunet_folder: Callable[..., Path],
) -> None:
    folder = nnunet_folder()
    with pytest.raises(SynBTError, match=f"Did you mean {folder}"):
        read_dataset(folder.parent)


def test_a_split_that_there_is_not_is_refused(nnunet_folder: Callable[..., Path]) -> None:
    with pytest.raises(SynBTError, match="split is 'train' or 'test', not 'val'"):
        read_dataset(nnunet_folder(), split="val")
