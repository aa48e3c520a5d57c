"""The door `synbt_aug.torchio`, with and without TorchIO."""

from __future__ import annotations

import importlib
import sys

import pytest

import synbt_aug.torchio as door
import synbt_aug_torchio
from synbt_aug.errors import ExtraMissingError


def test_the_door_offers_what_the_package_does() -> None:
    assert set(door.__all__) == set(synbt_aug_torchio.__all__)
    assert door.SynBTTumor is synbt_aug_torchio.SynBTTumor


def test_without_torchio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "synbt_aug_torchio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "synbt_aug.torchio")
    monkeypatch.setitem(sys.modules, "torchio", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'synbt-aug\[torchio\]'"):
        importlib.import_module("synbt_aug.torchio")


def test_what_fails_inside_torchio_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "torchio":
                raise ModuleNotFoundError("No module named 'SimpleITK'", name="SimpleITK")

    for name in [n for n in sys.modules if n.split(".")[0] in ("synbt_aug_torchio", "torchio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "synbt_aug.torchio")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="SimpleITK"):
        importlib.import_module("synbt_aug.torchio")
