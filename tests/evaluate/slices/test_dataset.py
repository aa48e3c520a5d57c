"""One slice a case of a folder of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_datasets import write_dataset
from synbt_aug.data.nifti import write_volume
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.slices import read_slice_set
from synbt_aug.evaluate.slices.dataset import across


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases at 1.5 mm with a ball of 6 mm radius that gains 100, and one without a tumor."""
    folder = write_dataset(tmp_path_factory.mktemp("own") / "set", 100, count=3)
    empty = folder / "labelsTr" / "case2.nii.gz"
    shape = (48, 48, 40)
    write_volume(empty, np.zeros(shape, np.uint8), np.diag([1.5, 1.5, 1.5, 1.0]))
    return folder


def test_a_dataset_gives_a_slice_at_one_millimetre_of_each_case_with_a_tumor(dataset: Path) -> None:
    told: list[tuple[int, int]] = []
    found = read_slice_set(dataset, lambda *done: told.append(done))
    assert [one.name for one in found.slices] == ["case0", "case1"]
    assert len(found.skipped) == 1 and found.skipped[0].startswith("case2: ")
    assert told[-1] == (3, 3)
    for one in found.slices:
        assert one.image.shape == (2, 80, 80)
        top, bottom, left, right = one.box
        # The disc is 12 mm across, with 4 mm of room on each side and a voxel's rounding.
        assert 17 <= bottom - top <= 22 and 17 <= right - left <= 22
        middle = (slice(None), (top + bottom) // 2, (left + right) // 2)
        pre, post = one.image[middle]
        assert post - pre > 50


def test_png_slices_with_a_table_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    header = "filename,pid,bbox_x,bbox_y,bbox_w,bbox_h,mm_per_px"
    (tmp_path / "cases.csv").write_text(f"{header}\na.png,A,30,30,20,20,1\n")
    Image.fromarray(np.full((80, 80, 3), 7, np.uint8)).save(tmp_path / "images" / "a.png")
    (one,) = read_slice_set(tmp_path).slices
    assert one.name == "A" and (one.image == 7).all()


def test_a_dataset_without_tumors_is_refused(dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "none", 100, count=1, radius_mm=2.5)
    with pytest.raises(SynBTError, match="tumor of at least 200 mm3, and none of its 1 has one"):
        read_slice_set(other)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((0.7, 0.7, 2.0), 2), ((2.0, 0.7, 0.7), 0), ((1.0, 1.0, 1.0), None), ((0.9, 1.0, 1.0), None)],
)
def test_slices_lie_across_the_axis_that_is_sampled_coarsest(
    spacing: tuple[float, float, float], axis: int | None
) -> None:
    assert across(spacing) == axis
