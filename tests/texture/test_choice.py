"""A texture by its name needs no more of weights and bank than it uses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analytic import small_bank, tiny_weights, voxel_bank
from synbt_aug.cli import generator
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import (
    forget_shared_synthesizers,
    settings_of_recipe,
    shared_synthesizer,
)
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TEXTURES, CopyPaste, SynTumor, TumorInpainter
from synbt_aug.texture.choice import load_for, make_texture, refuse_shapes_only
from synbt_aug.weights import Weights, WithoutNetworks, load_weights, save_weights

CPU = torch.device("cpu")
SETTINGS = {"steps": 2, "guidance": 1.0, "precision": "fp32"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder whose networks are gone."""
    folder = save_weights(tiny_weights(), tmp_path / "tiny")
    for file in folder.glob("*.safetensors"):
        file.unlink()
    return folder


def test_each_name_makes_its_texture() -> None:
    made = [make_texture(name, tiny_weights(), CPU, **SETTINGS) for name in TEXTURES]
    assert [type(t) for t in made] == [TumorInpainter, SynTumor, CopyPaste]
    assert [t.name for t in made] == list(TEXTURES)
    assert [t.needs_signal for t in made] == [False, False, True]
    assert {t.hole_margin_mm for t in made} == {tiny_weights().contract.hole_margin_mm}
    assert generator.TEXTURES == TEXTURES


def test_textures_without_a_network_need_no_network_files(folder: Path) -> None:
    for name in ("syntumor", "copy_paste"):
        loaded = load_for(name, folder)
        assert isinstance(loaded, WithoutNetworks)
        assert loaded.bank.digest == small_bank().digest
    with pytest.raises(SynBTError, match="lacks"):
        load_for("diffusion", folder)


def test_the_weights_are_called_the_same_with_and_without_their_networks(tmp_path: Path) -> None:
    folder = save_weights(tiny_weights(), tmp_path / "tiny")
    without, whole = load_for("syntumor", folder), load_weights(folder)
    assert isinstance(whole, Weights)
    assert (without.digest, without.name, without.card) == (whole.digest, whole.name, whole.card)
    assert without.contract == whole.contract


def test_the_network_texture_says_what_it_lacks(folder: Path) -> None:
    with pytest.raises(SynBTError, match="'diffusion' needs the networks of the weights 'tiny'"):
        TumorSynthesizer(load_for("syntumor", folder), texture="diffusion")


def test_a_bank_of_shapes_is_refused_by_its_name() -> None:
    refuse_shapes_only(voxel_bank())
    with pytest.raises(SynBTError, match="the bank 'mine.npz' holds shapes only"):
        refuse_shapes_only(small_bank(), "mine.npz")
    with pytest.raises(SynBTError, match="the bank that was passed holds shapes only"):
        TumorSynthesizer(tiny_weights(), bank=small_bank(), texture="copy_paste")


def test_a_process_shares_them_whatever_the_networks_settings_are(
    folder: Path, tmp_path: Path
) -> None:
    forget_shared_synthesizers()
    bank = str(voxel_bank().save(tmp_path / "voxels.npz"))
    mine = InjectionSettings(weights=str(folder), bank=bank, texture="syntumor", steps=2)
    pasted = InjectionSettings(weights=str(folder), bank=bank, texture="copy_paste")
    one = shared_synthesizer(mine)
    assert shared_synthesizer(InjectionSettings(**{**vars(mine), "steps": 9})) is one
    other = shared_synthesizer(pasted)
    assert other is not one and other.weights is one.weights
    forget_shared_synthesizers()


def test_a_recipe_brings_its_texture() -> None:
    recipe = {"texture": {"name": "copy_paste", "hole_margin_mm": 3.0}}
    assert settings_of_recipe(recipe).texture == "copy_paste"
    mine = InjectionSettings(texture="syntumor")
    assert settings_of_recipe({"texture": {"name": "flat"}}, mine) == mine
