"""Duke's labels of breast and fibroglandular tissue, as label maps for the tissue segmenter.

100 patients of Duke-Breast-Cancer-MRI have `Segmentation_<ID>_Breast.seg.nrrd` and
`Segmentation_<ID>_Dense_and_Vessels.seg.nrrd`, written by 3D Slicer. Values and layers of the
segments differ from file to file, so their names decide. Air and skin, which nobody labelled,
come from the scan. For people with access to the data: nothing here is shipped, no weight of ours
saw it.

Source:
    Lew et al., "A publicly available deep learning model and dataset for segmentation of breast,
    fibroglandular tissue, and vessels in breast MRI", Scientific Reports 14, 2024.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from synbt_aug.data.nifti import read_scan
from synbt_aug.errors import ExtraMissingError, SynBTError, first_line
from synbt_aug.tissue.labels_to_image import AIR, FAT, GLAND, REST, SKIN, VESSEL, LabelMap

#: Tissue kept around the breasts, in mm: what lies behind them must be seen.
_AROUND_MM = 48

#: Breast this near to air is skin, in mm.
_SKIN_MM = 2.0

_BREAST, _DENSE = "_breast.seg.nrrd", "_dense_and_vessels.seg.nrrd"

Segments = dict[str, NDArray[np.bool_]]


def duke_label_maps(
    folder: str | Path, *, on_case: Callable[[int, int], None] | None = None
) -> list[LabelMap]:
    """Read all patients with labels and a pre-contrast scan.

    Args:
        folder: Holds the `.seg.nrrd` files and, for each patient, a pre-contrast scan whose name
            is the ID and `_0000`, such as `duke_001_0000.nii.gz` of MAMA-MIA; in any subfolders,
            in upper or lower case.
        on_case: Called with (patients done, all patients).

    Raises:
        SynBTError: If there are none, a patient lacks a file, or a file cannot be used.
        ExtraMissingError: If pynrrd is not installed.
    """
    folder = Path(folder)
    files = {p.name.lower(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    patients = [name[: -len(_BREAST)] for name in files if name.endswith(_BREAST)]
    if not patients:
        raise SynBTError(
            f"{folder} holds no *_Breast.seg.nrrd. Give the folder of Duke's breast and "
            f"fibroglandular labels, or leave --data out to train on phantoms."
        )
    tell = on_case or (lambda done, total: None)
    maps = []
    for done, patient in enumerate(patients):
        tell(done, len(patients))
        if patient + _DENSE not in files:
            raise SynBTError(
                f"{patient} has breast labels, but no Dense_and_Vessels.seg.nrrd in {folder}. "
                f"Complete it, or remove its {files[patient + _BREAST].name}."
            )
        maps.append(
            _label_map(
                files[patient + _BREAST], files[patient + _DENSE], _scan_of(patient, files, folder)
            )
        )
    tell(len(patients), len(patients))
    return maps


def _scan_of(patient: str, files: Mapping[str, Path], folder: Path) -> Path:
    # "segmentation_breast_mri_001" has the scan "duke_001_0000.nii.gz", or one of its own name.
    number = re.findall(r"\d+", patient)[-1:]
    name = patient.removeprefix("segmentation_")
    wanted = [f"{name}_0000.nii.gz", *(f"duke_{n}_0000.nii.gz" for n in number)]
    for candidate in wanted:
        if candidate in files:
            return files[candidate]
    raise SynBTError(
        f"{patient} has labels, but no pre-contrast scan ({' or '.join(wanted)}) in {folder}. "
        f"Convert it, for example with dcm2niix, or remove the labels."
    )


def read_segments(path: Path) -> tuple[Segments, NDArray[np.float64]]:
    """Segments of a 3D Slicer file by name, and where its voxels lie.

    Args:
        path: A `.seg.nrrd` file.

    Returns:
        Masks by lower-case name, shape `(X, Y, Z)`, and the affine from voxels to RAS mm.

    Raises:
        SynBTError: If the file cannot be read or names no segment.
        ExtraMissingError: If pynrrd is not installed.
    """
    try:
        import nrrd
    except ImportError as error:
        raise ExtraMissingError("Reading .seg.nrrd files", "train", "pynrrd") from error
    try:
        data, header = nrrd.read(str(path))
        directions = np.asarray(header["space directions"], dtype=np.float64)[-3:]
        origin = np.asarray(header["space origin"], dtype=np.float64)
        # Several layers, where segments overlap, are a first axis.
        layers = data[None] if data.ndim == 3 else data
        names = sorted(key for key in header if re.fullmatch(r"Segment\d+_Name", key))
        masks = {}
        for key in names:
            stem = key.removesuffix("_Name")
            layer = int(header.get(f"{stem}_Layer", 0))
            masks[str(header[key]).lower()] = layers[layer] == int(header[f"{stem}_LabelValue"])
    except (OSError, KeyError, IndexError, ValueError, TypeError, nrrd.NRRDError) as error:
        raise SynBTError(
            f"{path} is no segmentation of 3D Slicer ({first_line(error)})."
        ) from error
    if not masks:
        raise SynBTError(f"{path} names no segment (Segment0_Name, ...): its values mean nothing.")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, origin
    if "left-posterior" in str(header.get("space", "left-posterior-superior")).lower():
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return masks, affine


def _label_map(breast_file: Path, dense_file: Path, scan_file: Path) -> LabelMap:
    breasts, affine = read_segments(breast_file)
    inner, inner_affine = read_segments(dense_file)
    breast = _named(breasts, "breast", breast_file)
    dense = _named(inner, "dense", dense_file)
    vessel = _named(inner, "vessel", dense_file)
    scan = read_scan(scan_file, "The pre-contrast scan")
    grid, shape = _grid_around(breast, affine)

    def mask_on_grid(mask: NDArray[np.bool_], where: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = _resampled(mask, where, grid, shape) >= 0.5
        return inside

    signal = _resampled(scan.values().T, scan.affine, grid, shape)
    labels = _labels(
        mask_on_grid(breast, affine),
        mask_on_grid(dense, inner_affine),
        mask_on_grid(vessel, inner_affine),
        signal,
    )
    top = max(float(np.percentile(signal, 99.5)), 1e-6)
    small = np.clip(signal[::2, ::2, ::2] / top * 200, 0, 255).astype(np.uint8)
    name = breast_file.name[: -len(_BREAST)]
    return LabelMap(torch.from_numpy(labels), torch.from_numpy(small), name)


def _named(segments: Segments, word: str, path: Path) -> NDArray[np.bool_]:
    found = [mask for name, mask in segments.items() if word in name]
    if not found:
        raise SynBTError(
            f"{path} needs a segment named {word!r}; it has {', '.join(sorted(segments))}."
        )
    return np.logical_or.reduce(found)


def _grid_around(
    breast: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """A 1 mm grid along the scanner's axes that holds the breasts and what is behind them."""
    if not breast.any():
        raise SynBTError("A breast label is empty: there is nothing to learn from it.")
    box = ndimage.find_objects(breast.astype(np.int8))[0]
    corners = np.array(np.meshgrid(*[(s.start, s.stop) for s in box], indexing="ij"))
    points = affine[:3, :3] @ corners.reshape(3, -1) + affine[:3, 3:]
    low, high = points.min(axis=1) - _AROUND_MM, points.max(axis=1) + _AROUND_MM
    grid = np.eye(4)
    grid[:3, 3] = low
    x, y, z = (int(n) for n in np.ceil(high - low))
    return grid, (x, y, z)


