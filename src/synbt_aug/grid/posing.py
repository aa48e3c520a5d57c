"""How a template comes to lie in a window: turned, flipped, zoomed and bent.

Pure tensor functions. What is random arrives as numbers (a rotation, a displacement); drawing them
is `tumor/placement.py`'s.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.grid.mask import Box, separable


def rotation_matrix(quaternion: Tensor) -> Tensor:
    """Rotation of a unit quaternion (w, x, y, z), shape `(4,)` -> `(3, 3)`, float32."""
    w, x, y, z = (quaternion / quaternion.norm()).tolist()
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose(
    template_distance: Tensor,
    rotation: Tensor,
    zoom: float,
    displacement: Tensor,
    side: int,
    box: Box | None = None,
    grow: bool = True,
    known: Tensor | None = None,
) -> Tensor:
    """Place a template in the middle of a window: flip and rotate, zoom, deform.

    Args:
        template_distance: The template's signed distance, shape `(a, b, c)` at 1 mm, in mm.
        rotation: Orthogonal, shape `(3, 3)`; determinant -1 for a flip.
        zoom: Size of the tumor over that of the template.
        displacement: Elastic displacement in mm on a coarse grid, shape `(3, k, k, k)`.
        side: The window's side, in voxels of 1 mm.
        box: Part of the window that is wanted, or every so many voxels of it; None is all.
        grow: Outside the template's box the distance goes on growing, so that edge padding makes
            no walls. Who looks only at the surface can do without.
        known: Distances that are known well enough, of the shape that is returned; NaN where they
            are to be found (`grow` has no say then). None: all are.

    Returns:
        Signed distance in the window or its part, float32, in mm (approximate where the elastic
        part stretches).
    """
    half = [max((n - 1) / 2, 0.5) for n in template_distance.shape]
    scale = (1 / torch.tensor(half, device=template_distance.device)).view(3, 1, 1, 1)
    place = posed_positions(rotation, zoom, displacement, side, box, scale)
    if known is not None:
        wanted = known.isnan()
        found = _sampled(template_distance, place[:, wanted][:, None, None])
        return known.masked_scatter(wanted, found.flatten() * zoom)
    sampled = _sampled(template_distance, place)
    if grow:
        past = place.abs_().sub_(1).clamp_(min=0).div_(scale)
        sampled += past.square_().sum(dim=0).sqrt_()
    return sampled.mul_(zoom)


def _sampled(volume: Tensor, place: Tensor) -> Tensor:
    """A volume at positions in [-1, 1] along its axes, shape `(3, d, h, w)` -> `(d, h, w)`."""
    return F.grid_sample(
        volume[None, None],
        place.flip(0).movedim(0, -1)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )[0, 0]


def posed_positions(
    rotation: Tensor,
    zoom: float,
    displacement: Tensor,
    side: int,
    box: Box | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """Where in a template the voxels of a window lie; arguments as for `pose`.

    Returns:
        Positions from the template's middle along its axes, in mm, times `scale`, shape
        `(3, d, h, w)`, on the device of `scale`.
    """
    scale = torch.ones(3, 1, 1, 1) if scale is None else scale
    points = displacement.shape[1]
    nodes = torch.linspace(-(side - 1) / 2, (side - 1) / 2, points)
    there = torch.stack(torch.meshgrid(nodes, nodes, nodes, indexing="ij")) + displacement.cpu()
    # All of it is linear between the nodes: turned there, it is interpolated once.
    turned = (rotation.cpu().to(torch.float32).T @ there.flatten(1) / zoom).view_as(there)
    parts = box or (slice(0, side),) * 3
    d, h, w = (_between(points, side, part).to(scale.device) for part in parts)
    return separable(turned.to(scale.device) * scale, (d, h, w))


def _between(points: int, side: int, part: slice) -> Tensor:
    """Linear interpolation from `points` nodes over a side of a window to its voxels."""
    voxels = torch.arange(part.start, part.stop, part.step or 1, dtype=torch.float32)
    at = voxels * ((points - 1) / (side - 1))
    return (1 - (at[:, None] - torch.arange(points)[None, :]).abs()).clamp_min(0)
