"""Copy and paste: a real tumor's voxels, carried over to a new place by their contrast.

What is pasted is not the voxels' level, which belongs to their own case, but their contrast to
the shell of tissue that they came from, on the smooth continuation of the tissue around the new
place. References make the two cases' units one; grain finer than a millimetre is the new host's
own, so that neither scan's noise gives the tumor away.

Of an `Appearance` it meets `enhancement` in the mean, by scaling the contrast in post by .25 to 4
and adding what is then missing; heterogeneity, rim, pre-contrast and category are those of the
tumor that is pasted.

Null paints leave the tissue as it is; removals fill the hole smoothly from the tissue around, with
grain from there.

Source:
    Yang et al., "TumorCP", MICCAI 2021; Zhang et al., "CarveMix", NeuroImage 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import gaussian
from synbt_aug.signal.hole import fill_hole
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.texture.job import PaintingJob
from synbt_aug.texture.local import (
    GRAIN_SIGMA_MM,
    Surroundings,
    grain_of,
    level_of,
    linear_of,
    painted_away,
    smoothed,
)
from synbt_aug.tumor.appearance import Appearance

#: A pasted tumor is smoothed by this much, in mm: finer detail would bring its scan's noise along.
_DETAIL_MM = 0.6

#: Voxels less deep in the tumor than this, in mm, are half tissue: what lies deeper is drawn out.
_SKIN_MM = 1.5

#: How far the contrast in post is scaled for a wish.
_SCALE = (0.25, 4.0)

#: Width of the soft edge, in mm, beside the blend's own.
_EDGE_MM = 0.7

#: Darkest that a pasted tumor may be, over the signal around it.
_DARKEST = 0.5


class CopyPaste:
    """Pastes the bank's tumors.

    Args:
        hole_margin_mm: Dilation of the label that gives the hole.
    """

    name = "copy_paste"
    replaces = False
    needs_signal = True

    def __init__(self, *, hole_margin_mm: float) -> None:
        self.hole_margin_mm = hole_margin_mm

    def recipe(self) -> dict[str, object]:
        """Settings that the painted voxels depend on."""
        return {"name": self.name, "hole_margin_mm": self.hole_margin_mm}

    @torch.no_grad()
    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint; see `Texture`.

        Raises:
            SynBTError: If a tumor comes without its signal.
        """
        painted = inverse_knee(job.q)
        removes = job.removes or (False,) * len(job)
        for row, (wish, away) in enumerate(zip(job.appearance, removes, strict=True)):
            level, known, hole = level_of(painted[row]), job.known[row], job.hole[row]
            if bool(job.mask[row].any()):
                if job.signal is None:
                    raise SynBTError(
                        "CopyPaste needs the signal of the tumor to paste: pass PaintingJob.signal."
                    )
                source = level_of(job.signal[row].to(torch.float32))
                new = _pasted(level, source, job.mask[row], hole, known, wish)
                painted[row] = linear_of(new)
            elif away:
                painted[row] = linear_of(painted_away(level, hole, known))
        return painted


def _pasted(
    level: Tensor, source: Tensor, mask: Tensor, hole: Tensor, known: Tensor, wish: Appearance
) -> Tensor:
    """One tumor: levels of one window, shape `(2, d, h, w)`."""
    place = Surroundings(mask, known)
    around = place.mean_around(level)[:, None, None, None]
    theirs = Surroundings(mask, torch.ones_like(known)).mean_around(source)
    contrast = _drawn_out(source, mask, place.depth) - theirs[:, None, None, None]
    ground = fill_hole(level[None], (hole | mask)[None], known[None])[0]
    # The mean of the fill is the shell's, so that the contrast is to the shell, too.
    ground = ground + around - ground[:, place.label].mean(1)[:, None, None, None]
    edge = gaussian(mask.to(torch.float32), _EDGE_MM)
    # A tumor from bright fat, dark beside it, must not become a hole in dim fat.
    darkest = _DARKEST * around
    grain = grain_of(level)
    if wish.enhancement is not None:
        # What the label shows after the blend is what was asked for.
        share = (place.weight * edge)[place.label]
        bare = level[1][place.label]
        bare = bare + share * ((ground + grain)[1][place.label] - bare)
        missing = float(around[1]) + wish.enhancement - float(bare.mean())
        gives = float((share * contrast[1][place.label]).mean())
        scale = missing / gives if abs(gives) > 1e-3 else 1.0
        scale = min(max(scale, _SCALE[0]), _SCALE[1])
        # What scaling cannot give is added: a tumor no brighter than the fat it came from.
        rest = (missing - scale * gives) / float(share.mean())
        contrast[1] = contrast[1] * scale + rest
    new = torch.maximum(ground + contrast, darkest) + grain
    return level + edge * (new - level)


def _drawn_out(source: Tensor, mask: Tensor, depth: Tensor) -> Tensor:
    """The tumor's own signal up to the mask's surface, without what blurs into the tissue."""
    inner = depth >= 1.0 + _SKIN_MM
    if int(inner.sum()) < 30:
        inner = depth >= 1.0
    if not bool(inner.any()):
        inner = mask
    outer = smoothed(source, 2.0, inner)
    detail = smoothed(source, _DETAIL_MM)
    # Over a millimetre from one to the other: a step would show as a ring.
    share = smoothed(inner[None].to(torch.float32), GRAIN_SIGMA_MM)[0].clamp(0, 1)
    return share * detail + (1 - share) * outer
