"""What a painted pair shows in the other post-contrast scans of its series.

Every further scan is a mix of the painted pre and post, `start + a pre + b post`, in linear units.
A tumor, or a benign thing, follows its kinetic curve: b is the fraction of its enhancement that
this scan shows, uneven by a few percent as tumors are, and a = 1 - b. What is painted as ordinary
tissue (null paints, removals) takes the mix that the tissue around it has. Where the texture adds a
change, the same mix is applied to the change.

Pure functions of tensors; nothing is read from the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import gaussian
from synbt_aug.grid.window import Window, to_region
from synbt_aug.signal.noise import noise_starts, normal_from

#: How uneven a curve is inside a tumor: SD of the fraction, and the width of what varies, in mm.
#: In the tumor of one real scan .06 to .07 at this width, the same pattern in all phases.
UNEVEN_SD, UNEVEN_MM = 0.05, 1.5

#: Random numbers of the unevenness and of the phases' noise, apart from all others of a tumor.
_UNEVEN_STREAM = 0x0DD5
NOISE_STREAM = 0xFA5E5

#: Pull towards "as in post" where tissue is too scarce or too even to tell; variance of ordinary
#: tissue in linear units is .05 to .3.
_RIDGE = 1e-3


@dataclass(frozen=True)
class Mix:
    """How each of P further scans follows from the pair.

    Args:
        start: Constant part, shape `(B, P, 1, 1, 1)`.
        of_pre: Share of pre, shape `(B, P, m, n, o)` or with sides of 1.
        of_post: Share of post, likewise.
    """

    start: Tensor
    of_pre: Tensor
    of_post: Tensor

    def of(self, pair: Tensor) -> Tensor:
        """The further scans, linear, of a pair of shape `(B, 2, m, n, o)`."""
        return self.start + self.change(pair)

    def change(self, pair: Tensor) -> Tensor:
        """By how much they change where the pair changes so much."""
        return self.of_pre * pair[:, :1] + self.of_post * pair[:, 1:2]


class Curves(NamedTuple):
    """The curves of B things, as tensors.

    Args:
        fractions: What each further scan shows of the enhancement, shape `(B, P)`; None: nothing
            has a curve.
        follows: Which have one, boolean, shape `(B,)`; None: all.
        starts: Of the unevenness, by `noise_starts`, `(B, 1)`.
    """

    fractions: Tensor | None = None
    follows: Tensor | None = None
    starts: Tensor | None = None

    @classmethod
    def of(cls, plans: Sequence[Plan], count: int) -> Curves:
        """Those of recipes, on the CPU.

        Args:
            plans: Each recipe of a tumor or a distractor has a curve.
            count: P, the number of fractions of each.
        """
        curves = [plan.recipe.curve for plan in plans]
        if count == 0 or all(curve is None for curve in curves):
            return cls()
        listed = [[1.0] * count if c is None else list(c.fractions) for c in curves]
        has_curve = torch.tensor([curve is not None for curve in curves])
        seeds = [plan.recipe.noise_seed for plan in plans]
        follows = None if bool(has_curve.all()) else has_curve
        return cls(torch.tensor(listed), follows, noise_starts(seeds, _UNEVEN_STREAM))


def mix_for(curves: Curves, window: Window, linear: Tensor, around: Tensor) -> Mix:
    """The mix of each window of a batch.

    Args:
        curves: Of the batch.
        window: Any one of its shape and spacing.
        linear: The hosts under the windows, all channels, shape `(B, 2 + P, m, n, o)`.
        around: Ordinary tissue outside the holes, boolean, shape `(B, m, n, o)`.
    """
    if curves.fractions is None or curves.starts is None:
        return _ordinary(linear, around)
    fractions = curves.fractions[..., None, None, None]
    of_post = fractions + UNEVEN_SD * _uneven(curves.starts, window)
    start = torch.zeros_like(fractions)
    if curves.follows is None:
        return Mix(start, 1 - of_post, of_post)
    follows = curves.follows.view(-1, 1, 1, 1, 1)
    plain = _ordinary(linear, around)
    return Mix(
        torch.where(follows, start, plain.start),
        torch.where(follows, 1 - of_post, plain.of_pre),
        torch.where(follows, of_post, plain.of_post),
    )


def _uneven(starts: Tensor, window: Window) -> Tensor:
    """A smooth field of SD 1 a window, on the hosts' grid, shape `(B, 1, m, n, o)`."""
    smooth = gaussian(normal_from(starts, (1, *window.shape)), UNEVEN_MM)
    spread = smooth.flatten(1).std(-1, unbiased=False).clamp_min(1e-6)
    return to_region(smooth / spread.view(-1, 1, 1, 1, 1), window)


def _ordinary(linear: Tensor, around: Tensor) -> Mix:
    """Each further scan regressed on pre and post over the tissue around the holes."""
    weight = around[:, None].to(linear.dtype)
    count = weight.flatten(2).sum(-1).clamp_min(1)  # (B, 1)

    def centred(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (x * weight).flatten(2).sum(-1) / count
        return mean, ((x - mean[..., None, None, None]) * weight).flatten(2)

    pair, further = linear[:, :2], linear[:, 2:]
    # What a phase differs from post by: without tissue to tell, by nothing.
    mean_pair, x = centred(pair)
    mean_rest, y = centred(further - pair[:, 1:])
    within = x @ x.transpose(1, 2) / count[..., None]  # (B, 2, 2)
    across = y @ x.transpose(1, 2) / count[..., None]  # (B, P, 2)
    pre, post = within[:, 0, 0] + _RIDGE, within[:, 1, 1] + _RIDGE
    both = within[:, 0, 1]
    scale = 1 / (pre * post - both.square())
    a = (across[..., 0] * post[:, None] - across[..., 1] * both[:, None]) * scale[:, None]
    b = (across[..., 1] * pre[:, None] - across[..., 0] * both[:, None]) * scale[:, None]
    start = mean_rest - a * mean_pair[:, :1] - b * mean_pair[:, 1:]
    return Mix(*(t[..., None, None, None] for t in (start, a, 1 + b)))
