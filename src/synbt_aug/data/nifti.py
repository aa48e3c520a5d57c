"""NIfTI scans in and out, with every voxel nobody painted kept as it was stored.

Arrays lie in (z, y, x) order, as with SimpleITK and nnU-Net; `spacing` follows. A file keeps its
header, dtype, scaling and affine: painted values go back through the file's own scaling, rounded
and saturated, and all other voxels are copied as stored. Other formats and 4D series are left out.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, ImageDataError
from torch import Tensor

from synbt_aug.data.header import check_header, header_for_labels
from synbt_aug.errors import SynBTError
from synbt_aug.grid.same_grid import Grid, grid_difference
from synbt_aug.support.files import written_whole
from synbt_aug.volume import BreastVolume, Spacing

logger = logging.getLogger(__name__)

#: What a mask of real tumors is called, and what follows where it is empty.
EXISTING = "The mask of existing tumors"
NOTHING_KEPT = "Nothing is kept free for it: is it the right file?"

# What nibabel and its readers raise on files that are damaged, or no images. A header that
# promises far too much runs out of memory.
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    ImageDataError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    MemoryError,
    zlib.error,
)


@dataclass(frozen=True)
class Scan:
    """One 3D scan as its file stores it.

    Args:
        path: Where it came from.
        stored: Values on disk, before scaling, shape `(D, H, W)` = (z, y, x).
        slope: Factor from stored to real values.
        intercept: Offset from stored to real values.
        affine: Voxel (x, y, z) to scanner coordinates in mm, shape `(4, 4)`.
        header: The file's header.
        file_shape: Shape on disk, (x, y, z) and perhaps trailing ones.
    """

    path: Path
    stored: np.ndarray
    slope: float
    intercept: float
    affine: np.ndarray
    header: Any
    file_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along D, H and W."""
        d, h, w = self.stored.shape
        return d, h, w

    @property
    def spacing(self) -> Spacing:
        """Voxel size along D, H and W in mm, from the affine."""
        x, y, z = self.grid.spacing
        return z, y, x

    @property
    def grid(self) -> Grid:
        """Shape and affine in the file's order, (x, y, z)."""
        d, h, w = self.shape
        return Grid((w, h, d), self.affine)

    @property
    def scaled(self) -> bool:
        """Whether real values are others than the stored ones."""
        return self.slope != 1.0 or self.intercept != 0.0

    def values(self) -> np.ndarray:
        """Real values in float32, shape `(D, H, W)`."""
        values = self.stored.astype(np.float32)
        if self.scaled:
            values = values * np.float32(self.slope) + np.float32(self.intercept)
        return values

    def plain_values(self) -> np.ndarray:
        """Real values, shape `(D, H, W)`: the stored ones where they are not scaled, else float32.

        What is compared needs no copy of a large scan.
        """
        return self.values() if self.scaled else self.stored


@dataclass(frozen=True)
class Pair:
    """A pre- and a post-contrast scan on one grid, later ones, and the volume made of them."""

    pre: Scan
    post: Scan
    volume: BreastVolume
    further: tuple[Scan, ...] = ()


def read_scan(path: str | os.PathLike[str], what: str = "The scan") -> Scan:
    """Read one 3D scan.

    Args:
        path: A `.nii` or `.nii.gz` file.
        what: What the file is to be; opens the error messages.

    Raises:
        SynBTError: If the file is missing, damaged, no 3D image, or its values are not finite or
            all the same.
    """
    scan = _read(Path(path), what)
    if scan.stored.dtype.kind == "f":
        bad = int((~np.isfinite(scan.stored)).sum())
        if bad:
            raise SynBTError(
                f"{what} needs finite values, but {path} holds {bad} NaN or infinite voxels. "
                f"Replace them first, for example by numpy.nan_to_num."
            )
    if scan.stored.min() == scan.stored.max():
        value = float(scan.values().flat[0])
        kind = "empty: every voxel is 0" if value == 0 else f"constant: every voxel is {value:g}"
        raise SynBTError(f"{what} needs signal, but {path} is {kind}. Is it the right file?")
    return scan


def read_label(path: str | os.PathLike[str], what: str = "The mask") -> Scan:
    """Read a mask or a label map; unlike a scan, it may be the same everywhere.

    Args:
        path: A `.nii` or `.nii.gz` file.
        what: What the file is to be; opens the error messages.

    Raises:
        SynBTError: If the file is missing, damaged, no 3D image, or its values are not finite or
            negative.
    """
    scan = _read(Path(path), what)
    if scan.stored.dtype.kind == "f" and not np.isfinite(scan.stored).all():
        raise SynBTError(f"{what} needs finite values, but {path} holds NaN or infinite voxels.")
    ends = [float(v) * scan.slope + scan.intercept for v in (scan.stored.min(), scan.stored.max())]
    # A mask that was resampled may swing a little below 0; what rounds to a negative label is one.
    if min(ends) <= -0.5:
        below = int((scan.plain_values() <= -0.5).sum())
        raise SynBTError(
            f"{what} needs values from 0 on, but {path} holds {below} voxels below, down to "
            f"{min(ends):g}. A mask of 255 that is stored as int8 reads as -1: save it as uint8, "
            f"for example (mask != 0).astype(numpy.uint8)."
        )
    return scan


