"""Detail inside a painted tumor that a latent cell of 4 mm cannot hold, nodules and their rims.

What a codec leaves of a tumor varies over several millimetres alone: large tumors look like clouds
after contrast, and like plates before. In patients at 1 mm, half of what varies within a tumor does
so over less than 2 mm, in pre as much as in post; over more, it is nodules that take up contrast
each at its own level, and more at their rims, where smooth noise would be clouds again. All are
drawn here, as factors on the levels, from the tumor's own seed; the gains that follow bring the sum
to the heterogeneity that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from synbt_aug.signal.noise import normal_from
from synbt_aug.support.device import sent

#: Blurs of white noise that the detail is a sum of, in mm: of noise at every voxel, and of noise on
#: a coarser grid. The last is for pre above all: what a codec leaves of a large tumor there is a
#: plate (SD .12 of its level; in patients .18).
FINER_MM, COARSER_MM = (0.5, 1.1), (2.4, 5.0)

#: Spacing of the coarser grid, in voxels of 1 mm.
SPACING = 2

#: Root mean square of what the levels change by, by blur: in post; in pre, of what goes with post
#: and of what does not. By the slices of 101 patients, as docs/lab-book.md tells.
IN_POST = (0.045, 0.052, 0.025, 0.018)
IN_PRE_WITH_POST = (0.025, 0.05, 0.029, 0.034)
IN_PRE_ALONE = (0.02, 0.045, 0.05, 0.035)

#: Nodules lie where one of these fields of noise is the largest: their blurs in mm, unequal, for
#: nodules of one size look like a leopard's spots, and how sharply they part (inverse temperature
#: of a softmax).
NODULE_MM, PARTING = (3.0, 5.0, 4.0, 5.0, 3.0, 4.0, 5.0, 4.0), 3.0
NODULES = len(NODULE_MM)

#: SD of the levels of nodules, as a share of a tumor's own in either image; two thirds are left of
#: it, for nodules run into each other. In post it grows with the heterogeneity up to this factor.
NODULE_SD, NODULE_MOST = 0.12, 2.0

#: Borders between nodules are bright: where the largest two of the fields differ by less than so
#: much. Mean and SD of `exp(-(difference / width)^2)`, differences carried to the voxels.
RIM_WIDTH, RIM_MEAN, RIM_SD = 0.4, 0.35, 0.311

#: How bright, as SD over a tumor's level in post, and the share of it in pre; in post it grows with
#: the heterogeneity up to the third number. Each tumor has a factor: mean, SD and limits.
RIM, RIM_IN_PRE, RIM_MOST = 0.06, 0.3, 1.25
RIM_FACTOR, RIM_FACTOR_SD, RIM_FACTORS = 1.0, 0.4, (0.0, 2.0)

#: Detail is weaker in some parts than in others: SD of the logarithm of its strength, the blur of
#: the field that it follows, in mm, and what that field is cut off at, in SD: the root mean square
#: of the strength is 1 then. Even detail looks like a sponge, with less kurtosis in post than
#: patients have; without an end it is pepper where the field is highest.
PATCHINESS, PATCH_MM, PATCH_MOST = 0.45, 3.5, 0.5

#: A part of what varies over 1.1 mm in post are walls, as septa between lobules: dark sheets where
#: the field of 2.4 mm is within so many SD of its mean. Noise alone looks like sand, walls alone
#: like worms.
WALL_SHARE, WALL_WIDTH = 0.4, 0.5

#: Tumors hold dark spots of fat rather than bright ones: the share by which a level changes is
#: `(1 - exp(-p x)) / p`, x being the sum of the fields. p of the two finer blurs and of the others.
PITS = (1.0, 4.0)

#: Smallest factor of a level by the finer blurs, and by the others: darker spots before contrast
#: look like holes in the tumor.
DARKEST = 0.7

#: From this heterogeneity on there is that much detail; below it is in proportion.
TYPICAL_HETEROGENEITY = 0.15

#: Beyond it detail in post falls with this power of the heterogeneity, for the gains spread what is
#: there: uneven tumors have nodules and necrosis. With as much detail as others they look peppered.
FEWER_SPOTS = 0.5

#: Tells this noise from the denoiser's and from the scan's, of the same seed.
DETAIL_STREAM = 0xDE7A11


def detailed(painted: Tensor, heterogeneity: Tensor, starts: Tensor) -> Tensor:
    """Painted windows with detail and nodules.

    Args:
        painted: Without noise, in reference ranges above `low`, shape `(B, 2, d, h, w)`.
        heterogeneity: Asked for, shape `(B, 1)`; 0 adds nothing.
        starts: Of the noise, by `noise_starts` in `DETAIL_STREAM`, one a row; the detail of one
            tumor does not depend on its batch.

    Returns:
        Same shape.
    """
    shape, device = painted.shape[2:], painted.device
    at_voxels, coarser, for_nodules, for_rims = _noise(starts, shape)
    fine = _blurred(at_voxels, shape, FINER_MM * 2)
    coarse = _blurred(coarser, shape, (*COARSER_MM * 2, PATCH_MM), SPACING)
    strength = (PATCHINESS * coarse[:, -1:].clamp_max(PATCH_MOST)).exp()
    fine[:, 1] = math.sqrt(1 - WALL_SHARE**2) * fine[:, 1] + WALL_SHARE * walls(coarse[:, 0])
    relative = (heterogeneity / TYPICAL_HETEROGENEITY)[:, None]
    pre = relative.clamp_max(1)
    amount = torch.cat([pre, torch.minimum(pre, relative.clamp_min(1) ** -FEWER_SPOTS)], 1)
    for fields, mix, pits in zip((fine, coarse[:, :-1]), _mixes(device), PITS, strict=True):
        moved = (mix @ fields.flatten(2)) * (strength.flatten(2) * amount)
        painted = painted * pitted(moved, pits).view_as(painted)
    levels, rims = nodules(for_nodules, shape).split(1, dim=1)
    apart = torch.cat([pre, relative.clamp_max(NODULE_MOST)], 1)[..., None, None]
    bright = torch.cat([RIM_IN_PRE * pre, relative.clamp_max(RIM_MOST)], 1)[..., None, None]
    bright = bright * (RIM_FACTOR + RIM_FACTOR_SD * for_rims).clamp(*RIM_FACTORS)
    return painted * ((1 + NODULE_SD * apart * levels) * (1 + RIM * bright * rims))


def nodules(noise: Tensor, shape: Sequence[int]) -> Tensor:
    """Levels that are alike within nodules, and what is largest at the nodules' borders.

    Args:
        noise: White, on the coarser grid, shape `(B, NODULES, d', h', w')`.
        shape: Of the window.

    Returns:
        Shape `(B, 2, d, h, w)`: levels, of mean 0 and SD 1 where nodules do not run together, and
        rims, of mean 0 and SD 1.
    """
    fields = _blurred(noise, noise.shape[2:], tuple(mm / SPACING for mm in NODULE_MM))
    levels = _levels(noise.device) @ torch.softmax(PARTING * fields, dim=1).flatten(2)
    first, second = fields.topk(2, dim=1).values.split(1, dim=1)
    both = torch.cat([levels.unflatten(2, noise.shape[2:]), first - second], 1)
    d, h, w = shape
    finer = functional.interpolate(both, scale_factor=SPACING, mode="trilinear")
    # At the voxels: on the coarser grid, rims are thinner than a step, and show it as squares.
    levels, apart = finer[..., :d, :h, :w].split(1, dim=1)
    rims = (-(apart / RIM_WIDTH).square()).exp()
    return torch.cat([levels, (rims - RIM_MEAN) / RIM_SD], 1)


def pitted(moved: Tensor, pits: float) -> Tensor:
    """Factors near `1 + moved` that fall farther than they rise, any shape."""
    return (1 - torch.expm1(-pits * moved) / pits).clamp_min(DARKEST)


def walls(field: Tensor) -> Tensor:
    """Sheets at the zeros of a field of mean 0 and SD 1, likewise of mean 0 and SD 1."""
    # Of a standard normal x: the mean of exp(-(x / width)^2), and that of its square.
    mean = 1 / math.sqrt(1 + 2 / WALL_WIDTH**2)
    square = 1 / math.sqrt(1 + 4 / WALL_WIDTH**2)
    return (mean - (-(field / WALL_WIDTH).square()).exp()) / math.sqrt(square - mean**2)


def _noise(starts: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """White noise at the voxels, on the coarser grid, and there for nodules, `(B, F, d, h, w)`.

    At last one number a tumor, `(B, 1, 1, 1, 1)`, for how bright rims are.
    """
    coarser = tuple(-(-n // SPACING) for n in shape)
    counts = 2 * len(FINER_MM), 2 * len(COARSER_MM) + 1, NODULES
    sizes = [(n, *grid) for n, grid in zip(counts, (shape, coarser, coarser), strict=True)]
    sizes.append((1, 1, 1, 1))
    numbers = [math.prod(size) for size in sizes]
    parts = normal_from(starts, (sum(numbers),)).split(numbers, dim=1)
    return [part.view(-1, *size) for part, size in zip(parts, sizes, strict=True)]


def _blurred(
    noise: Tensor, shape: Sequence[int], sigmas: tuple[float, ...], spacing: int = 1
) -> Tensor:
    """White noise on a grid of this spacing, blurred, at the voxels of a window: of SD 1 there.

    Args:
        noise: Shape `(B, F, d', h', w')`.
        shape: Of the window.
        sigmas: In voxels, one a field or one for all.
        spacing: In voxels.

    Returns:
        Shape `(B, F, d, h, w)`.
    """
    along_d, along_h, along_w = (_blurs(n, sigmas, spacing, noise.device) for n in shape)
    planes = along_h[:, None] @ (noise @ along_w[:, None].transpose(-1, -2))
    return (along_d @ planes.flatten(3)).unflatten(3, tuple(shape[1:]))


@lru_cache(maxsize=256)
def _blurs(length: int, sigmas: tuple[float, ...], spacing: int, device: torch.device) -> Tensor:
    """Blurs along one axis that leave white noise an SD of 1, shape `(F, length, length')`."""
    at = torch.arange(length) + 0.5
    noise_at = (torch.arange(-(-length // spacing)) + 0.5) * spacing
    steps = (at[:, None] - noise_at) / torch.tensor(sigmas)[:, None, None]
    blur = (-0.5 * steps.square()).exp()
    return sent(blur / blur.square().sum(-1, keepdim=True).sqrt(), device)


@lru_cache(maxsize=4)
def _mixes(device: torch.device) -> Tensor:
    """Weights of the fields in pre and post, of the finer blurs and of the others: `(2, 2, F)`."""
    with_post, alone, post = map(torch.tensor, (IN_PRE_WITH_POST, IN_PRE_ALONE, IN_POST))
    every = torch.stack([torch.stack([with_post, alone]), torch.stack([post, 0 * post])])
    # (pre or post, with post or alone, blur): blurs in two halves, each of a field's two kinds.
    return sent(torch.stack([half.flatten(1) for half in every.chunk(2, dim=2)]), device)


@lru_cache(maxsize=4)
def _levels(device: torch.device) -> Tensor:
    """Of the nodules, evenly spaced, of mean 0 and SD 1, shape `(1, NODULES)`."""
    levels = torch.linspace(-1, 1, NODULES)
    return sent((levels / levels.square().mean().sqrt())[None], device)
