"""A template's own voxels, posed as its shape is: what a copied tumor is painted from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.tumor.bank import TumorBank, template_signal
from synbt_aug.tumor.placement import Pose, rasterized, rotation_and_displacement


def posed_signal(bank: TumorBank, how: Pose, diameter_mm: float, hole_margin_mm: float) -> Tensor:
    """A template's signal in the window in which `rasterize` gives its shape.

    Args:
        bank: The template's bank, with voxels.
        how: Its pose.
        diameter_mm: Equivalent-sphere diameter wanted.
        hole_margin_mm: As for `rasterize`.

    Returns:
        By `intensity.to_linear` of the template's case, float32, CPU, shape `(2, n, n, n)`; the
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
    rotation, displacement = rotation_and_displacement(how)
    n = shape.distance.shape[0]
    points = _points(shape.side, shape.first, n, displacement) @ rotation / shape.zoom
    half = torch.tensor([(length - 1) / 2 for length in signal.shape[1:]])
    return F.grid_sample(
        signal[None],
        (points / half).flip(-1)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )[0]


def _points(side: int, first: tuple[int, int, int], n: int, displacement: Tensor) -> Tensor:
    """Voxels of a window of n mm in the window of `side` mm that `mask.pose` fills.

    Returns:
        Displaced positions from that window's middle, in mm, shape `(n, n, n, 3)`. Voxels beyond
        it are its nearest ones.
    """
    shift = F.interpolate(
        displacement[None], size=(side,) * 3, mode="trilinear", align_corners=True
    )[0]
    d, h, w = (torch.arange(start, start + n).clamp(0, side - 1) for start in first)
    grid = torch.stack(torch.meshgrid(d, h, w, indexing="ij"), dim=-1)
    shift = shift[:, grid[..., 0], grid[..., 1], grid[..., 2]]
    return grid - (side - 1) / 2 + shift.movedim(0, -1)
