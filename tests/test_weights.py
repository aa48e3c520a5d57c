"""Weights folders: what they hold, and what is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analytic import TINY_DENOISER, TINY_VQVAE, small_bank, tiny_weights
from synbt_aug import weights as module
from synbt_aug.diffusion import Denoiser, NoiseSchedule
from synbt_aug.errors import SynBTError
from synbt_aug.vqvae import VQVAE
from synbt_aug.weights import Contract, Weights, contract_of, load_weights, save_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_weights(tiny_weights(), tmp_path / "mine")


SHA_OF_A_LIST = hashlib.sha256(b"[]").hexdigest()


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file, and its SHA-256 in the manifest beside it."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    if path.name != "manifest.json":
        manifest = json.loads((path.parent / "manifest.json").read_text())
        manifest["files"][path.name] = module._sha256(path)
        (path.parent / "manifest.json").write_text(json.dumps(manifest))


# --- round trip ---


def test_what_is_saved_is_loaded(folder: Path) -> None:
    saved, loaded = tiny_weights(), load_weights(folder)
    assert loaded.name == "mine"
    assert loaded.contract == saved.contract
    assert loaded.bank.digest == saved.bank.digest
    assert loaded.schedule == saved.schedule == NoiseSchedule()
    for key, value in saved.autoencoder.state_dict().items():
        assert torch.equal(loaded.autoencoder.state_dict()[key], value)


def test_loading_leaves_torch_s_generator_where_it_was(folder: Path) -> None:
    before = torch.get_rng_state()
    load_weights(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_denoiser_is_stored_in_half_unless_told_otherwise(tmp_path: Path) -> None:
    exact = load_weights(save_weights(tiny_weights(), tmp_path / "whole", half=False))
    half = load_weights(save_weights(tiny_weights(), tmp_path / "half"))
    key = "input.weight"
    value = tiny_weights().denoiser.state_dict()[key]
    assert torch.equal(exact.denoiser.state_dict()[key], value)
    assert torch.equal(half.denoiser.state_dict()[key], value.half().float())
    assert not torch.equal(half.denoiser.state_dict()[key], value)
    whole, small = (
        sum(f.stat().st_size for f in (tmp_path / name).glob("denoiser*"))
        for name in ("whole", "half")
    )
    assert small < 0.6 * whole


def test_loaded_networks_are_frozen_and_in_eval_mode(folder: Path) -> None:
    loaded = load_weights(folder)
    for network in (loaded.autoencoder, loaded.denoiser):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        assert all(p.dtype == torch.float32 for p in network.parameters())


def test_the_digest_is_that_of_the_files_wherever_they_lie(tmp_path: Path) -> None:
    here = load_weights(save_weights(tiny_weights(), tmp_path / "a"))
    there = load_weights(save_weights(tiny_weights(), tmp_path / "b"))
    assert here.digest == there.digest and len(here.digest) == 64
    fewer = replace(tiny_weights(), bank=type(small_bank())(small_bank().templates[:2]))
    assert load_weights(save_weights(fewer, tmp_path / "c")).digest != here.digest


def test_the_card_comes_along(tmp_path: Path) -> None:
    card = {"data": "phantoms", "cases": ["0", "1"]}
    saved = save_weights(replace(tiny_weights(), card=card), tmp_path)
    assert load_weights(saved).card == card


def test_large_networks_are_stored_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 50_000)
    saved = save_weights(tiny_weights(), tmp_path / "parts")
    parts = sorted(f.name for f in saved.glob("denoiser-*"))
    assert len(parts) > 2 and parts[0] == f"denoiser-1-of-{len(parts)}.safetensors"
    # A part holds what fits, or one tensor that is larger than a part.
    largest = max(v.numel() * 2 for v in tiny_weights().denoiser.state_dict().values())
    overhead = 20_000
    assert max(f.stat().st_size for f in saved.glob("denoiser-*")) < max(50_000, largest) + overhead
    loaded = load_weights(saved)
    for key, value in tiny_weights().denoiser.state_dict().items():
        assert torch.equal(loaded.denoiser.state_dict()[key], value.half().float())


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save_weights(tiny_weights(), tmp_path / "w")

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module, "save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        save_weights(tiny_weights(), saved)
    with pytest.raises(
        SynBTError, match="holds no manifest.json: it is no finished weights folder"
    ):
        load_weights(saved)


# --- what is refused ---


def test_a_name_that_is_no_folder_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"'shipped' or the path .* got 'nowhere'. `synbt train"):
        load_weights("nowhere")


def test_missing_shipped_weights_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped_folder", lambda: tmp_path / "shipped")
    with pytest.raises(SynBTError, match="missing from .*pip install --force-reinstall synbt-aug"):
        load_weights()


def test_shipped_weights_lie_in_the_weights_package() -> None:
    assert module.shipped_folder().parent.name == "synbt_aug_weights"


def test_a_damaged_file_is_refused(folder: Path) -> None:
    path = folder / "denoiser-1-of-1.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SynBTError, match="denoiser-1-of-1.safetensors is damaged: its SHA-256"):
        load_weights(folder)


def test_a_missing_file_is_refused_by_its_name(folder: Path) -> None:
    (folder / "autoencoder-1-of-1.safetensors").unlink()
    with pytest.raises(SynBTError, match=r"lacks autoencoder-1-of-1.safetensors, which its manif"):
        load_weights(folder)


def test_a_manifest_without_the_files_is_refused(folder: Path) -> None:
    edit(folder / "manifest.json", lambda values: values["files"].pop("bank.npz"))
    with pytest.raises(SynBTError, match="does not list a weights folder's files"):
        load_weights(folder)


@pytest.mark.parametrize(
    "manifest",
    [{"files": ["contract.json", "bank.npz"]}, {"files": {"contract.json": 3, "bank.npz": 3}}, {}],
)
def test_a_manifest_of_another_shape_is_refused(folder: Path, manifest: object) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SynBTError, match="does not list a weights folder's files"):
        load_weights(folder)


def test_a_manifest_or_contract_that_is_no_object_is_refused_by_its_name(folder: Path) -> None:
    (folder / "contract.json").write_text("[]")
    edit(folder / "manifest.json", lambda v: v["files"].update({"contract.json": SHA_OF_A_LIST}))
    with pytest.raises(SynBTError, match=r"contract\.json was to be .* but holds a list"):
        load_weights(folder)
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(SynBTError, match=r"manifest\.json was to be .* but holds a list"):
        load_weights(folder)


CODE = [f.name for f in fields(Contract)][: -3 - 3]
OF_THE_WEIGHTS = ["hole_margin_mm", "quantized_targets", "quantized_conditions"]


@pytest.mark.parametrize("name", CODE)
def test_weights_of_another_contract_are_refused_by_the_line(folder: Path, name: str) -> None:
    edit(folder / "contract.json", lambda values: values.update({name: "other"}))
    with pytest.raises(SynBTError, match=f"follow another contract: {name} is other there and"):
        load_weights(folder)


@pytest.mark.parametrize("name", [f.name for f in fields(Contract)])
def test_a_contract_that_lacks_a_line_is_refused_by_it(folder: Path, name: str) -> None:
    edit(folder / "contract.json", lambda values: values.pop(name))
    with pytest.raises(SynBTError, match=f"a contract without '{name}': .*another version"):
        load_weights(folder)


def test_the_lines_that_come_with_the_weights_are_taken_from_them(tmp_path: Path) -> None:
    assert set(CODE).isdisjoint(OF_THE_WEIGHTS)
    contract = replace(tiny_weights().contract, hole_margin_mm=1.0)
    saved = save_weights(replace(tiny_weights(), contract=contract), tmp_path)
    assert load_weights(saved).contract == contract


def test_a_contract_survives_json() -> None:
    contract = tiny_weights().contract
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_a_contract_describes_its_networks() -> None:
    schedule = NoiseSchedule(steps=50)
    contract = contract_of(VQVAE(TINY_VQVAE), Denoiser(TINY_DENOISER), schedule)
    assert contract.autoencoder["codebook_size"] == TINY_VQVAE.codebook_size
    assert contract.denoiser["predicts"] == TINY_DENOISER.predicts
    weights = replace(tiny_weights(), contract=contract)
    assert weights.schedule == schedule


def test_tensors_that_do_not_fit_the_contract_are_refused(folder: Path) -> None:
    def grow(values: dict[str, Any]) -> None:
        values["autoencoder"]["codebook_size"] = 128

    edit(folder / "contract.json", grow)
    with pytest.raises(SynBTError, match="do not fit the networks that their contract describes"):
        load_weights(folder)


def broken_weights() -> Weights:
    denoiser = Denoiser(TINY_DENOISER)
    denoiser.load_state_dict(tiny_weights().denoiser.state_dict())
    with torch.no_grad():
        next(denoiser.parameters()).flatten()[0] = float("nan")
    return replace(tiny_weights(), denoiser=denoiser)


def test_weights_with_nan_are_refused(tmp_path: Path) -> None:
    saved = save_weights(broken_weights(), tmp_path)
    with pytest.raises(SynBTError, match="hold NaN or infinite numbers: the training .* failed"):
        load_weights(saved)


def test_a_file_that_is_no_safetensors_is_refused(folder: Path) -> None:
    path = folder / "autoencoder-1-of-1.safetensors"
    path.write_bytes(b"no tensors here")
    manifest = folder / "manifest.json"
    edit(manifest, lambda v: v["files"].update({path.name: module._sha256(path)}))
    with pytest.raises(SynBTError, match="autoencoder-1-of-1.safetensors cannot be read"):
        load_weights(folder)


def test_loading_needs_no_pickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for owner, name in (
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
        (torch, "load"),
    ):
        monkeypatch.setattr(owner, name, never)
    assert load_weights(folder).name == "mine"
