"""Subtraction channels: found by regression, and computed again where a tumor was painted.

A subtraction is a weighted sum of scans of its series, whatever a host has scaled each by; where
it was cut off at its smallest value, as unsigned files are, it is so above that. Both are found by
least squares over a case or a crop of it, and nothing is read from the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: What a subtraction's scans explain of it, at least.
LEAST_R2 = 0.999

#: Keeps the equations solvable where two scans are one; over their mean variance.
_RIDGE = 1e-12


@dataclass(frozen=True)
class LinearFit:
    """How a channel follows from the scans of its series.

    Args:
        weights: Of each scan, float64, shape `(S,)`.
        start: Constant part, shape `()`.
        r2: Explained share of the variance, shape `()`.
        floor: Smallest value of the channel, at which it may be cut off, shape `()`.
    """

    weights: Tensor
    start: Tensor
    r2: Tensor
    floor: Tensor

    @property
    def holds(self) -> bool:
        """Whether it is a subtraction; read from the device."""
        return bool(self.r2 >= LEAST_R2)


def fit_channel(channel: Tensor, scans: Tensor, valid: Tensor | None = None) -> LinearFit:
    """Regress a channel on the scans of its series.

    Args:
        channel: Shape `(D, H, W)`, any scale and dtype.
        scans: Pre and post-contrast scans on the same grid, shape `(S, D, H, W)`.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`; None: all.
    """
    y, x = channel.flatten().to(torch.float64), scans.flatten(1).to(torch.float64)
    known = torch.ones_like(y) if valid is None else valid.flatten().to(torch.float64)
    floor = torch.where(known > 0, y, torch.inf).amin()
    # What was cut off says nothing about the sum.
    weight = known * (y > floor)
    count = weight.sum().clamp_min(1)
    y_mean, x_mean = (y * weight).sum() / count, (x * weight).sum(1) / count
    dy, dx = y - y_mean, x - x_mean[:, None]
    within = (dx * weight) @ dx.T / count
    across = (dx * weight) @ dy / count
    ridge = _RIDGE * within.diagonal().mean().clamp_min(1e-300)
    eye = torch.eye(len(x), dtype=torch.float64, device=x.device)
    weights = torch.linalg.solve_ex(within + ridge * eye, across).result
    left = ((dy - weights @ dx).square() * weight).sum()
    all_of_it = (dy.square() * weight).sum()
    r2 = torch.where(all_of_it > 0, 1 - left / all_of_it.clamp_min(1e-300), torch.zeros_like(left))
    return LinearFit(weights, y_mean - weights @ x_mean, r2, floor.to(channel.dtype))


def recomputed(
    channel: Tensor, fit: LinearFit, before: Tensor, after: Tensor, support: Tensor
) -> Tensor:
    """A subtraction channel after painting.

    Args:
        channel: As it was, shape `(D, H, W)`.
        fit: Of `channel` on `before`.
        before: The scans as they were, shape `(S, D, H, W)`.
        after: Painted.
        support: Voxels that may have changed, boolean, shape `(D, H, W)`; all others are bitwise
            those of `channel`.

    Returns:
        Dtype of `channel`; integers are rounded and saturated, and nothing is below `fit.floor`.
    """
    old = channel.to(torch.float64)
    change = torch.tensordot(fit.weights, after.to(torch.float64) - before.to(torch.float64), 1)
    from_nothing = fit.start + torch.tensordot(fit.weights, after.to(torch.float64), 1)
    # Where it was cut off it does not tell how far below.
    new = torch.where(channel > fit.floor, old + change, from_nothing)
    if channel.dtype.is_floating_point:
        new = new.to(channel.dtype)
    else:
        limits = torch.iinfo(channel.dtype)
        new = new.round().clamp(limits.min, limits.max).to(channel.dtype)
    return torch.where(support, torch.maximum(new, fit.floor), channel)
