"""Trained weights: a folder of safetensors, the contract, a tumor bank, and a manifest.

The manifest has the SHA-256 of each file. Nothing is unpickled, weights of another contract are
refused, and no network is made before the files were found to hold it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from synbt_aug.contract import Contract
from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAE, Denoiser, DenoiserSettings, NoiseSchedule, VQVAESettings
from synbt_aug.networks.tensor_files import load_tensors, mismatch, save_tensors, shapes_in
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.support.case_ids import PRIVACY, case_keys
from synbt_aug.support.files import check_output_folder, read_json, sha256_of, write_json
from synbt_aug.support.user_folder import is_plain_name, user_folder
from synbt_aug.tumor.bank import TumorBank, load_bank

#: Largest file, in bytes: what hosts of code and wheels take without asking.
PART_BYTES = 15_000_000

_BESIDE_NETWORKS = ("contract.json", "bank.npz")

#: The name of the weights that come with the package.
SHIPPED = "shipped"

Network = TypeVar("Network", VQVAE, Denoiser)


@dataclass(frozen=True)
class Weights:
    """A trained generator.

    Args:
        name: "shipped", or the folder's name.
        contract: What it was trained under.
        autoencoder: The VQ-VAE, on the CPU, float32, in eval mode.
        denoiser: Likewise.
        bank: The tumor bank that came with it.
        digest: SHA-256 over the files, which recipes name.
        card: How it was trained, JSON-ready: data, cases by their keys, steps, time.
    """

    name: str
    contract: Contract
    autoencoder: VQVAE
    denoiser: Denoiser
    bank: TumorBank
    digest: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule of the denoiser."""
        return NoiseSchedule.from_dict(dict(self.contract.schedule))


@dataclass(frozen=True)
class WithoutNetworks:
    """What a weights folder holds beside its networks: all that textures without one need.

    Args:
        name: "shipped", or the folder's name.
        contract: What the networks were trained under.
        bank: The tumor bank that came with them.
        digest: The same SHA-256 as that of the whole.
        card: How they were trained.
    """

    name: str
    contract: Contract
    bank: TumorBank
    digest: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)


def save_weights(weights: Weights, folder: str | Path, *, half: bool = True) -> Path:
    """Write a weights folder; cases are listed by their keys (`case_ids`).

    Args:
        weights: What to write; `digest` is computed.
        folder: Made if it is not there. The manifest is written last: a folder without it is
            unfinished.
        half: Store the denoiser in float16 (14 MB in place of 28); the autoencoder, whose codes
            are compared, stays in float32.
    """
    folder = check_output_folder(folder)
    (folder / "manifest.json").unlink(missing_ok=True)
    names = _save_parts(weights.autoencoder.state_dict(), folder, "autoencoder", half=False)
    names += _save_parts(weights.denoiser.state_dict(), folder, "denoiser", half=half)
    names.append(weights.bank.save(folder / "bank.npz").name)
    names.append(write_json(folder / "contract.json", weights.contract.to_dict()).name)
    files = {name: sha256_of(folder / name) for name in names}
    write_json(folder / "manifest.json", {"files": files, "card": _card(weights.card)})
    return folder


def load_weights(name: str | Path = SHIPPED) -> Weights:
    """Load trained weights, after checking every file.

    Args:
        name: "shipped", the path of a weights folder, or a name that `synbt adapt` gave.

    Raises:
        SynBTError: If there are none of that name, a file is missing or damaged, or they follow
            another contract.
    """
    folder = _find(name)
    files, card = _manifest(folder)
    _check_files(name, folder, files)
    contract = _contract(folder)
    where = f"The weights in {folder}"
    codec = VQVAESettings.from_dict(dict(contract.autoencoder))
    unet = DenoiserSettings.from_dict(dict(contract.denoiser))
    autoencoder = _network(lambda: VQVAE(codec), _parts(folder, "autoencoder", files), where)
    denoiser = _network(lambda: Denoiser(unet), _parts(folder, "denoiser", files), where)
    return Weights(
        name=_name(name, folder),
        contract=contract,
        autoencoder=autoencoder.eval().requires_grad_(False),
        denoiser=denoiser.eval().requires_grad_(False),
        bank=load_bank(folder / "bank.npz"),
        digest=_digest(files),
        card=card,
    )


def load_without_networks(name: str | Path = SHIPPED) -> WithoutNetworks:
    """Load a weights folder's bank and contract alone; its networks need not be there.

    Args:
        name: "shipped", the path of a weights folder, or a name that `synbt adapt` gave.

    Raises:
        SynBTError: As `load_weights`, of these files.
    """
    folder = _find(name)
    files, card = _manifest(folder)
    _check_files(name, folder, {file: files[file] for file in _BESIDE_NETWORKS})
    return WithoutNetworks(
        name=_name(name, folder),
        contract=_contract(folder),
        bank=load_bank(folder / "bank.npz"),
        digest=_digest(files),
        card=card,
    )


def _name(name: str | Path, folder: Path) -> str:
    return str(name) if name == SHIPPED else folder.name


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _contract(folder: Path) -> Contract:
    values = read_json(folder / "contract.json", "a contract")
    return Contract.from_dict(values, f"The weights in {folder}")


