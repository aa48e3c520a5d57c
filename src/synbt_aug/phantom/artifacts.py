"""What disturbs a scan: displacement, ripples, ghosts along an axis, noise that differs by place.

Functions of images on the phantom's grid; only `noise_map` draws anything.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.texture import Randomness

# Noise differs by place: it is amplified where coils are far and lines of k-space were left out.
# SD over the field as a share of its mean, size of what varies in mm, the logarithm of how much
# more there is 60 mm deep, and SD in air over that in the breast (median, sigma, range). In
# subtractions of patients the finest texture of air is .28 of that of fat (.19 to .33 in half of
# them); noise of one level would leave .6.
NOISE_VARIES, NOISE_CELL_MM, NOISE_DEEP = (0.03, 0.2), 45.0, (0.0, 0.5)
AIR_NOISE = (0.46, 0.35, (0.12, 1.0))


def catmull_rom(part: float) -> tuple[float, float, float, float]:
    """Weights of the four samples around a point `part` of the way from the second to the third.

    Source:
        Keys, IEEE Trans ASSP 29:1153 (1981), cubic convolution with a = -1/2.
    """
    p, p2, p3 = part, part**2, part**3
    return (
        (-p3 + 2 * p2 - p) / 2,
        (3 * p3 - 5 * p2 + 2) / 2,
        (-3 * p3 + 4 * p2 + p) / 2,
        (p3 - p2) / 2,
    )


def displaced(image: Tensor, dim: int, voxels: Tensor) -> Tensor:
    """Read an image beside each voxel, along one axis.

    Args:
        image: Shape `(X, Y, Z)`.
        dim: The axis.
        voxels: How far, same shape; read by parabolas through three neighbours, which are good up
            to 1 voxel, and in several steps beyond.
    """
    steps = max(1, math.ceil(float(voxels.abs().max())))
    part = voxels / steps
    for _ in range(steps):
        n = image.shape[dim]
        ends = (image.narrow(dim, 0, 1), image, image.narrow(dim, n - 1, 1))
        padded = torch.cat(ends, dim)
        before, after = padded.narrow(dim, 0, n), padded.narrow(dim, 2, n)
        # image + part * (slope + part * bend), twice slope and bend, in few passes of memory.
        slope = after - before
        bend = (after + before).sub_(image, alpha=2)
        image = torch.addcmul(image, part, bend.mul_(part).add_(slope), value=0.5)
    return image


def ripples(image: Tensor, *, dim: int, crest_voxels: float, reach_crests: float) -> Tensor:
    """Copies of an image's edges, a crest apart and fading, along one axis; even parts give 0.

    Args:
        image: Shape `(X, Y, Z)`.
        dim: The axis, that of the phase encoding.
        crest_voxels: From one copy to the next.
        reach_crests: After how many crests they have faded to 1 / e.
    """
    count = image.shape[dim]
    off = (torch.arange(count)[:, None] - torch.arange(count)).abs() / crest_voxels
    wave = torch.cos(2 * math.pi * off) * torch.exp(-off / reach_crests)
    wave -= torch.eye(count) * wave.sum(dim=1, keepdim=True)
    return torch.movedim(torch.tensordot(wave, image, dims=([1], [dim])), 0, dim)


def smeared(image: Tensor, dim: int, pattern: Tensor) -> Tensor:
    """What an image holds along one axis, spread over it in a pattern.

    Args:
        image: Shape `(X, Y, Z)`.
        dim: The axis.
        pattern: Share at each voxel of the sum along its line, same shape.
    """
    return pattern * image.sum(dim=dim, keepdim=True)


def noise_map(anatomy: Anatomy, rnd: Randomness) -> Tensor:
    """SD of the noise by place, over its root mean square in the breast; shape of the grid."""
    grid, torso = anatomy.torso.grid, anatomy.torso
    varies = rnd.uniform(*NOISE_VARIES) * grid.smooth_noise(NOISE_CELL_MM, generator=rnd.fields)
    deep = rnd.uniform(*NOISE_DEEP) * (torso.skin_depth.clamp_min(0) / 60).clamp_max(1.2)
    within = torch.exp(varies + deep)
    air = rnd.lognormal(*AIR_NOISE)
    # The reconstruction's masks and the coils' maps reach a little beyond the skin.
    inside = torch.sigmoid((torso.skin_depth + 1.5) / 0.8)
    noise = within.mul_(air + (1 - air) * inside)
    breast = noise[anatomy.breast]
    return noise / max(float(breast.square().mean().sqrt()), 1e-6) if len(breast) else noise
