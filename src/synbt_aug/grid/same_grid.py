"""Do two images lie on one voxel grid? One check and one tolerance for files and for every host.

A grid is a shape and an affine. Readers and adapters make one of what they hold and say in their
own words what to do about a difference; nothing is resampled here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel import affines, orientations

from synbt_aug.errors import SynBTError

# How far two grids that count as one may lie apart: headers written by different tools differ by
# rounding. In voxels at the first voxel, and in mm for each mm away from it: a direction kept as
# NIfTI's quaternion in float32 turns axial scans by up to .0013 rad, .6 mm across a breast scan.
GRID_TOLERANCE_VOXELS = 0.1
GRID_TOLERANCE_TURN = 0.002

#: Volume of the box that the axes' unit vectors span; a right-angled grid has 1. Below this the
#: axes lie in one plane, up to rounding.
_FLAT = 1e-3


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie.

    Args:
        shape: Voxels along the three axes of the array.
        affine: Index along these axes to scanner coordinates in mm, shape `(4, 4)`.
        what: The image's name, for errors.

    Raises:
        SynBTError: If the affine is not finite or its axes span no volume.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    what: str = "The image"

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        object.__setattr__(self, "affine", affine)
        if affine.shape != (4, 4):
            raise SynBTError(f"{self.what} needs an affine of shape (4, 4), got {affine.shape}.")
        if not np.isfinite(affine).all() or not _spans_a_volume(affine[:3, :3]):
            raise SynBTError(
                f"{self.what} needs three axes with a voxel size each, but its affine is "
                f"degenerate: {affine[:3, :3].tolist()}. Correct it, or convert the original "
                f"files anew."
            )

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along the three axes, in mm."""
        x, y, z = (float(mm) for mm in affines.voxel_sizes(self.affine))
        return x, y, z

    @property
    def axes(self) -> str:
        """Where the axes point, such as "RAS"."""
        return "".join(orientations.aff2axcodes(self.affine))


def grid_difference(grid: Grid, like: Grid) -> str | None:
    """What tells two grids apart, up to rounding.

    Args:
        grid: The one in question.
        like: The one that it should be.

    Returns:
        A clause without a subject, such as "has 5 x 6 x 7 voxels, not 5 x 6 x 8"; None where the
        two are one grid.
    """
    if grid.shape != like.shape:
        return f"has {_voxels(grid)} voxels, not {_voxels(like)}"
    last = np.array(like.shape) - 1
    corners = np.stack(np.meshgrid(*[(0, n) for n in last], indexing="ij"), axis=-1).reshape(-1, 3)
    there, here = (affines.apply_affine(one.affine, corners) for one in (grid, like))
    apart_mm = np.linalg.norm(there - here, axis=1)
    away_mm = np.linalg.norm(here - here[0], axis=1)
    allowed_mm = GRID_TOLERANCE_VOXELS * min(like.spacing) + GRID_TOLERANCE_TURN * away_mm
    if not (apart_mm > allowed_mm).any():
        return None
    clause = f"has another affine: corners lie up to {apart_mm.max():.2f} mm apart"
    if grid.axes != like.axes:
        clause += f" and axes point to {grid.axes}, not {like.axes}"
    return clause


def _spans_a_volume(columns: np.ndarray) -> bool:
    sizes = np.linalg.norm(columns, axis=0)
    return bool((sizes > 0).all()) and bool(abs(np.linalg.det(columns / sizes)) > _FLAT)


def _voxels(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.shape)