def _manifest(folder: Path) -> tuple[dict[str, str], Mapping[str, Any]]:
    """The files with their SHA-256, and the card."""
    path = folder / "manifest.json"
    manifest = read_json(path, "the manifest of a weights folder")
    files, card = manifest.get("files"), manifest.get("card", {})
    if not (
        isinstance(files, dict)
        and all(isinstance(digest, str) for digest in files.values())
        and set(_BESIDE_NETWORKS) <= set(files)
        and isinstance(card, dict)
    ):
        raise SynBTError(
            f"{path} does not list a weights folder's files with their SHA-256. Copy the folder "
            f"again."
        )
    for name in files:
        # A name with a slash would lead out of the folder.
        if not re.fullmatch(r"[\w.-]+", name):
            raise SynBTError(
                f"{path} must list files of its own folder, but names {name[:80]!r}. Copy the "
                f"folder again."
            )
    return files, card


def _check_files(name: str | Path, folder: Path, files: Mapping[str, str]) -> None:
    for file, expected in files.items():
        if not (folder / file).is_file():
            raise SynBTError(f"{folder} lacks {file}, which its manifest lists. Copy it again.")
        if sha256_of(folder / file) != expected:
            raise SynBTError(
                f"{folder / file} is damaged: its SHA-256 is not the manifest's. Copy it again"
                + (
                    ", or reinstall: pip install --force-reinstall synbt-aug."
                    if name == SHIPPED
                    else "."
                )
            )


def shipped_folder() -> Path:
    """Where the installed package keeps the shipped weights."""
    import synbt_aug_weights

    return Path(synbt_aug_weights.__file__).parent / "shipped"


def named_weights() -> Path:
    """The folder of weights that are asked for by name: those that `synbt adapt` made."""
    return user_folder() / "weights"


def weights_folder(name: str | Path) -> Path:
    """Where weights lie, whether they are there or not.

    Args:
        name: "shipped", a path, or a name in `named_weights`. A weights folder of that path has
            the first say.
    """
    if str(name) == SHIPPED:
        return shipped_folder()
    path = Path(name)
    named = named_weights() / str(name)
    if is_plain_name(str(name)) and not is_finished(path) and is_finished(named):
        return named
    return path


def is_finished(folder: Path) -> bool:
    """Whether a folder is a whole weights folder: its manifest is written last."""
    return (folder / "manifest.json").is_file()


def _find(name: str | Path) -> Path:
    folder = weights_folder(name)
    if is_finished(folder):
        return folder
    if str(name) == SHIPPED:
        raise SynBTError(
            f"The shipped weights are missing from {folder}. Reinstall: pip install "
            f"--force-reinstall synbt-aug."
        )
    if not folder.is_dir():
        named = sorted(p.name for p in named_weights().glob("*") if is_finished(p))
        raise SynBTError(
            f"weights needs {SHIPPED!r} or the path of a weights folder, or a name that `synbt "
            f"adapt` gave ({', '.join(named) or 'none yet'}), got {str(name)!r}. `synbt train "
            f"denoiser` and `synbt adapt` write such a folder."
        )
    raise SynBTError(
        f"{folder} holds no manifest.json: it is no finished weights folder. "
        f"`synbt train denoiser` writes one."
    )


def _save_parts(state: Mapping[str, Tensor], folder: Path, stem: str, *, half: bool) -> list[str]:
    """Write tensors into files of at most `PART_BYTES`, named so that none mistakes them."""
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in sorted(state.items())
    }
    parts: list[dict[str, Tensor]] = [{}]
    room = PART_BYTES
    for key, value in tensors.items():
        size = value.numel() * value.element_size()
        if size > room and parts[-1]:
            parts.append({})
            room = PART_BYTES
        parts[-1][key] = value
        room -= size
    names = []
    for number, part in enumerate(parts, 1):
        name = f"{stem}-{number}-of-{len(parts)}.safetensors"
        save_tensors(folder / name, part)
        names.append(name)
    return names


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card with keys in place of case ids."""
    plain: dict[str, Any] = {
        name: _card(part) if isinstance(part, Mapping) else part for name, part in card.items()
    }
    if isinstance(plain.get("cases"), list | tuple):
        plain |= {"cases": case_keys(map(str, plain["cases"])), "privacy": PRIVACY}
    return plain


def _parts(folder: Path, stem: str, files: Mapping[str, str]) -> list[Path]:
    return [folder / file for file in sorted(files) if file.startswith(f"{stem}-")]


def _network(make: Callable[[], Network], parts: list[Path], where: str) -> Network:
    """Make a network of what its files hold, once they are known to hold it.

    Raises:
        SynBTError: If they do not fit it, cannot be read, or hold NaN.
    """
    told = mismatch(make, {k: shape for part in parts for k, shape in shapes_in(part).items()})
    if told:
        raise SynBTError(
            f"{where} do not fit the networks that their contract describes ({told}). Train again "
            f"with `synbt train`."
        )
    state = {name: value for part in parts for name, value in load_tensors(part).items()}
    # A new network draws its first weights, which are overwritten, from the caller's generator.
    with plain_torch(), torch.random.fork_rng(devices=[]):
        network = make()
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    if not all(bool(torch.isfinite(p).all()) for p in network.state_dict().values()):
        raise SynBTError(
            f"{where} hold NaN or infinite numbers: the training that made them failed."
        )
    return network
