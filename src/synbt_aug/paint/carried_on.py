"""The edge of a painted body carried on into what leaves it, which no network can paint.

Strands, teeth and nodules are thinner than a latent cell. They get the smooth level of the body's
outer millimetres, and the blend with the host by their outline makes them as faint as they are
thin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.grid.mask import BLEND_HALF_WIDTH_MM, gaussian
from synbt_aug.tumor.label_shape import OUTLINE_MM, LabelShape

#: The outer part of a body whose level is carried on, in mm: not a dark core's.
_EDGE_MM = 4.0

#: Over this far the level varies, in mm.
_SIGMA_MM = 3.0

#: Weight of the whole edge's mean beside the edge nearby: it alone counts far away.
_MEAN_WEIGHT = 1e-3


def carried_on(painted: Tensor, label: LabelShape) -> Tensor:
    """Painted windows in which the body's edge goes on beyond what the network painted.

    Args:
        painted: Before the knee, shape `(B, 2, d, h, w)`.
        label: Of the tumors, on the same device.

    Returns:
        Same shape; rows without an outline of their own as they were, whatever they lie beside.
    """
    if label.outline is None:
        return painted
    edge = ((label.distance <= 0) & (label.depth <= _EDGE_MM))[:, None].to(painted.dtype)
    mean = (painted * edge).sum((2, 3, 4), True) / edge.sum((2, 3, 4), True).clamp_min(1)
    blurred = gaussian(torch.cat([painted * edge, edge], 1), _SIGMA_MM)
    level = (blurred[:, :-1] + _MEAN_WEIGHT * mean) / (blurred[:, -1:] + _MEAN_WEIGHT)
    # A network was asked for a body that is half a blend larger.
    share = (label.distance - BLEND_HALF_WIDTH_MM).clamp(0, 1)[:, None]
    # In a batch with others, a shape without an outline has its body's.
    body = label.distance.clamp(-OUTLINE_MM, OUTLINE_MM).to(label.outline.dtype)
    share = share * (label.outline != body).flatten(1).any(1).view(-1, 1, 1, 1, 1)
    return torch.where(share > 0, painted + share * (level - painted), painted)
