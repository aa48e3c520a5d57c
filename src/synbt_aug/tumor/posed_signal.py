"""A template's own voxels, posed as its shape is: what a copied tumor is painted from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.posing import posed_positions
from synbt_aug.tumor.bank import TumorBank, template_signal
from synbt_aug.tumor.pose import Pose, rotation_and_displacement
from synbt_aug.tumor.shape import rasterized


def posed_signal(bank: TumorBank, how: Pose, diameter_mm: float, hole_margin_mm: float) -> Tensor:
    """A template's signal in the window in which `rasterize` gives its shape.

    Args:
        bank: The template's bank, with voxels.
        how: Its pose.
        diameter_mm: Equivalent-sphere diameter wanted.
        hole_margin_mm: As for `rasterize`.

    Returns:
        By `intensity.to_linear` of the template's case, float32, CPU, shape `(2, d, h, w)`; the
        tissue at the edge of what the bank holds is repeated beyond it.

    Raises:
        SynBTError: If the bank has no voxels, or no window holds the tumor.
    """
    signal = template_signal(bank, how.template).to(torch.float32)
    shape = rasterized(bank, how, diameter_mm, hole_margin_mm)
    if shape is None:
        raise SynBTError(
            f"A copied tumor needs a window that holds it; one of {diameter_mm:.0f} mm in this "
            f"pose is too long. Ask for a smaller one."
        )
    # The pose is known in the window it was made for; the shape's own may reach beyond.
    sides = shape.distance.shape
    d, h, w = (
        slice(max(start, 0), min(start + n, shape.side))
        for start, n in zip(shape.first, sides, strict=True)
    )
    half = torch.tensor([(length - 1) / 2 for length in signal.shape[1:]]).view(3, 1, 1, 1)
    rotation, displacement = rotation_and_displacement(how)
    place = posed_positions(rotation, shape.zoom, displacement, shape.side, (d, h, w), 1 / half)
    sampled = F.grid_sample(
        signal[None],
        place.flip(0).movedim(0, -1)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    missing = [
        beyond
        for start, part, n in zip(reversed(shape.first), (w, h, d), reversed(sides), strict=True)
        for beyond in (part.start - start, start + n - part.stop)
    ]
    return F.pad(sampled, missing, mode="replicate")[0]
