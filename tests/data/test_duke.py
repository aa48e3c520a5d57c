from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from synbt_aug.data.duke import duke_label_maps, read_segments
from synbt_aug.errors import SynBTError
from synbt_aug.tissue.labels_to_image import AIR, FAT, GLAND, REST, SKIN, VESSEL

nrrd = pytest.importorskip("nrrd")

#: Voxels of 2 x 2 x 4 mm; x to the right in the file's LPS.
DIRECTIONS = np.diag([2.0, 2.0, 4.0])
SHAPE = (40, 40, 20)

Write = Callable[..., Path]


def _segmentation(path: Path, data: np.ndarray, segments: list[tuple[str, int, int]]) -> None:
    directions = DIRECTIONS.tolist()
    header: dict[str, object] = {"space": "left-posterior-superior", "space origin": [0.0] * 3}
    if data.ndim == 4:
        directions = [[float("nan")] * 3, *directions]
    header["space directions"] = np.array(directions)
    for number, (name, value, layer) in enumerate(segments):
        header |= {
            f"Segment{number}_Name": name,
            f"Segment{number}_LabelValue": str(value),
            f"Segment{number}_Layer": str(layer),
        }
    nrrd.write(str(path), data, header)


def _masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    breast, dense, vessel = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    breast[10:30, 8:24, 4:16] = 1
    dense[14:22, 12:18, 6:12] = 1
    vessel[24:26, 12:20, 8:10] = 1
    return breast, dense, vessel


@pytest.fixture
def duke(tmp_path: Path) -> Write:
    """One patient; air is in front (small y of the file), muscle behind."""

    def write(swapped: bool = False, layers: bool = False, name: str = "Breast_MRI_001") -> Path:
        breast, dense, vessel = _masks()
        _segmentation(tmp_path / f"Segmentation_{name}_Breast.seg.nrrd", breast, [("Breast", 1, 0)])
        first, second = (2, 1) if swapped else (1, 2)
        if layers:
            inner = np.stack([dense, vessel])
            segments = [("Dense tissue", 1, 0), ("Vessels", 1, 1)]
        else:
            inner = (first * vessel + second * dense).astype(np.uint8)
            segments = [("Vessels", first, 0), ("Dense tissue", second, 0)]
        _segmentation(tmp_path / f"Segmentation_{name}_Dense_and_Vessels.seg.nrrd", inner, segments)
        scan = np.where(breast, 100, 0) + np.where(dense, 80, 0)
        scan[:, 24:] = 60
        affine = np.diag([-2.0, -2.0, 4.0, 1.0])
        (tmp_path / "images").mkdir(exist_ok=True)
        image = nib.Nifti1Image(scan.astype(np.int16), affine)
        nib.save(image, tmp_path / "images" / "DUKE_001_0000.nii.gz")
        return tmp_path

    return write


def test_names_decide_whatever_the_values(duke: Write) -> None:
    straight = duke_label_maps(duke())[0].labels
    swapped = duke_label_maps(duke(swapped=True))[0].labels
    layered = duke_label_maps(duke(layers=True))[0].labels
    assert bool((straight == swapped).all()) and bool((straight == layered).all())


def test_the_tissues_have_their_volumes(duke: Write) -> None:
    (case,) = duke_label_maps(duke())
    labels = case.labels.numpy()
    _, dense, vessel = _masks()
    for value, mask in ((GLAND, dense), (VESSEL, vessel)):
        # A voxel of the file is 16 mm3; half a millimetre at the surface may be lost or won.
        assert (labels == value).sum() == pytest.approx(16 * mask.sum(), rel=0.25)
    assert {AIR, FAT, SKIN, REST} <= set(np.unique(labels))


def test_skin_lies_between_air_and_breast_and_muscle_is_no_skin(duke: Write) -> None:
    labels = duke_label_maps(duke())[0].labels.numpy()
    skin = np.argwhere(labels == SKIN)
    inner = np.argwhere(labels == GLAND)
    middle = [int(v) for v in inner.mean(0)]
    column = labels[middle[0], :, middle[2]]
    assert len(skin) > 0
    at = np.flatnonzero(column == SKIN)
    beyond = column[[min(at) - 1, max(at) + 1]]
    assert AIR in beyond
    assert not set(beyond.tolist()) & {REST}


def test_the_scan_is_kept_at_half_the_resolution(duke: Write) -> None:
    case = duke_label_maps(duke())[0]
    assert [-(-n // 2) for n in case.labels.shape] == list(case.scan.shape)
    assert case.name == "Segmentation_Breast_MRI_001"


def test_affines_are_turned_from_lps_to_ras(duke: Write) -> None:
    folder = duke()
    masks, affine = read_segments(folder / "Segmentation_Breast_MRI_001_Breast.seg.nrrd")
    assert list(masks) == ["breast"]
    assert np.allclose(affine, np.diag([-2.0, -2.0, 4.0, 1.0]))


def test_missing_files_are_told(duke: Write, tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match=r"holds no \*_Breast.seg.nrrd"):
        duke_label_maps(tmp_path / "images")
    folder = duke()
    (folder / "images" / "DUKE_001_0000.nii.gz").unlink()
    with pytest.raises(SynBTError, match=r"no pre-contrast scan \(breast_mri_001_0000.nii.gz"):
        duke_label_maps(folder)
    (folder / "Segmentation_Breast_MRI_001_Dense_and_Vessels.seg.nrrd").unlink()
    with pytest.raises(SynBTError, match="has breast labels, but no Dense_and_Vessels"):
        duke_label_maps(folder)


def test_a_file_without_names_is_told(tmp_path: Path) -> None:
    path = tmp_path / "Segmentation_x_Breast.seg.nrrd"
    _segmentation(path, _masks()[0], [])
    with pytest.raises(SynBTError, match="names no segment"):
        read_segments(path)
    path.write_bytes(b"no nrrd")
    with pytest.raises(SynBTError, match="is no segmentation of 3D Slicer"):
        read_segments(path)
