from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.tissue import tissue_labels
from synbt_aug.tissue.labels_to_image import tissue_of
from synbt_aug.train import label_maps
from synbt_aug.train.label_maps import (
    label_map_of,
    phantom_label_maps,
    read_label_map,
    write_label_map,
)


def test_the_answer_of_a_label_map_is_the_phantoms_tissue() -> None:
    phantom = make_phantom(5, PhantomSettings(shape=(64, 64, 48)))
    labels, scan = label_map_of(phantom)
    known = tissue_labels(phantom.labels, phantom.breast)
    assert np.array_equal(tissue_of(torch.from_numpy(labels)).numpy(), known)
    assert scan.shape == (32, 32, 24) and scan.dtype == np.uint8


def test_maps_that_are_there_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_maps, "FIELDS_MM", ((48, 48, 48),))
    first = write_label_map(tmp_path, 3)
    written = first.stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    maps = phantom_label_maps(
        tmp_path, (3, 4), workers=1, on_case=lambda done, total: told.append((done, total))
    )
    assert first.stat().st_mtime_ns == written
    assert [m.name for m in maps] == ["phantom_0000003", "phantom_0000004"]
    assert told == [(1, 2), (2, 2)]
    assert maps[0].labels.shape == (48, 48, 48)


def test_maps_of_another_generator_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_maps, "FIELDS_MM", ((48, 48, 48),))
    first = write_label_map(tmp_path, 3)
    monkeypatch.setattr(label_maps, "GENERATOR_VERSION", label_maps.GENERATOR_VERSION + 1)
    second = write_label_map(tmp_path, 3)
    assert first != second and first.is_file() and second.is_file()
    assert read_label_map(first).name == read_label_map(second).name == "phantom_0000003"


def test_a_damaged_map_is_told(tmp_path: Path) -> None:
    path = tmp_path / "phantom_0000001.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(SynBTError, match="Delete it: it is made again"):
        read_label_map(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 4, 4, 4), np.uint8))
    with pytest.raises(SynBTError, match="Delete it: it is made again"):
        read_label_map(path)