def _resampled(
    volume: NDArray[Any],
    affine: NDArray[np.float64],
    grid: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> NDArray[np.float32]:
    to_voxel = np.linalg.inv(affine) @ grid
    moved: NDArray[np.float32] = ndimage.affine_transform(
        volume.astype(np.float32), to_voxel[:3, :3], to_voxel[:3, 3], shape, order=1
    )
    return moved


def _labels(
    breast: NDArray[np.bool_],
    dense: NDArray[np.bool_],
    vessel: NDArray[np.bool_],
    signal: NDArray[np.float32],
) -> NDArray[np.uint8]:
    # Air is what is dark outside the breast and joined to the dark around the body.
    outside = ~breast
    # Smoothed among themselves: the breast's own signal would make a bright rim around it.
    near = ndimage.gaussian_filter(outside.astype(np.float32), 1.5)
    smooth = ndimage.gaussian_filter(signal * outside, 1.5) / np.maximum(near, 1e-3)
    dark = outside & (smooth < 0.25 * np.median(signal[breast]))
    parts, _ = ndimage.label(dark)
    rim = np.unique(np.concatenate([parts[k].ravel() for k in _faces()]))
    sizes = np.bincount(parts.ravel())
    # Lungs are dark, too, and may reach the grid's end; the air in front is the largest part.
    candidates = [int(k) for k in rim if k > 0]
    air = parts == max(candidates, key=lambda k: sizes[k]) if candidates else np.zeros_like(dark)
    labels = np.full(breast.shape, REST, np.uint8)
    labels[air] = AIR
    labels[breast] = FAT
    labels[breast & vessel] = VESSEL
    labels[breast & dense] = GLAND
    if air.any():
        labels[breast & (ndimage.distance_transform_edt(~air) <= _SKIN_MM)] = SKIN
    return labels


def _faces() -> list[tuple[Any, ...]]:
    whole = slice(None)
    return [
        tuple(end if k == axis else whole for k in range(3)) for axis in range(3) for end in (0, -1)
    ]
