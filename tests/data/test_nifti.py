from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from small_scans import SHAPE_XYZ, block, save, signal
from synbt_aug.data.nifti import (
    read_mask,
    read_pair,
    read_scan,
    write_mask,
    write_painted,
    write_volume,
)
from synbt_aug.errors import SynBTError

D, H, W = SHAPE_XYZ[::-1]


def _raw(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


def _scaled(path: Path, stored: np.ndarray, slope: float, intercept: float) -> Path:
    image = nib.Nifti1Image(stored, np.diag([0.7, 0.8, 2.0, 1.0]))
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, path)
    return path


def test_arrays_are_z_y_x_and_spacing_follows(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", signal(), np.diag([0.7, 0.8, 2.0, 1.0]))
    scan = read_scan(path)
    assert scan.shape == (16, 18, 20)
    assert scan.spacing == pytest.approx((2.0, 0.8, 0.7))
    assert scan.values()[3, 2, 1] == signal()[1, 2, 3]


def test_spacing_of_a_rotated_grid_comes_from_the_affine(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 3.0, 5], [0.5, 0, 0, 5], [0, 2.0, 0, 5], [0, 0, 0, 1]])
    scan = read_scan(save(tmp_path / "a.nii.gz", signal(), affine))
    assert scan.spacing == pytest.approx((3.0, 2.0, 0.5))


def test_scaling_of_the_file_is_applied(tmp_path: Path) -> None:
    scan = read_scan(_scaled(tmp_path / "a.nii.gz", signal(), 0.5, -10))
    assert scan.values()[3, 2, 1] == signal()[1, 2, 3] * 0.5 - 10


def test_unpainted_voxels_are_bitwise_the_same_on_disk(tmp_path: Path) -> None:
    stored = signal()
    path = _scaled(tmp_path / "a.nii.gz", stored, 0.013, -7.1)
    scan = read_scan(path)
    support = np.zeros(scan.shape, bool)
    support[4:6, 4:6, 4:6] = True
    out = write_painted(tmp_path / "b.nii.gz", scan, scan.values() + 1.3, support)
    outside = ~support.T
    assert (_raw(out)[outside] == stored[outside]).all()
    assert _raw(out).dtype == stored.dtype
    assert (_raw(out)[support.T] == stored[support.T] + 100).all()  # 1.3 / 0.013


def test_affine_zooms_scaling_and_dtype_of_the_file_are_kept(tmp_path: Path) -> None:
    path = _scaled(tmp_path / "a.nii.gz", signal(), 0.5, -10)
    scan = read_scan(path)
    out = write_painted(tmp_path / "b.nii.gz", scan, scan.values(), np.zeros(scan.shape, bool))
    before, after = nib.load(path), nib.load(out)
    assert (before.affine == after.affine).all()
    assert before.header.get_zooms() == after.header.get_zooms()
    assert before.header.get_data_dtype() == after.header.get_data_dtype()
    assert (after.dataobj.slope, after.dataobj.inter) == (0.5, -10)
    assert (_raw(path) == _raw(out)).all()


def test_painted_integers_are_rounded_and_saturated(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal()))
    values = np.zeros(scan.shape, np.float32)
    values[0, 0, :3] = 12.6, 1e9, -1e9
    out = write_painted(tmp_path / "b.nii.gz", scan, values, np.ones(scan.shape, bool))
    assert _raw(out)[:3, 0, 0].tolist() == [13, 32767, -32768]


def test_a_big_endian_float_file_keeps_its_kind(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    image = nib.Nifti1Image(signal().astype(">f4"), np.eye(4), header)
    image.set_data_dtype(">f4")
    nib.save(image, tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    out = write_painted(tmp_path / "b.nii.gz", scan, scan.values(), np.ones(scan.shape, bool))
    assert np.array_equal(_raw(out), signal())
    assert nib.load(out).header.get_data_dtype().newbyteorder("=") == np.float32


def test_trailing_single_dimensions_are_kept(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal()[..., None]))
    out = write_painted(tmp_path / "b.nii.gz", scan, scan.values(), np.zeros(scan.shape, bool))
    assert _raw(out).shape == (*SHAPE_XYZ, 1)
    assert np.array_equal(_raw(out)[..., 0], signal())


def test_a_written_volume_reads_back(tmp_path: Path) -> None:
    array = signal(shape=(16, 18, 20))
    scan = read_scan(write_volume(tmp_path / "a.nii.gz", array, np.diag([-1.0, -2, 3, 1])))
    assert np.array_equal(scan.stored, array)
    assert scan.spacing == (3.0, 2.0, 1.0)


def test_a_written_mask_reads_back_on_the_scans_grid(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal(), np.diag([-1.0, -1, 2, 1])))
    mask = block().T.astype(bool)
    path = write_mask(tmp_path / "m.nii.gz", scan, mask)
    assert np.array_equal(read_mask(path, scan).numpy(), mask)


