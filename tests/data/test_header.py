"""Headers of many kinds: what is written lies where the scan lies, for ITK as for nibabel."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from small_scans import block, save, signal
from synbt_aug.data.nifti import read_mask, read_scan, write_labels, write_mask, write_painted
from synbt_aug.errors import SynBTError

AFFINE = np.array([[-0.7, 0, 0, 50], [0, -0.8, 0, 60], [0, 0, 2.0, -20], [0, 0, 0, 1]])


def _moved(mm: float) -> np.ndarray:
    moved = AFFINE.copy()
    moved[:3, 3] -= mm
    return moved


#: sform with its code, qform with its code; None leaves pixdim alone to say the size.
HEADERS = {
    "no codes": ((None, 0), (None, 0)),
    "qform alone": ((None, 0), (AFFINE, 1)),
    "sform 72 mm off the qform": ((AFFINE, 1), (_moved(72.0), 1)),
    "both forms alike": ((AFFINE, 2), (AFFINE, 1)),
}


def _scan(path: Path, kind: str, shape: tuple[int, ...] = (20, 18, 16)) -> Path:
    image = nib.Nifti1Image(signal(shape=shape), None)
    (sform, s_code), (qform, q_code) = HEADERS[kind]
    image.header.set_zooms((0.7, 0.8, 2.0) + (1.0,) * (len(shape) - 3))
    image.set_sform(sform, s_code)
    image.set_qform(qform, q_code)
    image.header["cal_max"] = 4000
    nib.save(image, path)
    return path


def _grid_by_itk(path: Path) -> list[tuple[float, ...]]:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(path))
    return [image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()]


@pytest.mark.parametrize("kind", HEADERS)
def test_itk_sees_masks_labels_and_painted_scans_where_it_sees_the_scan(
    tmp_path: Path, kind: str
) -> None:
    path = _scan(tmp_path / "scan.nii.gz", kind)
    scan = read_scan(path)
    inside = block().T.astype(bool)
    written = [
        write_mask(tmp_path / "mask.nii.gz", scan, inside),
        write_labels(tmp_path / "sites.nii.gz", scan, inside.astype(np.float32) / 3),
        write_painted(tmp_path / "painted.nii.gz", scan, scan.values() + 5, inside),
    ]
    for made in written:
        assert _grid_by_itk(made) == _grid_by_itk(path)
        assert (nib.load(made).affine == nib.load(path).affine).all()
    assert np.array_equal(read_mask(written[0], scan).numpy(), inside)


def test_a_mask_s_header_is_the_scan_s_but_for_its_type_and_its_display(tmp_path: Path) -> None:
    scan = read_scan(_scan(tmp_path / "scan.nii.gz", "both forms alike", (20, 18, 16, 1)))
    mask = nib.load(write_mask(tmp_path / "mask.nii.gz", scan, block().T))
    assert mask.shape == (20, 18, 16, 1) and mask.get_data_dtype() == np.uint8
    assert (mask.header["sform_code"], mask.header["qform_code"]) == (2, 1)
    assert mask.header["cal_max"] == 0
    assert np.array_equal(np.asarray(mask.dataobj)[..., 0], block())


def test_a_scaled_scan_does_not_scale_its_mask(tmp_path: Path) -> None:
    image = nib.Nifti1Image(signal(), AFFINE)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    mask = nib.load(write_mask(tmp_path / "mask.nii.gz", scan, block().T))
    assert np.array_equal(np.asarray(mask.dataobj), block())


@pytest.mark.parametrize("off, told", [(1.01, False), (1.03, True), (0.5, True)])
def test_an_affine_and_pixdim_of_other_sizes_are_told_with_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, off: float, told: bool
) -> None:
    image = nib.Nifti1Image(signal(), None)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE @ np.diag([1, 1, off, 1]), 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    assert read_scan(tmp_path / "scan.nii.gz").spacing[0] == pytest.approx(2 * off)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == told
    if told:
        assert f"0.7 x 0.8 x {2 * off:.4g} mm" in said[0] and "pixdim 0.7 x 0.8 x 2 mm" in said[0]


@pytest.mark.parametrize(
    ("unit", "factor", "cure"),
    [
        ("meter", 1e-3, r"numpy\.diag\(\[1000, 1000, 1000, 1\]\)"),
        ("micron", 1e3, r"numpy\.diag\(\[0\.001, 0\.001, 0\.001, 1\]\)"),
        # The unit alone is wrong: the numbers are those of a breast scan.
        ("micron", 1.0, r"look like mm: set the unit"),
    ],
)
def test_metres_and_microns_are_refused_with_the_cure(
    tmp_path: Path, unit: str, factor: float, cure: str
) -> None:
    image = nib.Nifti1Image(signal(), np.diag([factor, factor, factor, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii.gz")
    with pytest.raises(SynBTError, match=rf"scan\.nii\.gz gives them in {unit}s.*{cure}.*'mm'"):
        read_scan(tmp_path / "scan.nii.gz", "The pre-contrast scan")


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_sizes_of_no_breast_scan_are_refused_by_the_file_s_name(
    tmp_path: Path, factor: float
) -> None:
    path = save(tmp_path / "scan.nii.gz", signal(), np.diag([factor, factor, factor, 1]) @ AFFINE)
    with pytest.raises(SynBTError, match=r"0\.05 to 20 mm.*scan\.nii\.gz has voxels"):
        read_scan(path)
