"""A real tumor painted again where it lies: by its own latent, or by any texture.

The first is what codec and blend make of a real tumor. A classifier that is shown those beside
synthetic ones cannot tell them apart by the codec's traces alone: what is left is the generator.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.painting import Prepared, Wish, prepare
from synbt_aug.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture.diffusion import TumorInpainter
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.volume import Synthesis
from synbt_aug.writing import finish


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


def rebuilt(host: Host, lesion: Tensor, synthesizer: TumorSynthesizer) -> Synthesis | None:
    """A real tumor through encoder, codebook, decoder, grain and blend, as a painted one goes.

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
        prepared = _over(host, lesion, synthesizer, 0)
        if prepared is None:
            return None
        job = prepared.job(inpainter.hole_margin_mm).to(synthesizer.device)
        painted = inpainter.rebuild(job)[0].to(host.volume.image.device)
        return finish(prepared, painted)


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
        prepared = _over(host, lesion, synthesizer, seed)
        if prepared is None:
            return None
        tumor = prepared.distance <= 0
        wish = measure_appearance(prepared.linear, tumor, around=prepared.known & ~tumor)
        asked = replace(prepared, recipe=replace(prepared.recipe, appearance=wish))
        painted = texture(asked.job(texture.hole_margin_mm).to(synthesizer.device))[0]
        return finish(asked, painted.to(host.volume.image.device))


def _over(host: Host, lesion: Tensor, synthesizer: TumorSynthesizer, seed: int) -> Prepared | None:
    others = None if host.volume.tumor is None else host.volume.tumor & ~lesion
    free = Host(replace(host.volume, tumor=others), host.reference)
    margin = synthesizer.texture.hole_margin_mm
    generator = torch.Generator().manual_seed(seed)
    found = prepare(free, Wish(mask=lesion), synthesizer.bank, margin, generator)
    return None if isinstance(found, str) else found