NEGATIVE = {
    "255 kept as int8": (255 * block()).astype(np.int8),
    "one label of -2": np.where(block() > 0, -2, 0).astype(np.int16) + block(),
    "-1 in floating point": -block().astype(np.float32),
}


@pytest.mark.parametrize("kind", NEGATIVE)
def test_a_mask_with_negative_values_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal()))
    path = save(tmp_path / "m.nii.gz", NEGATIVE[kind])
    with pytest.raises(SynBTError, match=r"The tumor mask needs values from 0 on.*24 voxels"):
        read_mask(path, scan, "The tumor mask")
    with pytest.raises(SynBTError, match=r"m\.nii\.gz holds 24 .*uint8"):
        read_mask(path, scan, label=1)
    with pytest.raises(SynBTError, match="existing tumors needs values from 0 on"):
        read_pair(scan.path, save(tmp_path / "post.nii.gz", signal(1)), existing=path)


def test_a_mask_that_was_resampled_may_swing_below_zero(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal()))
    soft = block().astype(np.float32) * 1.02 - 0.03
    assert int(read_mask(save(tmp_path / "m.nii.gz", soft), scan).sum()) == 24


@pytest.mark.parametrize("mask", ["existing", "forbidden"])
def test_an_empty_mask_is_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mask: str
) -> None:
    pre, post = save(tmp_path / "pre.nii.gz", signal(0)), save(tmp_path / "post.nii.gz", signal(1))
    read_pair(pre, post, **{mask: save(tmp_path / "m.nii.gz", block())})
    assert not caplog.records
    read_pair(pre, post, **{mask: save(tmp_path / "m.nii.gz", 0 * block())})
    (record,) = caplog.records
    assert "is empty" in record.getMessage() and "m.nii.gz" in record.getMessage()


def test_a_label_picks_one_value_of_a_mask(tmp_path: Path) -> None:
    scan = read_scan(save(tmp_path / "a.nii.gz", signal()))
    path = save(tmp_path / "m.nii.gz", 2 * block())
    assert int(read_mask(path, scan, label=2).sum()) == 24
    assert int(read_mask(path, scan, label=1).sum()) == 0


