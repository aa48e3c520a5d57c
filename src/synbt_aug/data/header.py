"""What a NIfTI header says of voxel sizes, and whether it can be believed.

Leaves out whether two scans lie on one grid: `grid/same_grid.py` knows that.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import affines

from synbt_aug.errors import SynBTError
from synbt_aug.volume import LARGEST_SPACING_MM, SMALLEST_SPACING_MM

logger = logging.getLogger(__name__)

# What a length in the header's unit is in mm. Nothing said counts as mm, as everywhere.
_MM = {"meter": 1000.0, "micron": 0.001}

# Tools round sizes to four digits; a header that was edited in one place is off by more.
_SAME_SIZE = 0.02


def check_header(header: Any, affine: np.ndarray, path: Path, what: str) -> None:
    """See that the voxel sizes of a file are in mm, and those of a breast scan.

    Where the two places of a header that give sizes (the affine and pixdim) differ by more than
    2 %, a warning with both is logged: readers differ in which of them they believe.

    Args:
        header: As nibabel reads it.
        affine: Voxel (x, y, z) to scanner coordinates, shape `(4, 4)`, not degenerate.
        path: The file.
        what: What the file is to be; opens the message.

    Raises:
        SynBTError: If the sizes are not in mm, or none of a breast scan.
    """
    sizes = affines.voxel_sizes(affine)
    plausible = bool(((sizes >= SMALLEST_SPACING_MM) & (sizes <= LARGEST_SPACING_MM)).all())
    unit = _unit(header)
    if unit in _MM:
        factor = f"{_MM[unit]:g}"
        cure = (
            "The numbers look like mm: set the unit"
            if plausible
            else f"Multiply the affine by numpy.diag([{factor}, {factor}, {factor}, 1]), set the "
            "unit"
        )
        raise SynBTError(
            f"{what} needs voxel sizes in mm, but the header of {path} gives them in {unit}s: "
            f"{_times(sizes)}. {cure} with nibabel's header.set_xyzt_units('mm'), and save the "
            f"file again."
        )
    if not plausible:
        raise SynBTError(
            f"{what} needs voxel sizes of {SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm, "
            f"but by its header {path} has voxels of {_times(sizes)} mm. Correct the affine, "
            f"for example with nibabel, and save the file again."
        )
    told = np.asarray(header.get_zooms()[:3], dtype=np.float64)
    if len(told) == 3 and (np.abs(told - sizes) > _SAME_SIZE * sizes).any():
        logger.warning(
            "%s: the affine of %s says voxels of %s mm, its pixdim %s mm. The affine is taken; "
            "ITK and nnU-Net may take the other. Correct the wrong one.",
            what,
            path,
            _times(sizes),
            _times(told),
        )


def header_for_labels(header: Any, dtype: np.dtype) -> Any:
    """A scan's header for other values on its grid: what describes the grid stays as it is.

    Args:
        header: Of the scan.
        dtype: Of the values.

    Returns:
        A copy for unscaled values of this type, without the scan's display range.
    """
    mine = header.copy()
    mine.set_data_dtype(dtype)
    for name in {"cal_min", "cal_max"} & set(mine.keys()):
        mine[name] = 0
    return mine


def _unit(header: Any) -> str:
    try:
        unit: str = header.get_xyzt_units()[0]
    except (AttributeError, KeyError):  # Analyze has none; a damaged byte names none
        return "unknown"
    return unit


def _times(sizes: np.ndarray) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
