"""A tumor bank from a cohort's own masks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from synbt_aug.data.cohort import TrainingCase, number_tumors, to_one_mm
from synbt_aug.errors import SynBTError
from synbt_aug.hole import tissue
from synbt_aug.intensity import IntensityReference, inverse_knee, knee, to_linear
from synbt_aug.mask import bounding_box
from synbt_aug.tumor.bank import TumorBank, build_bank
from synbt_aug.tumor.template import Template, cut_case
from synbt_aug.volume import BreastVolume

# Tissue that is read around a case's tumors, in mm: beyond the shell of `measure_appearance`.
_AROUND_MM = 20.0


def bank_of(cases: Iterable[TrainingCase], *, voxels: bool = False) -> TumorBank:
    """Cut a template of every tumor; those of one case stay together.

    Give it the training cases of a fold alone: a bank that holds validation tumors leaks them.

    Args:
        cases: With their tumors.
        voxels: Keep the images' signal around the tumors, for tumors that are copied. A bank
            with voxels is as private as the images; weights folders come without.

    Raises:
        SynBTError: If there is no tumor of 6 mm or more.
    """
    templates: list[Template] = []
    for case in cases:
        if not case.instances:
            continue
        q = case.q.float()
        templates += _cut_all(inverse_knee(q), q, case.valid, case.tumor, case.name, voxels)
    if not templates:
        raise SynBTError(
            "A tumor bank needs tumors of at least 6 mm; these cases hold none. Are there masks?"
        )
    return build_bank(templates)


def templates_of(
    volume: BreastVolume, reference: IntensityReference, source: str, *, voxels: bool = False
) -> tuple[Template, ...]:
    """Cut a template of every tumor of one volume, at 1 mm; those of the case are a group.

    Args:
        volume: With its tumors; any spacing and scale.
        reference: Its intensity references.
        source: The case's name.
        voxels: Keep the signal around the tumors.

    Returns:
        Those of 6 mm and more, the largest first; none where there is no tumor.
    """
    if volume.tumor is None or not bool(volume.tumor.any()):
        return ()
    box = tuple(
        slice(max(first - math.ceil(_AROUND_MM / mm), 0), stop + math.ceil(_AROUND_MM / mm))
        for (first, stop), mm in zip(bounding_box(volume.tumor), volume.spacing, strict=True)
    )
    linear = to_linear(to_one_mm(volume.image[(slice(None), *box)], volume.spacing), reference)
    tumor = number_tumors(_mask_at_one_mm(volume.tumor[box], volume))
    valid = torch.ones_like(tumor, dtype=torch.bool)
    if volume.valid is not None:
        valid = _mask_at_one_mm(volume.valid[box], volume)
    return _cut_all(linear, knee(linear), valid, tumor, source, voxels)


def _mask_at_one_mm(mask: Tensor, volume: BreastVolume) -> Tensor:
    return to_one_mm(mask.to(torch.float32)[None], volume.spacing)[0] >= 0.5


def _cut_all(
    linear: Tensor, q: Tensor, valid: Tensor, tumor: Tensor, source: str, voxels: bool
) -> tuple[Template, ...]:
    around = tissue(q[None])[0] & valid & (tumor == 0)
    return cut_case(tumor, linear, around, source, voxels=voxels, valid=valid)
