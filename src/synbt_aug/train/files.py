"""What a training run leaves behind: `<name>.safetensors` beside `<name>.json`.

The JSON holds the network's settings and how it was trained, as plain values;
`synbt_aug.weights` assembles shipped sets from such folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from synbt_aug.diffusion import Denoiser, DenoiserSettings
from synbt_aug.errors import SynBTError, first_line
from synbt_aug.files import read_json, write_json, written_whole
from synbt_aug.vqvae import VQVAE, VQVAESettings
from synbt_aug.weights import SHIPPED, load_weights


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
        name: `autoencoder` or `denoiser`.
        facts: Further plain values for the JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().contiguous().cpu() for key, value in network.state_dict().items()}
    with written_whole(folder / f"{name}.safetensors") as unfinished:
        unfinished.write_bytes(save(state))  # save_file would keep it from other users
    write_json(folder / f"{name}.json", {"settings": network.settings.to_dict(), **facts})


def read_facts(folder: str | Path, name: str) -> dict[str, Any]:
    """Read `<name>.json` of a training folder, or what a weights folder says instead.

    Raises:
        SynBTError: If it is not there.
    """
    if is_weights(folder):
        weights = load_weights(str(folder))
        networks: dict[str, _Network] = {
            "autoencoder": weights.autoencoder,
            "denoiser": weights.denoiser,
        }
        return {"settings": networks[name].settings.to_dict(), **weights.card.get(name, {})}
    path = Path(folder) / f"{name}.json"
    if not path.exists():
        raise SynBTError(
            f"{folder} holds no {name}: {path.name} is missing. "
            f"Give the output folder of `synbt train {name}`, or a weights folder."
        )
    facts: dict[str, Any] = read_json(path, f"the settings of a trained {name}")
    return facts


def cases_seen(
    cases: Iterable[object], init: str | Path | None, name: str, resumed: Path | None = None
) -> list[str]:
    """Names of all cases that a network has learned from, those of its start included.

    Whoever validates on one of them must know.

    Args:
        cases: What it is trained on; those without a name are left out.
        init: What it started from.
        name: `autoencoder` or `denoiser`.
        resumed: The training folder, when it goes on with an earlier run.
    """
    seen = {str(case.name) for case in cases if hasattr(case, "name")}
    for start in (init, resumed):
        if start is not None and (is_weights(start) or (Path(start) / f"{name}.json").exists()):
            seen |= set(read_facts(start, name).get("cases", ()))
            if is_weights(start):
                weights = load_weights(str(start))
                seen |= {
                    *weights.card.get("cases", ()),
                    *(t.source for t in weights.bank.templates),
                }
    return sorted(seen)


def is_weights(folder: str | Path) -> bool:
    """Whether this names a weights folder, or the shipped weights, and no training folder."""
    return str(folder) == SHIPPED or (Path(folder) / "manifest.json").is_file()


def load_autoencoder(folder: str | Path) -> VQVAE:
    """Load what `train_autoencoder` wrote, or the autoencoder of a weights folder, on the CPU.

    Raises:
        SynBTError: If it is not there, or damaged.
    """
    if is_weights(folder):
        return load_weights(str(folder)).autoencoder.train().requires_grad_(True)
    facts = read_facts(folder, "autoencoder")
    vqvae = VQVAE(VQVAESettings.from_dict(facts["settings"]))
    _fill(vqvae, Path(folder) / "autoencoder.safetensors")
    return vqvae


def load_denoiser(folder: str | Path) -> Denoiser:
    """Load what `train_denoiser` wrote, or the denoiser of a weights folder, on the CPU.

    Raises:
        SynBTError: If it is not there, or damaged.
    """
    if is_weights(folder):
        return load_weights(str(folder)).denoiser.train().requires_grad_(True)
    facts = read_facts(folder, "denoiser")
    denoiser = Denoiser(DenoiserSettings.from_dict(facts["settings"]))
    _fill(denoiser, Path(folder) / "denoiser.safetensors")
    return denoiser


def _fill(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise SynBTError(
            f"{path} is damaged, or does not fit {path.with_suffix('.json').name} beside it "
            f"({first_line(error)}). Copy both again, or train again."
        ) from error
