"""From training folders to a weights folder that paints: networks, contract, bank, card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.contract import contract_of
from synbt_aug.errors import SynBTError
from synbt_aug.networks import NoiseSchedule
from synbt_aug.train.files import load_autoencoder, load_denoiser, read_facts
from synbt_aug.train.identity import identity_of_encoder
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import Weights, save_weights


def assemble_weights(
    autoencoder: str | Path,
    denoiser: str | Path,
    bank: TumorBank,
    output: str | Path,
    *,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Put trained networks and a bank together.

    Args:
        autoencoder: Folder that `train_autoencoder` wrote.
        denoiser: Folder that `train_denoiser` wrote, trained on that autoencoder's latents.
        bank: Templates to draw from.
        output: The weights folder; `load_weights` and every host take its path.
        card: Further plain values on how it was made.

    Raises:
        SynBTError: If the denoiser was trained on quantized latents, which this contract
            does not use, or on those of another encoder.
    """
    facts = {
        "autoencoder": read_facts(autoencoder, "autoencoder"),
        "denoiser": read_facts(denoiser, "denoiser"),
    }
    if facts["denoiser"].get("quantized_latents"):
        raise SynBTError("The contract wants a denoiser of continuous latents, this one is not.")
    networks = load_autoencoder(autoencoder), load_denoiser(denoiser)
    # Written since; an encoder may have been trained on while the denoiser learned.
    learned_from = facts["denoiser"].get("encoder")
    if learned_from is not None and learned_from != identity_of_encoder(networks[0]):
        raise SynBTError(
            f"The denoiser in {denoiser} has learned the latents of another encoder than that of "
            f"{autoencoder}. Name the autoencoder that it was trained with, or train it again."
        )
    schedule = NoiseSchedule.from_dict(facts["denoiser"]["schedule"])
    training = {
        name: {k: fact[k] for k in ("preset", "training", "seed", "encoder", "cases") if k in fact}
        for name, fact in facts.items()
    }
    weights = Weights(
        name=Path(output).name,
        contract=contract_of(*networks, schedule),
        autoencoder=networks[0],
        denoiser=networks[1],
        bank=bank,
        card={**training, "templates": len(bank), **(card or {})},
    )
    return save_weights(weights, output)
