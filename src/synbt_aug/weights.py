"""Trained weights, and the contract between them and the code.

A weights folder holds safetensors, the contract, a tumor bank and a manifest with the SHA-256 of
each. Nothing is unpickled. What the networks were trained on (the intensity map, the hole rule,
the order of the appearance) is compared with what this code does, so that weights of another
contract are refused and not painted with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from synbt_aug import hole, intensity, mask, window
from synbt_aug.diffusion import Denoiser, DenoiserSettings, NoiseSchedule
from synbt_aug.errors import SynBTError
from synbt_aug.files import check_output_folder, read_json, write_json, written_whole
from synbt_aug.surroundings import plain_torch
from synbt_aug.tumor import appearance
from synbt_aug.tumor.bank import TumorBank, load_bank
from synbt_aug.vqvae import VQVAE, VQVAESettings

#: Raised whenever a field below changes its meaning: older weights no longer fit.
CONTRACT_VERSION = 1

#: Largest file, in bytes: what hosts of code and wheels take without asking.
PART_BYTES = 15_000_000

_BESIDE_NETWORKS = ("contract.json", "bank.npz")

#: The name of the weights that come with the package.
SHIPPED = "shipped"


@dataclass(frozen=True)
class Contract:
    """What weights and code must agree on.

    The first group describes the code and has the code's own values as defaults; the second
    describes the networks and comes with them.

    Args:
        version: `CONTRACT_VERSION`.
        low_percentile: Of the valid voxels; maps to -1.
        body_share: Body is brighter than this share of the bright voxels.
        bright_percentile: Of the valid voxels: those.
        high_medians: `high` is so many body medians above `low`; maps to 1.
        knee: Compression above 1.
        fill_sigmas_mm: Of the hole's fill.
        tissue_level: Mapped level above which voxels are tissue.
        smoothing_mm: Of a template before it is painted.
        blend_half_width_mm: Of the blend.
        window_sides_mm: Window sizes.
        appearance_inputs: Order of the appearance.
        appearance_centre: Its scaling.
        appearance_spread: Its scaling.
        hole_margin_mm: Dilation of the label in use.
        quantized_targets: Whether the denoiser learns the codes' vectors.
        quantized_conditions: Whether it is shown them.
        schedule: `NoiseSchedule` as a dictionary.
        autoencoder: `VQVAESettings` as a dictionary.
        denoiser: `DenoiserSettings` as a dictionary; `predicts` among them.
    """

    version: int = CONTRACT_VERSION
    low_percentile: float = intensity.LOW_PERCENTILE
    body_share: float = intensity.BODY_SHARE
    bright_percentile: float = intensity.BRIGHT_PERCENTILE
    high_medians: float = intensity.HIGH_MEDIANS
    knee: str = "1 + ln s"
    fill_sigmas_mm: tuple[float, ...] = hole.FILL_SIGMAS_MM
    tissue_level: float = hole.TISSUE_LEVEL
    smoothing_mm: float = mask.SMOOTHING_MM
    blend_half_width_mm: float = mask.BLEND_HALF_WIDTH_MM
    window_sides_mm: tuple[int, ...] = window.WINDOW_SIDES_MM
    appearance_inputs: tuple[str, ...] = appearance.APPEARANCE_INPUTS
    appearance_centre: tuple[float, ...] = appearance.CENTRE
    appearance_spread: tuple[float, ...] = appearance.SPREAD
    hole_margin_mm: float = hole.HOLE_MARGIN_MM
    quantized_targets: bool = False
    quantized_conditions: bool = False
    schedule: Mapping[str, Any] = field(default_factory=dict)
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    denoiser: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "These weights") -> Contract:
        """Read what `to_dict` wrote, and hold it against this code.

        Raises:
            SynBTError: If the weights were trained under another contract.
        """
        here = cls().to_dict()
        networks = {"schedule", "autoencoder", "denoiser"}
        theirs = {"hole_margin_mm", "quantized_targets", "quantized_conditions"} | networks
        for name in (f.name for f in fields(cls)):
            if name not in values:
                raise SynBTError(
                    f"{where} have a contract without {name!r}: they were made by another version "
                    f"of synbt-aug. Use that version, or train again with `synbt train`."
                )
            if name not in theirs and values[name] != here[name]:
                raise SynBTError(
                    f"{where} follow another contract: {name} is {values[name]} there and "
                    f"{here[name]} in this version. Use the version of synbt-aug they were "
                    f"trained with, or train again with `synbt train`."
                )
        tuples = {f.name for f in fields(cls) if isinstance(getattr(cls(), f.name), tuple)}
        known = {f.name: values[f.name] for f in fields(cls)}
        typed: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in known.items()}
        return cls(**typed)


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
        card: How it was trained, JSON-ready: data, cases by name, steps, time.
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


def contract_of(
    autoencoder: VQVAE, denoiser: Denoiser, schedule: NoiseSchedule | None = None
) -> Contract:
    """This code's contract with these networks."""
    return Contract(
        schedule=(schedule or NoiseSchedule()).to_dict(),
        autoencoder=autoencoder.settings.to_dict(),
        denoiser=denoiser.settings.to_dict(),
    )