def test_a_pair_becomes_a_volume_with_its_masks(tmp_path: Path) -> None:
    pre = save(tmp_path / "pre.nii.gz", signal(0))
    post = save(tmp_path / "post.nii.gz", signal(1))
    pair = read_pair(pre, post, existing=save(tmp_path / "m.nii.gz", block()))
    assert pair.volume.image.shape == (2, D, H, W)
    assert np.array_equal(pair.volume.image[1].numpy(), signal(1).T)
    assert pair.volume.tumor is not None and int(pair.volume.tumor.sum()) == 24


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_a_pair_keeps_the_integers_of_its_files(tmp_path: Path, dtype: type) -> None:
    # What is judged is then what is written: 255 is the end of a uint8 scan.
    pre = save(tmp_path / "pre.nii.gz", (signal(0) // 2).astype(dtype))
    post = save(tmp_path / "post.nii.gz", (signal(1) // 2).astype(dtype))
    image = read_pair(pre, post).volume.image
    assert image.numpy().dtype == dtype
    assert np.array_equal(image[1].numpy(), (signal(1) // 2).T)


def test_a_pair_of_other_kinds_is_floating_point(tmp_path: Path) -> None:
    plain = save(tmp_path / "plain.nii.gz", signal(0), np.diag([0.7, 0.8, 2.0, 1.0]))
    scaled = _scaled(tmp_path / "scaled.nii.gz", signal(1), 0.5, -10)
    unsigned = save(
        tmp_path / "unsigned.nii.gz", signal(1).astype(np.uint16), np.diag([0.7, 0.8, 2.0, 1.0])
    )
    for pre, post in ((plain, scaled), (scaled, scaled), (plain, unsigned), (unsigned, unsigned)):
        image = read_pair(pre, post).volume.image
        assert image.dtype == torch.float32
        assert np.array_equal(image[1].numpy(), read_scan(post).values())


def test_affines_that_differ_by_rounding_are_one_grid(tmp_path: Path) -> None:
    shifted = np.eye(4)
    shifted[0, 3] = 1e-3
    pre = save(tmp_path / "pre.nii.gz", signal(0))
    read_pair(pre, save(tmp_path / "post.nii.gz", signal(1), shifted))


def test_a_direction_rounded_by_its_quaternion_is_the_same_grid(tmp_path: Path) -> None:
    # Axial, as DICOM points, and turned by 1 mrad: the real part of its quaternion, .0005, squared
    # is lost beside 1 in float32, and the far corner moves by .3 mm.
    c, s = np.cos(1e-3), np.sin(1e-3)
    affine = np.array([[-c, s, 0, 0], [-s, -c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    pre, shape = tmp_path / "pre.nii.gz", (300, 8, 8)
    image = nib.Nifti1Image(signal(0, shape), None)
    image.set_sform(None, 0)
    image.set_qform(affine, 1)
    nib.save(image, pre)
    assert abs(nib.load(pre).affine - affine).max() * 300 > 0.25
    read_pair(pre, save(tmp_path / "post.nii.gz", signal(1, shape), affine))
    turned = affine @ np.array([[1, -0.01, 0, 0], [0.01, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.raises(SynBTError, match="another affine"):
        read_pair(pre, save(tmp_path / "turned.nii.gz", signal(1, shape), turned))
    moved = affine.copy()
    moved[0, 3] = 0.5
    with pytest.raises(SynBTError, match="another affine.*0.5"):
        read_pair(pre, save(tmp_path / "moved.nii.gz", signal(1, shape), moved))


BAD_SCANS = {
    "does not exist": None,
    "is a 2D image": signal()[..., :1],
    "4D": signal(shape=(8, 8, 8, 3)),
    "constant: every voxel is 7": np.full(SHAPE_XYZ, 7, np.int16),
    "empty: every voxel is 0": np.zeros(SHAPE_XYZ, np.int16),
    "holds 2 NaN or infinite voxels": np.where(
        np.arange(np.prod(SHAPE_XYZ)).reshape(SHAPE_XYZ) < 2, np.nan, signal()
    ).astype(np.float32),
}


@pytest.mark.parametrize("said", BAD_SCANS)
def test_a_scan_that_cannot_be_used_is_refused_by_name(tmp_path: Path, said: str) -> None:
    path = tmp_path / "scan.nii.gz"
    if BAD_SCANS[said] is not None:
        save(path, BAD_SCANS[said])
    with pytest.raises(SynBTError, match=said) as error:
        read_scan(path, "The post-contrast scan")
    assert str(error.value).startswith("The post-contrast scan")
    assert str(path) in str(error.value)


def test_files_that_are_no_nifti_or_cut_short_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "scan.nii.gz"
    text.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(SynBTError, match="cannot be read.*dcm2niix"):
        read_scan(text)
    whole = save(tmp_path / "whole.nii.gz", signal()).read_bytes()
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SynBTError, match="cannot be read"):
        read_scan(cut)


@pytest.mark.parametrize("at, number", [(70, 1234), (42, -5)])
def test_a_damaged_header_is_refused(tmp_path: Path, at: int, number: int) -> None:
    """The data type at byte 70, the length of the first axis at byte 42."""
    header = bytearray(save(tmp_path / "scan.nii", signal()).read_bytes())
    header[at : at + 2] = number.to_bytes(2, "little", signed=True)
    path = tmp_path / "damaged.nii"
    path.write_bytes(bytes(header))
    with pytest.raises(SynBTError, match="cannot be read"):
        read_scan(path)


def test_another_grid_is_refused_with_both_grids(tmp_path: Path) -> None:
    pre = save(tmp_path / "pre.nii.gz", signal(0))
    smaller = save(tmp_path / "post.nii.gz", signal(1)[:-1])
    with pytest.raises(SynBTError, match="19 x 18 x 16 voxels, not 20 x 18 x 16.*Resample"):
        read_pair(pre, smaller)
    moved = np.eye(4)
    moved[1, 3] = 3
    with pytest.raises(SynBTError, match="another affine.*3.00 mm"):
        read_pair(pre, save(tmp_path / "post2.nii.gz", signal(1), moved))
    post = save(tmp_path / "post3.nii.gz", signal(1))
    with pytest.raises(SynBTError, match="The mask of existing tumors must lie on the grid"):
        read_pair(pre, post, existing=save(tmp_path / "m.nii.gz", block((8, 8, 8))))


def test_the_real_pair_is_read(real_case: Path) -> None:
    images = real_case / "images/DUKE_153"
    pair = read_pair(
        images / "duke_153_0000.nii.gz",
        images / "duke_153_0001.nii.gz",
        existing=real_case / "segmentations/boxthresh/DUKE_153.nii.gz",
    )
    assert pair.volume.shape == (128, 192, 192)
    assert pair.volume.spacing == pytest.approx((1, 1, 1))


def test_an_anisotropic_real_scan_round_trips(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "pyradiomics_breast1/pyrad_breast1_image.nrrd"
    if not source.is_file():
        pytest.skip("no anisotropic scan")
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(source))
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    scan = read_scan(tmp_path / "a.nii.gz")
    assert scan.spacing == pytest.approx(image.GetSpacing()[::-1], rel=1e-5)
    assert np.array_equal(scan.stored, sitk.GetArrayFromImage(image))
    with pytest.raises(SynBTError, match="NRRD need"):
        read_scan(source)
