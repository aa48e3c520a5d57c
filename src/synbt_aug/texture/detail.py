"""Detail inside a painted tumor that a latent cell of 4 mm cannot hold.

What a codec leaves of a tumor varies over several millimetres alone: large tumors look like clouds
after contrast, and like plates before. In patients at 1 mm, half of what varies within a tumor does
so over less than 2 mm, in pre as much as in post. It is drawn here, as factors on the levels, from
the tumor's own seed; the gains that follow bring the sum to the heterogeneity that was asked for.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from synbt_aug.grid.mask import averaging_matrix
from synbt_aug.signal.noise import normal_from
from synbt_aug.support.device import sent

#: Blurs of white noise that the detail is a sum of, in mm. The coarse one is for pre above all:
#: what a codec leaves of a large tumor there is a plate (SD .12 of its level; in patients .18).
SIGMAS_MM = (0.5, 1.1, 2.4, 5.0)

#: Root mean square of what the levels change by, by blur: in post; in pre, of what goes with post
#: and of what does not. By the slices of 101 patients, as docs/lab-book.md tells.
IN_POST = (0.055, 0.075, 0.07, 0.05)
IN_PRE_WITH_POST = (0.025, 0.05, 0.06, 0.07)
IN_PRE_ALONE = (0.02, 0.045, 0.05, 0.035)

#: Detail is stronger in some parts than in others: SD of the logarithm of its strength, and the
#: blur of the field that it follows, in mm. Even detail looks like a sponge, with less
#: kurtosis in post than patients have; much stronger patches look like pepper.
PATCHINESS, PATCH_MM = 0.45, 3.5

#: A part of what varies over 1.1 mm in post are walls, as septa between lobules: dark sheets where
#: the field of 2.4 mm is within so many SD of its mean. Noise alone looks like sand, walls alone
#: like worms.
WALL_SHARE, WALL_WIDTH = 0.4, 0.5

#: Tumors hold dark spots of fat rather than bright ones: the share by which a level changes is
#: `(1 - exp(-p x)) / p`, x being the sum of the fields. p of the two finer blurs and of the others.
PITS = (1.0, 4.0)

#: Smallest factor of a level, of either: darker spots before contrast look like holes in the tumor.
DARKEST = 0.7

#: From this heterogeneity on there is that much detail; below it is in proportion.
TYPICAL_HETEROGENEITY = 0.15

#: Tells this noise from the denoiser's and from the scan's, of the same seed.
DETAIL_STREAM = 0xDE7A11


def detailed(painted: Tensor, heterogeneity: Tensor, starts: Tensor) -> Tensor:
    """Painted windows with detail.

    Args:
        painted: Without noise, in reference ranges above `low`, shape `(B, 2, d, h, w)`.
        heterogeneity: Asked for, shape `(B, 1)`; 0 adds nothing.
        starts: Of the noise, by `noise_starts` in `DETAIL_STREAM`, one a row; the detail of one
            tumor does not depend on its batch.

    Returns:
        Same shape.
    """
    shape, device = painted.shape[2:], painted.device
    count = 2 * len(SIGMAS_MM)
    white = normal_from(starts, (count + 1, *shape))
    along_d, along_h, along_w = (_blurs(n, device) for n in shape)
    fields = along_h[:, None] @ (white @ along_w[:, None].transpose(-1, -2))
    fields = (along_d @ fields.flatten(3)).unflatten(3, shape[1:])
    fields = fields.flatten(2)
    fields[:, 1] = math.sqrt(1 - WALL_SHARE**2) * fields[:, 1] + WALL_SHARE * walls(fields[:, 2])
    strength = (PATCHINESS * fields[:, count:] - PATCHINESS**2).exp()
    amount = (heterogeneity / TYPICAL_HETEROGENEITY).clamp(0, 1)
    for mix, pits in zip(_mixes(device), PITS, strict=True):
        moved = (mix @ fields[:, :count]) * (strength * amount[:, None])
        painted = painted * pitted(moved, pits).view_as(painted)
    return painted


def pitted(moved: Tensor, pits: float) -> Tensor:
    """Factors near `1 + moved` that fall farther than they rise, any shape."""
    return (1 - torch.expm1(-pits * moved) / pits).clamp_min(DARKEST)


def walls(field: Tensor) -> Tensor:
    """Sheets at the zeros of a field of mean 0 and SD 1, likewise of mean 0 and SD 1."""
    # Of a standard normal x: the mean of exp(-(x / width)^2), and that of its square.
    mean = 1 / math.sqrt(1 + 2 / WALL_WIDTH**2)
    square = 1 / math.sqrt(1 + 4 / WALL_WIDTH**2)
    return (mean - (-(field / WALL_WIDTH).square()).exp()) / math.sqrt(square - mean**2)


@lru_cache(maxsize=64)
def _blurs(length: int, device: torch.device) -> Tensor:
    """Blurs along one axis that keep the SD of white noise, one a field, shape `(F, n, n)`."""
    rows = []
    for sigma in (*SIGMAS_MM, *SIGMAS_MM, PATCH_MM):
        blur = averaging_matrix(length, sigma)
        rows.append(blur / blur.square().sum(1, keepdim=True).sqrt())
    return sent(torch.stack(rows), device)


@lru_cache(maxsize=4)
def _mixes(device: torch.device) -> Tensor:
    """Weights of the fields in pre and post, of the finer blurs and of the others: `(2, 2, F)`."""
    none = (0.0,) * len(SIGMAS_MM)
    every = torch.tensor([IN_PRE_WITH_POST + IN_PRE_ALONE, IN_POST + none])
    finer = (torch.arange(2 * len(SIGMAS_MM)) % len(SIGMAS_MM) < 2).to(every.dtype)
    return sent(torch.stack([every * finer, every * (1 - finer)]), device)
