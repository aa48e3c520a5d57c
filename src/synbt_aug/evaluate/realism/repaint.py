"""A real tumor painted again where it lies: by its own latent, or by any texture.

The first is what codec and blend make of a real tumor. A classifier that is shown those beside
synthetic ones cannot tell them apart by the codec's traces alone: what is left is the generator.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from synbt_aug.decide.decide import decide
from synbt_aug.decide.ground import Ground
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.networks.autoencoder import VQVAE
from synbt_aug.paint.cut import Cut
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture.diffusion import TumorInpainter
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import Synthesis
from synbt_aug.weights import Weights
from synbt_aug.write import paint_and_write, write


def inpainter_of(synthesizer: TumorSynthesizer) -> TumorInpainter:
    """The synthesizer's networks.

    Raises:
        SynBTError: If its texture has none.
    """
    if not isinstance(synthesizer.texture, TumorInpainter):
        raise SynBTError(
            f"What the codec makes of a real tumor needs the networks, which the texture "
            f"{synthesizer.texture.name!r} does without. Make the synthesizer with "
            f'texture="diffusion".'
        )
    return synthesizer.texture


def codec_of(synthesizer: TumorSynthesizer) -> VQVAE:
    """The synthesizer's codec in float32 and on its device, whatever it paints with.

    Raises:
        SynBTError: If its texture has no networks.
    """
    inpainter_of(synthesizer)
    weights = synthesizer.weights
    assert isinstance(weights, Weights)
    if synthesizer.device.type == "cpu":
        return weights.autoencoder
    return copy.deepcopy(weights.autoencoder).to(synthesizer.device)


def rebuilt(host: Host, lesion: Tensor, synthesizer: TumorSynthesizer) -> Synthesis | None:
    """A real tumor through the codec and written as a painted one is, with fresh noise.

    Args:
        host: With the tumor.
        lesion: Boolean, shape `(D, H, W)`.
        synthesizer: With the networks.

    Returns:
        The case, changed in the lesion's support only; None where no window holds it.

    Raises:
        SynBTError: If the synthesizer's texture has no networks.
    """
    inpainter = inpainter_of(synthesizer)
    with plain_torch([host.volume.image.device, synthesizer.device]):
        window = _over(host, lesion, synthesizer, inpainter, 0)
        if window is None:
            return None
        job = window.job(inpainter.hole_margin_mm).to(synthesizer.device)
        painted = inpainter.rebuild(job).to(window.linear.device)
        return write(window, painted, replaces=inpainter.replaces).result(0)


def repainted(
    host: Host,
    lesion: Tensor,
    synthesizer: TumorSynthesizer,
    *,
    seed: int,
    texture: Texture | None = None,
) -> Synthesis | None:
    """A real tumor painted anew in its place, asked for its own shape and appearance.

    Args:
        host: With the tumor.
        lesion: Boolean, shape `(D, H, W)`.
        synthesizer: Whose bank and margins count.
        seed: Of the noise.
        texture: What paints; None takes the synthesizer's.

    Returns:
        As for `rebuilt`; one attempt, whatever it looks like.
    """
    texture = texture or synthesizer.texture
    with plain_torch([host.volume.image.device, synthesizer.device]):
        window = _over(host, lesion, synthesizer, texture, seed)
        if window is None:
            return None
        tumor = window.label.distance[0] <= 0
        around = window.known[0] & ~tumor
        asked = window.asking_for(measure_appearance(window.linear[0], tumor, around=around))
        return paint_and_write(asked, texture, synthesizer.device).result(0)


def _over(
    host: Host, lesion: Tensor, synthesizer: TumorSynthesizer, texture: Texture, seed: int
) -> Cut | None:
    others = None if host.volume.tumor is None else host.volume.tumor & ~lesion
    free = Host(replace(host.volume, tumor=others), host.reference)
    margin = synthesizer.texture.hole_margin_mm
    generator = torch.Generator().manual_seed(seed)
    wish, fringe = Wish(mask=lesion), texture.replaces
    plan = decide(Ground.of(free), wish, synthesizer.bank, margin, generator, fringe=fringe)
    return None if isinstance(plan, str) else Cut.of([free], [plan])
