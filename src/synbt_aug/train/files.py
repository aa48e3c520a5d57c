"""What a training run leaves behind: `<name>.safetensors` beside `<name>.json`.

The JSON holds the network's settings and how it was trained, as plain values, cases by their keys
(`case_ids`); `train.assemble` makes weights folders of such folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from synbt_aug.data.leaks import cases_of
from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAE, Denoiser, DenoiserSettings, VQVAESettings
from synbt_aug.networks.tensor_files import load_tensors, mismatch, save_tensors, shapes_in
from synbt_aug.support.case_ids import PRIVACY, case_keys
from synbt_aug.support.files import read_json, write_json
from synbt_aug.weights import is_finished, load_weights, weights_folder

Network = TypeVar("Network", bound=nn.Module)


class _Settings(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


class _Network(Protocol):
    @property
    def settings(self) -> _Settings: ...

    def state_dict(self) -> Mapping[str, Tensor]: ...


def save_network(network: _Network, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write weights and settings, each file whole or not at all.

    Args:
        network: With `settings.to_dict()`.
        folder: Made if it is missing.
        name: `autoencoder`, `denoiser` or `best`.
        facts: Further plain values for the JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / f"{name}.safetensors", network.state_dict())
    told = {"settings": network.settings.to_dict(), **facts, "privacy": PRIVACY}
    write_json(folder / f"{name}.json", told)


def read_facts(folder: str | Path, name: str) -> dict[str, Any]:
    """Read `<name>.json` of a training folder, or what a weights folder says instead.

    Raises:
        SynBTError: If it is not there, or not what a training writes.
    """
    if is_weights(folder):
        weights = load_weights(str(folder))
        networks: dict[str, _Network] = {
            "autoencoder": weights.autoencoder,
            "denoiser": weights.denoiser,
        }
        facts = {"settings": networks[name].settings.to_dict(), **weights.card.get(name, {})}
        schedule = {"schedule": dict(weights.contract.schedule)} if name == "denoiser" else {}
        return facts | schedule
    path = Path(folder) / f"{name}.json"
    if not path.exists():
        raise SynBTError(
            f"{folder} holds no {name}: {path.name} is missing. "
            f"Give the output folder of `synbt train {name}`, or a weights folder."
        )
    facts = read_json(path, f"the settings of a trained {name}")
    if "settings" not in facts:
        raise SynBTError(
            f"{path} was to be the settings of a trained {name}, but holds none. Copy it again."
        )
    return facts


def cases_seen(
    cases: Iterable[object], init: str | Path | None, name: str, resumed: Path | None = None
) -> list[str]:
    """Keys of all cases that a network has learned from, those of its start included.

    Whoever validates on one of them must know.

    Args:
        cases: What it is trained on; those without a name are left out.
        init: What it started from.
        name: `autoencoder` or `denoiser`.
        resumed: The training folder, when it goes on with an earlier run.
    """
    seen = set(case_keys(str(case.name) for case in cases if hasattr(case, "name")))
    for start in (init, resumed):
        if start is not None and is_weights(start):
            seen |= cases_of(load_weights(str(start)))
        elif start is not None and (Path(start) / f"{name}.json").exists():
            seen |= set(case_keys(map(str, read_facts(start, name).get("cases", ()))))
    return sorted(seen)


def is_weights(folder: str | Path) -> bool:
    """Whether this names weights, as `load_weights` takes them, and no training folder."""
    return is_finished(weights_folder(folder))


def load_autoencoder(folder: str | Path) -> VQVAE:
    """Load what `train_autoencoder` wrote, or the autoencoder of a weights folder, on the CPU.

    Raises:
        SynBTError: If it is not there, or damaged.
    """
    if is_weights(folder):
        return load_weights(str(folder)).autoencoder.train().requires_grad_(True)
    settings = VQVAESettings.from_dict(read_facts(folder, "autoencoder")["settings"])
    return load_network(lambda: VQVAE(settings), Path(folder) / "autoencoder.safetensors")


def load_denoiser(folder: str | Path) -> Denoiser:
    """Load what `train_denoiser` wrote, or the denoiser of a weights folder, on the CPU.

    Raises:
        SynBTError: If it is not there, or damaged.
    """
    if is_weights(folder):
        return load_weights(str(folder)).denoiser.train().requires_grad_(True)
    settings = DenoiserSettings.from_dict(read_facts(folder, "denoiser")["settings"])
    return load_network(lambda: Denoiser(settings), Path(folder) / "denoiser.safetensors")


def load_network(make: Callable[[], Network], path: Path, *, device: str = "meta") -> Network:
    """Make a network and fill it from a file, once the file is known to hold it.

    Args:
        make: Makes the network.
        path: The file.
        device: Where a first one is made to compare with, as for `mismatch`.

    Raises:
        SynBTError: If the file cannot be read, or holds something else.
    """
    if told := mismatch(make, shapes_in(path), device=device):
        raise SynBTError(
            f"{path} does not fit {path.with_suffix('.json').name} beside it ({told}). Copy both "
            f"again, or train again."
        )
    network = make()
    network.load_state_dict(load_tensors(path))
    return network