def save_weights(weights: Weights, folder: str | Path, *, half: bool = True) -> Path:
    """Write a weights folder.

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
    files = {name: _sha256(folder / name) for name in names}
    write_json(folder / "manifest.json", {"files": files, "card": dict(weights.card)})
    return folder


def load_weights(name: str | Path = SHIPPED) -> Weights:
    """Load trained weights, after checking every file.

    Args:
        name: "shipped", or the path of a weights folder.

    Raises:
        SynBTError: If there are none of that name, a file is missing or damaged, or they follow
            another contract.
    """
    folder = _find(name)
    files, card = _manifest(folder)
    _check_files(name, folder, files)
    contract = _contract(folder)
    where = f"The weights in {folder}"
    # A new network draws its first weights, which are overwritten, from the caller's generator.
    with plain_torch(), torch.random.fork_rng(devices=[]):
        autoencoder = VQVAE(VQVAESettings.from_dict(dict(contract.autoencoder)))
        denoiser = Denoiser(DenoiserSettings.from_dict(dict(contract.denoiser)))
        _fill(autoencoder, _load_parts(folder, "autoencoder", files), where)
        _fill(denoiser, _load_parts(folder, "denoiser", files), where)
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
        name: "shipped", or the path of a weights folder.

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
    manifest = read_json(folder / "manifest.json", "the manifest of a weights folder")
    files, card = manifest.get("files"), manifest.get("card", {})
    if not (
        isinstance(files, dict)
        and all(isinstance(digest, str) for digest in files.values())
        and set(_BESIDE_NETWORKS) <= set(files)
        and isinstance(card, dict)
    ):
        raise SynBTError(
            f"{folder / 'manifest.json'} does not list a weights folder's files with their "
            f"SHA-256. Copy the folder again."
        )
    return files, card


def _check_files(name: str | Path, folder: Path, files: Mapping[str, str]) -> None:
    for file, expected in files.items():
        if not (folder / file).is_file():
            raise SynBTError(f"{folder} lacks {file}, which its manifest lists. Copy it again.")
        if _sha256(folder / file) != expected:
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


def _find(name: str | Path) -> Path:
    if str(name) == SHIPPED:
        folder = shipped_folder()
        if not (folder / "manifest.json").is_file():
            raise SynBTError(
                f"The shipped weights are missing from {folder}. Reinstall: pip install "
                f"--force-reinstall synbt-aug."
            )
        return folder
    folder = Path(name)
    if not folder.is_dir():
        raise SynBTError(
            f"weights needs {SHIPPED!r} or the path of a weights folder, got {str(name)!r}. "
            f"`synbt train denoiser` writes such a folder."
        )
    if not (folder / "manifest.json").is_file():
        raise SynBTError(
            f"{folder} holds no manifest.json: it is no finished weights folder. "
            f"`synbt train denoiser` writes one."
        )
    return folder


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        with written_whole(folder / name) as unfinished:
            save_file(part, unfinished)
        names.append(name)
    return names


def _load_parts(folder: Path, stem: str, files: Mapping[str, str]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for file in sorted(f for f in files if f.startswith(f"{stem}-")):
        try:
            state.update(load_file(folder / file))
        except (SafetensorError, OSError) as error:
            raise SynBTError(f"{folder / file} cannot be read ({error}). Copy it again.") from error
    return state


def _fill(network: torch.nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    try:
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise SynBTError(
            f"{where} do not fit the networks that their contract describes "
            f"({first[0].strip()}). Train again with `synbt train`."
        ) from error
    if not all(bool(torch.isfinite(p).all()) for p in network.state_dict().values()):
        raise SynBTError(
            f"{where} hold NaN or infinite numbers: the training that made them failed."
        )
