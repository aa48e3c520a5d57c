"""A texture by its name: with what it needs of the weights and of the bank, and no more."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.support.graphs import Runs, launch_by_launch
from synbt_aug.support.number import check_number, check_whole
from synbt_aug.texture.analytic import SynTumor
from synbt_aug.texture.copy_paste import CopyPaste
from synbt_aug.texture.diffusion import TumorInpainter
from synbt_aug.texture.job import Texture
from synbt_aug.texture.names import MAX_GUIDANCE, MAX_STEPS, check_texture
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import Weights, WithoutNetworks, load_weights, load_without_networks


def load_for(
    texture: str | Texture, weights: str | Path | Weights | WithoutNetworks
) -> Weights | WithoutNetworks:
    """The weights as far as a texture needs them.

    Raises:
        SynBTError: If there is no such texture, or the weights cannot be loaded.
    """
    if isinstance(texture, str):
        check_texture(texture)
    if isinstance(weights, (Weights, WithoutNetworks)):
        return weights
    return load_weights(weights) if texture == "diffusion" else load_without_networks(weights)


def make_texture(
    name: str,
    weights: Weights | WithoutNetworks,
    device: torch.device,
    *,
    steps: int,
    guidance: float,
    precision: str,
    runs: Runs = launch_by_launch,
) -> Texture:
    """A texture by its name.

    Args:
        name: One of `TEXTURES`.
        weights: With networks for "diffusion".
        device: Where the networks run.
        steps: Of "diffusion", like the next two.
        guidance: As for `TumorInpainter`.
        precision: Likewise.
        runs: Likewise.

    Raises:
        SynBTError: If there is no such texture, or its networks or settings are not fit.
    """
    margin = weights.contract.hole_margin_mm
    # Asked of every texture, so that a slip does not wait for the day it matters.
    check_whole("steps", steps, 1, MAX_STEPS)
    check_number("guidance", guidance, 0, MAX_GUIDANCE)
    if check_texture(name) == SynTumor.name:
        return SynTumor(hole_margin_mm=margin)
    if name == CopyPaste.name:
        return CopyPaste(hole_margin_mm=margin)
    if not isinstance(weights, Weights):
        raise SynBTError(
            f"The texture 'diffusion' needs the networks of the weights {weights.name!r}, which "
            f"were loaded without. Load them with load_weights."
        )
    autoencoder, denoiser = weights.autoencoder, weights.denoiser
    if device.type != "cpu":
        # Copies: the loaded weights may serve a synthesizer on another device, too.
        autoencoder, denoiser = copy.deepcopy(autoencoder), copy.deepcopy(denoiser)
    return TumorInpainter(
        autoencoder.to(device),
        denoiser.to(device),
        weights.schedule,
        hole_margin_mm=margin,
        steps=steps,
        guidance=guidance,
        precision=precision,
        runs=runs,
    )


def texture_of_recipe(texture: Texture, recipe: object) -> Texture:
    """A texture as a recipe needs it, as far as the texture's own settings leave that open.

    Args:
        texture: To replay with.
        recipe: As `Synthesis.recipe`; whatever it lacks is told when it is replayed.
    """
    recorded = recipe.get("texture") if isinstance(recipe, Mapping) else None
    if isinstance(texture, TumorInpainter) and isinstance(recorded, Mapping):
        return texture.for_recipe(recorded)
    return texture


def refuse_shapes_only(bank: TumorBank, name: str | Path | None = None) -> None:
    """See that a bank has the voxels that a texture is to paste.

    Args:
        bank: To paste from.
        name: What the user called it, for the error.

    Raises:
        SynBTError: If it has none.
    """
    if bank.has_signal:
        return
    which = "that was passed" if name is None else f"{str(name)!r}"
    raise SynBTError(
        f"The texture 'copy_paste' pastes the voxels of real tumors, but the bank {which} holds "
        f"shapes only. Build one with `synbt bank build DATASET` and pass it as the bank."
    )
