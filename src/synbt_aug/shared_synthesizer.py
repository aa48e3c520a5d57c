"""One synthesizer a process, whoever asks for it.

Transforms and injectors hold settings, never networks: they pickle in a few hundred bytes, and
all of a process's copies, threads and pipelines paint with the same loaded weights.

What is shared, and what is not. Threads share everything. Forked workers share the parent's
networks page by page, copy on write, if the parent loaded them before the fork (`warm_up`);
networks on a GPU do not survive a fork, which is told. Spawned and forkserver workers load their
own: the files are mapped into memory, so that all of them read one copy in the page cache, and
are then copied into the networks (34 MB a process for the shipped weights, whose denoiser is
stored in half the precision that it runs in; 17 MB more where they run in 16 bits).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.support.device import check_device
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TEXTURES
from synbt_aug.tissue.segmenter import load_segmenter, shipped_segmenter
from synbt_aug.tumor.bank import load_bank
from synbt_aug.weights import (
    SHIPPED,
    Weights,
    WithoutNetworks,
    load_weights,
    load_without_networks,
    weights_folder,
)

_lock = threading.Lock()
_weights: dict[tuple[object, ...], Weights | WithoutNetworks] = {}
_synthesizers: dict[tuple[object, ...], TumorSynthesizer] = {}

if hasattr(os, "register_at_fork"):
    # A fork while another thread loads would leave the child a lock that nobody opens.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def shared_synthesizer(
    settings: InjectionSettings, device: torch.device | str = "cpu"
) -> TumorSynthesizer:
    """The process's synthesizer for these settings, loaded when first asked for.

    Settings that differ only in what is painted (probability, sizes, appearance) share one;
    those that differ in steps, guidance or precision share the networks where they run on the
    CPU. Weights or a bank that changed on disk are loaded anew.

    Args:
        settings: What the generator depends on: weights, bank, tissue, texture, steps, guidance,
            precision, generator_device. Textures without a network load none.
        device: Where the images are; the networks go there unless `generator_device` names
            another place.

    Raises:
        SynBTError: If the weights cannot be loaded, the device is not there, a forked process
            asks for a GPU, or the texture pastes voxels and the bank has none.
    """
    asked = settings.generator_device
    place = _place(torch.device(device if asked == "auto" else asked))
    networks = settings.texture == "diffusion"
    weights_key = (networks, *_weights_key(settings.weights))
    key = (
        weights_key,
        _bank_key(settings.bank),
        _tissue_key(settings.tissue),
        str(place),
        settings.texture,
        settings.precision,
        # Of the networks that paint alone.
        *((settings.steps, settings.guidance) if networks else ()),
    )
    with _lock:
        found = _synthesizers.get(key)
        if found is None:
            if weights_key not in _weights:
                load = load_weights if networks else load_without_networks
                _weights[weights_key] = load(settings.weights)
            found = _synthesizers[key] = TumorSynthesizer(
                _weights[weights_key],
                bank=settings.bank,
                texture=settings.texture,
                tissue=settings.tissue,
                device=place,
                steps=settings.steps,
                guidance=settings.guidance,
                precision=settings.precision,
            )
        return found


def check_files(settings: InjectionSettings) -> None:
    """See that the files which the settings name are there; where they are, none is read.

    Transforms and injectors load at the first tumor, perhaps hours into a training: a wrong path
    is to be told when they are made.

    Args:
        settings: With weights, tissue and bank.

    Raises:
        SynBTError: If a file is missing: the loaders say which, and what makes one.
    """
    if not (weights_folder(settings.weights) / "manifest.json").is_file():
        load_without_networks(settings.weights)
    if not (_tissue_folder(settings.tissue) / "tissue.safetensors").is_file():
        load_segmenter(settings.tissue)
    if settings.bank not in (None, SHIPPED) and not Path(settings.bank).is_file():
        load_bank(settings.bank)


def settings_of_recipe(
    recipe: Mapping[str, Any], settings: InjectionSettings = InjectionSettings()
) -> InjectionSettings:
    """Settings whose networks paint as a recipe's did.

    Args:
        recipe: As `Synthesis.recipe`; what it lacks is told when it is replayed.
        settings: With its weights and bank.

    Returns:
        These settings with the recipe's texture, steps, guidance and precision.
    """
    texture = recipe.get("texture") if isinstance(recipe, Mapping) else None
    if not isinstance(texture, Mapping):
        return settings
    known = ("steps", "guidance", "precision")
    found = {k: texture[k] for k in known if k in texture}
    if texture.get("name") in TEXTURES:
        found["texture"] = texture["name"]
    return dataclasses.replace(settings, **found)


def warm_up(settings: InjectionSettings = InjectionSettings()) -> None:
    """Load the networks on the CPU now, so that workers forked later share them.

    Args:
        settings: Those of the transform or injector.
    """
    shared_synthesizer(settings, "cpu")


def forget_shared_synthesizers() -> None:
    """Let go of everything loaded; what is asked for next is loaded anew."""
    with _lock:
        _synthesizers.clear()
        _weights.clear()


def _place(device: torch.device) -> torch.device:
    """The device by its full name, "cuda:0" for "cuda", if this process may use it."""
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise SynBTError(
            "The networks cannot run on a GPU in a forked worker process. Use "
            "monai.data.ThreadDataLoader(dataset, num_workers=0), or "
            'multiprocessing_context="spawn", or generator_device="cpu".'
        )
    check_device(device, "generator_device")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _weights_key(name: str) -> tuple[object, ...]:
    """The folder and what its manifest holds, which names each file's SHA-256."""
    folder = weights_folder(name).resolve()
    manifest = folder / "manifest.json"
    # Without one `load_weights` says what is wrong.
    content = manifest.read_bytes() if manifest.is_file() else b""
    return str(folder), hashlib.sha256(content).hexdigest()


def _tissue_key(name: str) -> tuple[object, ...]:
    """The folder and what its JSON holds, the weights' SHA-256 among it."""
    folder = _tissue_folder(name)
    facts = folder / "tissue.json"
    # Without one `load_segmenter` says what is wrong.
    content = facts.read_bytes() if facts.is_file() else b""
    return str(folder), hashlib.sha256(content).hexdigest()


def _tissue_folder(name: str) -> Path:
    return shipped_segmenter() if name == SHIPPED else Path(name).resolve()


def _bank_key(name: str | None) -> tuple[object, ...]:
    """A bank file and when it was written."""
    if name is None:
        return ()
    path = Path(name).resolve()
    # Without the file `load_bank` says what is wrong.
    if not path.is_file():
        return (str(path),)
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size
