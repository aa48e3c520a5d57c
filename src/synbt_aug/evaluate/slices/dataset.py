"""Slices of any folder of one's own: a dataset of volumes, or PNG files with a table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from synbt_aug.data.cohort import number_tumors
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.nifti import read_mask, read_pair
from synbt_aug.errors import SynBTError, first_line
from synbt_aug.evaluate.slices.png_folder import TABLE, read_png_folder
from synbt_aug.evaluate.slices.tumor_slice import SIDE, SMALLEST_MM3, TumorSlice, slice_through
from synbt_aug.grid.mask import bounding_box
from synbt_aug.grid.window import resample_to_mm
from synbt_aug.volume import Spacing

#: An axis that is sampled coarser than the others by this factor is the one across the slices.
_COARSER = 1.2


@dataclass(frozen=True)
class SliceSet:
    """Slices of one folder.

    Args:
        slices: One a case.
        skipped: One line for each case left out, with the reason.
    """

    slices: tuple[TumorSlice, ...]
    skipped: tuple[str, ...] = ()


def read_slice_set(
    folder: str | os.PathLike[str], on_case: Callable[[int, int], None] | None = None
) -> SliceSet:
    """Read one slice a case, through its largest tumor.

    Args:
        folder: A dataset in nnU-Net's raw or MAMA-MIA's layout, or a folder of PNG files (see
            `read_png_folder`).
        on_case: Called with (cases read, all cases).

    Raises:
        SynBTError: If the folder cannot be read, or no case has a tumor of at least 200 mm3.
    """
    if (Path(folder) / TABLE).is_file():
        return SliceSet(tuple(read_png_folder(folder)))
    files = read_dataset(folder)
    skipped = list(files.skipped)
    slices = []
    for done, case in enumerate(files.cases, 1):
        try:
            slices.append(_slice_of(case))
        except ValueError as error:
            skipped.append(f"{case.name}: {first_line(error)}")
        if on_case is not None:
            on_case(done, len(files.cases))
    if not slices:
        why = f" ({skipped[0]})" if skipped else ""
        raise SynBTError(
            f"{folder} needs cases with the mask of a tumor of at least {SMALLEST_MM3} mm3, and "
            f"none of its {len(files.cases)} has one{why}."
        )
    return SliceSet(tuple(slices), tuple(skipped))


def _slice_of(case: CaseFiles) -> TumorSlice:
    if case.label is None:
        raise SynBTError("it has no mask")
    pair = read_pair(case.pre, case.posts[0])
    tumor = read_mask(case.label, pair.pre, "The tumor mask", label=case.tumor_label)
    if not bool(tumor.any()):
        raise SynBTError("its mask is empty")
    spacing = pair.volume.spacing
    largest = number_tumors(tumor) == 1
    # What a slice can show, at 1 mm: the scan itself may hold a hundred times as much.
    box = tuple(
        slice(max(0, first - math.floor(SIDE / mm)), end + math.ceil(SIDE / mm))
        for (first, end), mm in zip(bounding_box(largest), spacing, strict=True)
    )
    image = _at_one_mm(pair.volume.image[(slice(None), *box)].float(), spacing)
    label = _at_one_mm(largest[box].float(), spacing) >= 0.5
    found = slice_through(case.name, image, label, across(spacing))
    if found is None:
        raise SynBTError(f"its largest tumor has less than {SMALLEST_MM3} mm3")
    return found


def across(spacing: Spacing) -> int | None:
    """The axis across a scanner's slices: the one that is sampled coarsest.

    Returns:
        None where the axes are alike, as after resampling.
    """
    order = np.argsort(spacing)
    coarsest = int(order[-1])
    return coarsest if spacing[coarsest] > _COARSER * spacing[int(order[-2])] else None


def _at_one_mm(volume: Tensor, spacing: Spacing) -> np.ndarray:
    d, h, w = (max(1, round(n * mm)) for n, mm in zip(volume.shape[-3:], spacing, strict=True))
    return resample_to_mm(volume, spacing, (d, h, w)).numpy()
