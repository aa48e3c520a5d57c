"""A folder of a few small scans that lies as MAMA-MIA's download does, quirks included.

Signal rises by known steps along the scanner's axes and tumors are balls around known places, so
that a test can ask any grid whether it is where its affine says.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

#: Signal by place: 1000 + STEPS . (x, y, z in mm); post-contrast scans add 100 a phase.
STEPS = (4.0, -6.0, 8.0)
RADIUS_MM = 5.0
TRAIN = ("DUKE_001", "duke_002 ", "ISPY1_1001", "ISPY2_100899", "NACT_01")
TEST = ("duke_010", "DUKE_011", "DUKE_012", "DUKE_013", "ISPY1_1010", "ISPY1_1011")
#: Each cannot be used, and a word of the reason.
BROKEN = {
    "DUKE_003": "cannot be read",
    "DUKE_404": "no folder in images",
    "DUKE_999": "not in train_test_splits.csv",
    "ISPY1_1002": "no mask in segmentations/expert",
    "ISPY1_1003": "is empty",
    "ISPY2_100900": "must lie on the grid",
    "NACT_02": "phases [0]",
    "NACT_03": "no phase 0001",
}

AXIAL = (np.diag([-0.8, -0.8, 2.0, 1.0]), (30, 25, 12))
# Voxel axes run backwards, down and to the left; slices of 2.3 mm.
SAGITTAL = (
    np.array([[0, 0, -2.3, 14], [-0.9, 0, 0, 12], [0, -0.9, 0, 13], [0, 0, 0, 1.0]]),
    (26, 28, 11),
)


def oblique() -> tuple[np.ndarray, tuple[int, int, int]]:
    """Axial, turned by 20 degrees about the first axis and by 10 about the last."""
    a, b = np.deg2rad(20), np.deg2rad(10)
    tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ np.diag([0.7, 0.7, 1.5])
    affine[:3, 3] = (-10, -12, -9)
    return affine, (30, 32, 14)


def places(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scanner coordinates of every voxel in mm, shape `(*shape, 3)`."""
    return nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def middle(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scanner coordinates of a volume's middle, where its tumor is."""
    return nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)


def make_folder(folder: Path) -> Path:
    """Write the download."""
    _case(folder, "DUKE_001", "duke_001", AXIAL, phases=3)
    _case(folder, "duke_002", "DUKE_002", AXIAL, phases=8)
    _case(folder, "ISPY1_1001", "ispy1_1001", SAGITTAL, phases=3, ending=".NII.GZ")
    _case(folder, "ISPY2_100899", "ispy2_100899", AXIAL, phases=6, dtype=np.float32, filled=True)
    _case(folder, "NACT_01", "nact_01", oblique(), phases=4, dtype=np.uint16)
    for name in TEST:
        kind = SAGITTAL if name.startswith("ISPY1") else AXIAL
        _case(folder, name.upper(), name.lower(), kind, phases=3)

    cut = _case(folder, "DUKE_003", "duke_003", AXIAL, phases=3)
    for path in cut.iterdir():
        path.write_bytes(path.read_bytes()[:-400])
    _case(folder, "DUKE_999", "duke_999", AXIAL, phases=3)
    _case(folder, "ISPY1_1002", "ispy1_1002", SAGITTAL, phases=3)
    (folder / "segmentations/expert/ispy1_1002.nii.gz").unlink()
    _case(folder, "ISPY1_1003", "ispy1_1003", SAGITTAL, phases=3, radius_mm=0.0)
    other = _case(folder, "ISPY2_100900", "ispy2_100900", AXIAL, phases=3)
    for phase in (1, 2):
        _scan(other / f"ispy2_100900_{phase:04d}.nii.gz", *AXIAL, phase, np.int16, shift_mm=3.0)
    _case(folder, "NACT_02", "nact_02", AXIAL, phases=1)
    gap = _case(folder, "NACT_03", "nact_03", AXIAL, phases=3)
    (gap / "nact_03_0001.nii.gz").unlink()

    # Automatic masks, which must not be taken, and what operating systems leave behind.
    automatic = folder / "segmentations/automatic"
    automatic.mkdir()
    _scan(automatic / "ISPY1_1002.nii.gz", *SAGITTAL, 0, np.uint8)
    (folder / "images/.DS_Store").write_bytes(b"\0")
    (folder / "images/DUKE_001/._duke_001_0000.nii.gz").write_bytes(b"\0")
    (folder / "clinical_and_imaging_info.xlsx").write_bytes(b"PK\3\4")
    _splits(folder)
    return folder


def _splits(folder: Path) -> None:
    """With a byte order mark, Windows line ends, mixed case, spaces and rows of nothing."""
    bad = [name for name in BROKEN if name not in ("DUKE_999", "NACT_03")]
    train, test = [*TRAIN, *bad], [*TEST, "NACT_03"]
    rows = ["train_split,test_split"]
    rows += [f"{name},{test[i] if i < len(test) else ''}" for i, name in enumerate(train)]
    text = "\r\n".join([*rows, ",", " , ", ""])
    (folder / "train_test_splits.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())


def _case(
    folder: Path,
    name: str,
    file_name: str,
    grid: tuple[np.ndarray, tuple[int, int, int]],
    phases: int,
    ending: str = ".nii.gz",
    dtype: type = np.int16,
    filled: bool = False,
    radius_mm: float = RADIUS_MM,
) -> Path:
    affine, shape = grid
    case = folder / "images" / name
    for phase in range(phases):
        path = case / f"{file_name}_{phase:04d}{ending}"
        _scan(path, affine, shape, phase, dtype, filled)
    away = np.linalg.norm(places(affine, shape) - middle(affine, shape), axis=-1)
    _save(
        folder / f"segmentations/expert/{file_name.lower()}.nii.gz",
        (away < radius_mm).astype(np.uint8),
        affine,
    )
    return case


def _scan(
    path: Path,
    affine: np.ndarray,
    shape: tuple[int, int, int],
    phase: int,
    dtype: type,
    filled: bool = False,
    shift_mm: float = 0.0,
) -> None:
    signal = 1000 + 100 * phase + places(affine, shape) @ np.array(STEPS)
    if filled:
        signal[: shape[0] // 3] = 0
    moved = affine.copy()
    moved[0, 3] += shift_mm
    _save(path, np.rint(signal).astype(dtype), moved)


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