def read_mask(
    path: str | os.PathLike[str],
    like: Scan,
    what: str = "The mask",
    label: int | None = None,
    *,
    if_empty: str = "",
) -> Tensor:
    """Read a mask on the grid of `like`.

    Args:
        path: A `.nii` or `.nii.gz` file.
        like: The scan that the mask belongs to.
        what: What the file is to be; opens the error messages.
        label: The value that counts; None counts every value of at least 0.5.
        if_empty: What follows where no voxel counts; logged as a warning then.

    Returns:
        Boolean tensor, shape `(D, H, W)`.

    Raises:
        SynBTError: If the file cannot be read, holds negative values, or lies on another grid.
    """
    scan = read_label(path, what)
    check_same_grid(scan, like, what)
    values = scan.plain_values()
    mask = values >= 0.5 if label is None else (values > label - 0.5) & (values < label + 0.5)
    if if_empty and not mask.any():
        logger.warning("%s is empty: %s holds no voxel above 0. %s", what, path, if_empty)
    return torch.from_numpy(np.ascontiguousarray(mask))


def read_pair(
    pre: str | os.PathLike[str],
    post: str | os.PathLike[str],
    further: Sequence[str | os.PathLike[str]] = (),
    *,
    existing: str | os.PathLike[str] | None = None,
    forbidden: str | os.PathLike[str] | None = None,
    roi: str | os.PathLike[str] | None = None,
) -> Pair:
    """Read a pre- and a post-contrast scan and, if named, masks of where tumors may go or not.

    Later scans of the series may follow in order of time.

    The volume has the type of the files where all hold integers of one type that are not scaled,
    else float32.

    Raises:
        SynBTError: If a file cannot be used, or the grids differ.
    """
    pre_scan = read_scan(pre, "The pre-contrast scan")
    post_scan = read_scan(post, "The post-contrast scan")
    check_same_grid(post_scan, pre_scan, "The post-contrast scan")
    later = []
    for number, path in enumerate(further, 2):
        later.append(read_scan(path, f"Post-contrast scan {number}"))
        check_same_grid(later[-1], pre_scan, f"Post-contrast scan {number}")
    masks: dict[str, Any] = {
        name: None if path is None else read_mask(path, pre_scan, what, if_empty=NOTHING_KEPT)
        for name, path, what in (
            ("tumor", existing, EXISTING),
            ("forbidden", forbidden, "The forbidden mask"),
        )
    }
    if roi is not None:
        # Values are kept: they may be weights.
        weights = read_label(roi, "The roi")
        check_same_grid(weights, pre_scan, "The roi")
        masks["roi"] = torch.from_numpy(np.ascontiguousarray(weights.values()))
    image = torch.from_numpy(stacked(pre_scan, post_scan, *later))
    volume = BreastVolume(image, pre_scan.spacing, **masks)
    return Pair(pre_scan, post_scan, volume, tuple(later))


# What torch calculates with. All files keep their type, so that what is judged is what is written.
_KEPT = (np.uint8, np.int8, np.int16, np.int32)


def stacked(*scans: Scan) -> np.ndarray:
    """Scans of one grid, shape `(C, D, H, W)`.

    In the type of their files where they share one and are not scaled, else float32.
    """
    first, *others = (scan.stored.dtype for scan in scans)
    kept = first in _KEPT and all(other == first for other in others)
    if kept and not any(scan.scaled for scan in scans):
        return np.stack([scan.stored for scan in scans])
    return np.stack([scan.values() for scan in scans])


def check_same_grid(scan: Scan, like: Scan, what: str) -> None:
    """See that two scans share shape, position, direction and voxel size, up to rounding.

    Raises:
        SynBTError: If they do not.
    """
    if difference := grid_difference(scan.grid, like.grid):
        raise SynBTError(
            f"{what} must lie on the grid of {like.path.name}, but {scan.path} {difference}. "
            f"Resample it first, for example with SimpleITK.Resample(image, reference)."
        )


