"""`--roi` and `--only-free-side`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def roi(scans: Path, tmp_path: Path) -> Path:
    """A block around the phantom's own tumor."""
    tumor = nib.load(scans / "tumor.nii.gz")
    there = np.argwhere(np.asarray(tumor.dataobj) > 0)
    block = np.zeros(tumor.shape, np.uint8)
    low, high = there.mean(0).astype(int) - 6, there.mean(0).astype(int) + 7
    block[tuple(slice(max(a, 0), b) for a, b in zip(low, high))] = 1
    path = tmp_path / "roi.nii.gz"
    nib.save(nib.Nifti1Image(block, tumor.affine), path)
    return path


def test_a_tumor_is_painted_in_the_roi(
    synbt: Callable, scans: Path, weights: Path, roi: Path, tmp_path: Path
) -> None:
    pair = scans / "pre.nii.gz", scans / "post.nii.gz"
    options = "-o", tmp_path / "out", "--weights", weights, "--roi", roi, "--enhancement", 1.5
    said = synbt("synthesize", *pair, *options, "--diameter-mm", 10)
    assert said.code == 0, said.err
    label = np.asarray(nib.load(tmp_path / "out" / "tumor.nii.gz").dataobj) > 0
    where = np.asarray(nib.load(roi).dataobj) > 0
    assert (label & where).sum() >= 0.9 * label.sum()


@pytest.mark.parametrize("option", ["--roi", "--only-free-side"])
def test_a_given_shape_leaves_no_choice_of_a_place(
    synbt: Callable, scans: Path, weights: Path, roi: Path, tmp_path: Path, option: str
) -> None:
    pair = scans / "pre.nii.gz", scans / "post.nii.gz"
    place = [option, roi] if option == "--roi" else [option]
    mask = "--tumor-mask", scans / "tumor.nii.gz"
    said = synbt("synthesize", *pair, "-o", tmp_path / "o", "--weights", weights, *mask, *place)
    assert said.code != 0 and f"--tumor-mask leaves no choice of {option}" in said.err


def test_a_breast_with_a_tumor_has_no_free_side(
    synbt: Callable, scans: Path, weights: Path, roi: Path, tmp_path: Path
) -> None:
    pair = scans / "pre.nii.gz", scans / "post.nii.gz"
    options = "--weights", weights, "--existing", scans / "tumor.nii.gz", "--only-free-side"
    said = synbt("synthesize", *pair, "-o", tmp_path / "o", *options, "--roi", roi)
    assert said.code == 3 and "without a real tumor" in said.err


def test_a_roi_on_another_grid_is_refused(
    synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4)), path)
    pair = scans / "pre.nii.gz", scans / "post.nii.gz"
    said = synbt("synthesize", *pair, "-o", tmp_path / "o", "--weights", weights, "--roi", path)
    assert said.code != 0 and "The roi must lie on the grid of pre.nii.gz" in said.err
