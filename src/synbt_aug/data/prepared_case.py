"""One case of a prepared dataset: two phases and the mask at 1 mm, whole or not at all.

A case is written into a scratch folder, moved to its places, and then recorded in `prepared`: a
record says what the case was made from, and only a case with a record is there. Axes keep their
order and direction; the affine says where they point.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from synbt_aug.data.cohort import to_one_mm
from synbt_aug.data.nifti import Scan, read_mask, read_pair, write_volume
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, scratch_folder, write_json

RECORDS = "prepared"
# Beyond this a header's voxel size is wrong: no breast scan is a meter long, and a wrong
# number would ask for more memory than there is.
_LONGEST_MM = 1000.0


@dataclass(frozen=True)
class PlannedCase:
    """What one case is to be made from.

    Args:
        name: The case's name in the prepared dataset.
        patient: The patient's id; several cases may share it.
        part: "training", "validation" or "test".
        phase: The post-contrast scan's number, from 1.
        pre: The pre-contrast scan.
        post: The post-contrast scan of that phase.
        mask: The tumor mask.
    """

    name: str
    patient: str
    part: str
    phase: int
    pre: Path
    post: Path
    mask: Path

    def made_from(self) -> dict[str, Any]:
        """What a record must say for the case to count as made: sources by name and size."""
        sources = {
            kind: {"file": path.name, "bytes": _size(path)}
            for kind, path in (("pre", self.pre), ("post", self.post), ("mask", self.mask))
        }
        return {"patient": self.patient, "part": self.part, "phase": self.phase, **sources}


def files_of(name: str, part: str) -> tuple[Path, Path, Path]:
    """Pre, post and mask of a case, relative to the dataset's folder."""
    end = "Ts" if part == "test" else "Tr"
    return (
        Path(f"images{end}/{name}_0000.nii.gz"),
        Path(f"images{end}/{name}_0001.nii.gz"),
        Path(f"labels{end}/{name}.nii.gz"),
    )


def prepare_case(case: PlannedCase, folder: Path) -> None:
    """Resample one case to 1 mm and write it; its record comes last.

    Linear interpolation, as everywhere in the package (`to_one_mm`): nothing overshoots, and
    what was filled with zeros stays zero. The mask is cut at half of its interpolated indicator.

    Raises:
        SynBTError: If a file cannot be used; nothing is written then.
    """
    made_from = case.made_from()
    pair = read_pair(case.pre, case.post)
    spacing = pair.volume.spacing
    mask = read_mask(case.mask, pair.pre, "The tumor mask")
    if not mask.any():
        raise SynBTError(f"The tumor mask needs a tumor, but {case.mask} is empty.")
    extent_mm = [n * mm for n, mm in zip(mask.shape, spacing, strict=True)]
    if max(extent_mm) > _LONGEST_MM:
        raise SynBTError(
            f"The pre-contrast scan needs true voxel sizes, but by its header {case.pre} is "
            f"{max(extent_mm):.0f} mm long."
        )
    image = to_one_mm(pair.volume.image, spacing)
    tumor = (to_one_mm(mask.float()[None], spacing)[0] >= 0.5).numpy()
    if not tumor.any():
        raise SynBTError(
            f"The tumor mask needs a tumor that shows at 1 mm, but the {int(mask.sum())} voxels "
            f"of {case.mask} leave none."
        )
    affine = pair.pre.affine @ np.diag([*(1 / mm for mm in spacing[::-1]), 1.0])
    arrays = (
        _as_stored(image[0], pair.pre),
        _as_stored(image[1], pair.post),
        tumor.astype(np.uint8),
    )
    record = {
        "case": case.name,
        "made_from": made_from,
        "source_spacing_mm": [round(mm, 4) for mm in spacing],
        "shape": list(tumor.shape),
        "dtypes": [str(array.dtype) for array in arrays],
        "tumor_mm3": int(tumor.sum()),
    }
    places = files_of(case.name, case.part)
    with scratch_folder(folder) as unfinished:
        for place, array in zip(places, arrays, strict=True):
            write_volume(unfinished / place.name, array, affine)
        written = write_json(unfinished / "record.json", record)
        for place in places:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            os.replace(unfinished / place.name, folder / place)
        _record(folder, case.name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(written, _record(folder, case.name))


def is_prepared(case: PlannedCase, folder: Path) -> bool:
    """Whether a case is there, made from what it would be made from now."""
    try:
        record = read_json(_record(folder, case.name))
    except SynBTError:
        return False
    return record.get("made_from") == case.made_from() and all(
        (folder / place).is_file() for place in files_of(case.name, case.part)
    )


def remove_case(name: str, folder: Path) -> None:
    """Take away what there is of a case, its record first."""
    _record(folder, name).unlink(missing_ok=True)
    for part in ("training", "test"):
        for place in files_of(name, part):
            (folder / place).unlink(missing_ok=True)


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The records of all cases that are there, by name.

    Raises:
        SynBTError: If one is not as `prepare_case` writes it.
    """
    records = []
    for path in sorted((folder / RECORDS).glob("*.json")):
        record = read_json(path, "the record of a prepared case")
        source = record.get("made_from")
        if "case" not in record or not (
            isinstance(source, dict) and {"patient", "part", "phase"} <= set(source)
        ):
            raise SynBTError(
                f"{path} was to be the record of a prepared case, but does not say of which. "
                f"Delete it: the case is made again."
            )
        records.append(record)
    return records


def _as_stored(values: Tensor, scan: Scan) -> np.ndarray:
    """Whole numbers where the scan holds such, in the smaller of int16 and int32; else float32."""
    array = values.numpy()
    if scan.stored.dtype.kind in "iu" and scan.slope == 1.0 and scan.intercept == 0.0:
        rounded = np.rint(array)
        # float32, in which the scan was resampled, counts no further than this.
        for dtype, most in ((np.int16, 2**15 - 1), (np.int32, 2**24)):
            if np.abs(rounded).max() <= most:
                return rounded.astype(dtype)
    return array


def _record(folder: Path, name: str) -> Path:
    return folder / RECORDS / f"{name}.json"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