def write_painted(
    path: str | os.PathLike[str], like: Scan, values: np.ndarray | Tensor, support: Any
) -> Path:
    """Write `like` with new values inside the support.

    Voxels outside are bitwise those of `like` on disk. Inside, values pass through the file's
    scaling; integers are rounded and saturated.

    Args:
        path: A new `.nii.gz` file.
        like: The scan that was painted into.
        values: Real values, shape `(D, H, W)`.
        support: Where they count, boolean, shape `(D, H, W)`.
    """
    new = np.asarray(values)
    inside = np.asarray(support, dtype=bool)
    stored = like.stored.copy()
    # float64: 32-bit integers do not fit into float32's 24 bits.
    unscaled = (new[inside].astype(np.float64) - like.intercept) / like.slope
    if stored.dtype.kind in "iu":
        limits = np.iinfo(stored.dtype)
        unscaled = np.clip(np.rint(unscaled), limits.min, limits.max)
    stored[inside] = unscaled.astype(stored.dtype)
    return _write(Path(path), stored.T.reshape(like.file_shape, order="F"), like)


def write_mask(path: str | os.PathLike[str], like: Scan, mask: Any) -> Path:
    """Write a mask as 0 and 1 in uint8 on the grid of `like`; shape `(D, H, W)`."""
    return write_labels(path, like, np.asarray(mask).astype(np.uint8))


def write_labels(path: str | os.PathLike[str], like: Scan, values: Any) -> Path:
    """Write other values on the grid of a scan, with the scan's own header.

    An affine alone would not do: where a header's codes are 0 or its two affines differ, other
    readers than nibabel would see the values on another grid than the scan.

    Args:
        path: A new `.nii.gz` file.
        like: The scan.
        values: Shape `(D, H, W)`, in the dtype to be stored.
    """
    array = np.asarray(values)
    header = header_for_labels(like.header, array.dtype)
    kind = nib.Nifti2Image if isinstance(like.header, nib.Nifti2Header) else nib.Nifti1Image
    stored = array.T.reshape(like.file_shape, order="F")
    return _save(kind(stored, like.affine, header), Path(path))


def write_volume(path: str | os.PathLike[str], array: Any, affine: np.ndarray) -> Path:
    """Write a volume that came from no file.

    Args:
        path: A new `.nii.gz` file.
        array: Shape `(D, H, W)` = (z, y, x), in the dtype to be stored.
        affine: Voxel (x, y, z) to scanner coordinates (right, forwards, up) in mm.
    """
    image = nib.Nifti1Image(np.asarray(array).T, affine)
    image.header.set_xyzt_units("mm")
    return _save(image, Path(path))


def _read(path: Path, what: str) -> Scan:
    if not path.is_file():
        raise SynBTError(f"{what} must be a NIfTI file, but {path} does not exist.")
    try:
        image: Any = nib.load(path)
        if not hasattr(image, "affine") or not hasattr(image.dataobj, "get_unscaled"):
            raise ImageFileError("not an image on a grid")
        stored = np.asarray(image.dataobj.get_unscaled())
    except _UNREADABLE as error:
        why = str(error) or type(error).__name__
        raise SynBTError(
            f"{what} must be a NIfTI file (.nii or .nii.gz), but {path} cannot be read: {why}. "
            f"DICOM and NRRD need converting first, for example with dcm2niix or SimpleITK."
        ) from error
    file_shape = stored.shape
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim > 3:
        raise SynBTError(
            f"{what} needs one 3D volume, but {path} is {stored.ndim}D, {file_shape}. Save each "
            f"phase as a file of its own: nibabel.four_to_three splits a series."
        )
    if stored.ndim < 3 or min(stored.shape) < 2:
        raise SynBTError(
            f"{what} needs a 3D volume, but {path} is a 2D image, {file_shape}. "
            f"Stack the slices into one volume first."
        )
    if stored.dtype.kind not in "iuf":
        raise SynBTError(
            f"{what} needs numbers for voxels, but {path} holds {stored.dtype} (color or complex)."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    x, y, z = (int(n) for n in stored.shape)
    Grid((x, y, z), affine, f"{what}, {path},")
    check_header(image.header, affine, path, what)
    return Scan(
        path=path,
        stored=np.ascontiguousarray(stored.T.astype(stored.dtype.newbyteorder("="), copy=False)),
        slope=float(image.dataobj.slope),
        intercept=float(image.dataobj.inter),
        affine=affine,
        header=image.header,
        file_shape=tuple(int(n) for n in file_shape),
    )


def _write(path: Path, stored: np.ndarray, like: Scan) -> Path:
    kind = nib.Nifti2Image if isinstance(like.header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(stored, like.affine, like.header)
    image.set_data_dtype(stored.dtype)
    if like.slope != 1.0 or like.intercept != 0.0:
        # Set after the image is made: nibabel then writes the stored values as they are.
        image.header.set_slope_inter(like.slope, like.intercept)
    return _save(image, path)


def _save(image: Any, path: Path) -> Path:
    with written_whole(path) as unfinished:
        nib.save(image, unfinished)
    return path
