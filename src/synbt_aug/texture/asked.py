"""A painting job of the networks as tensors alone: what a stage of `TumorInpainter` takes.

What recipes say becomes tensors on the CPU, which are sent together. So the launches of a job
depend on the shapes of its windows, and on whether any of them has a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from synbt_aug.signal.noise import noise_starts
from synbt_aug.texture.detail import DETAIL_STREAM
from synbt_aug.texture.gains import Request
from synbt_aug.texture.job import PaintingJob
from synbt_aug.tumor.visibility import blurs_of

#: Voxels along each face of a window that no tumor is measured on: the hole lies 12 mm inside, and
#: 7 mm around the label hold all that is measured.
_UNMEASURED_MM = 8
_INNER = slice(_UNMEASURED_MM, -_UNMEASURED_MM)

#: The part of windows `(..., d, h, w)` that tumors are measured on.
MIDDLE = (..., _INNER, _INNER, _INNER)


class Asked(NamedTuple):
    """What the networks paint in B windows.

    Args:
        q, mask, hole, known: As in `PaintingJob`.
        described: What the denoiser is told, by `PaintingJob.appearance_inputs`, `(B, 7)`.
        described_known: Likewise.
        starts: Of the denoiser's noise, by `noise_starts`, `(B, 1)`.
    """

    q: Tensor
    mask: Tensor
    hole: Tensor
    known: Tensor
    described: Tensor
    described_known: Tensor
    starts: Tensor


class AskedOfGains(NamedTuple):
    """What the gains take besides.

    Args:
        distance, depth: As in `LabelShape`.
        has_label: Which windows have one, boolean, `(B,)`.
        outline: As in `LabelShape`; empty where shapes have none of their own, on the CPU.
        values, asked: As in `gains.Request`.
        starts: Of the detail's noise, `(B, 1)`.
        blur_d, blur_h, blur_w: By `visibility.blurs_of`, of the windows' `MIDDLE`.
    """

    distance: Tensor
    depth: Tensor
    has_label: Tensor
    outline: Tensor
    values: Tensor
    asked: Tensor
    starts: Tensor
    blur_d: Tensor
    blur_h: Tensor
    blur_w: Tensor


def tensors_of(job: PaintingJob, *, corrects: bool) -> tuple[Tensor, ...]:
    """A job as the fields of an `Asked` and, where gains are to follow, of an `AskedOfGains`.

    Args:
        job: What to paint.
        corrects: Whether gains are to follow, where a window has a label.
    """
    described, known = job.appearance_inputs()
    starts = noise_starts(job.noise_seeds)
    asked = Asked(job.q, job.mask, job.hole, job.known, described, known, starts)
    if not corrects:
        return asked
    shape = job.label_shape()
    has_label = [radius > 0 for radius in shape.radius_mm]
    if not any(has_label):
        return asked
    request = Request.of(job.appearance)
    d, h, w = (side - 2 * _UNMEASURED_MM for side in job.shape)
    return asked + AskedOfGains(
        shape.distance,
        shape.depth,
        torch.tensor(has_label),
        torch.empty(0) if shape.outline is None else shape.outline,
        request.values,
        request.asked,
        noise_starts(job.noise_seeds, DETAIL_STREAM),
        *blurs_of(shape.radius_mm, (d, h, w)),
    )


def apart(tensors: Sequence[Tensor]) -> tuple[Asked, AskedOfGains | None]:
    """The inverse of what `tensors_of` puts together."""
    own = len(Asked._fields)
    of_gains = AskedOfGains(*tensors[own:]) if len(tensors) > own else None
    return Asked(*tensors[:own]), of_gains
