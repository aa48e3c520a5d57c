from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.slices import read_png_folder

HEADER = "filename,pid,bbox_x,bbox_y,bbox_w,bbox_h,mm_per_px,tumor_area_mm2"
# 160 pixels of half a millimetre: 80 mm.
A_LARGE = "large.png,A,40,60,20,30,0.5,120"
A_SMALL = "small.png,A,40,60,20,30,0.5,60"
B = "other.png,B,0,0,20,160,0.5,41"


def folder_of(path: Path, *rows: str, header: str = HEADER, side: int = 160) -> Path:
    (path / "images").mkdir()
    (path / "cases.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    for number, row in enumerate(rows):
        pixels = np.zeros((side, side, 3), np.uint8)
        pixels[..., 0] = np.arange(side, dtype=np.uint8)
        pixels[..., 1] = 50 + number
        Image.fromarray(pixels).save(path / "images" / row.split(",")[0])
    return path


def test_each_patient_s_slice_with_the_largest_tumor_is_read_in_order(tmp_path: Path) -> None:
    found = read_png_folder(folder_of(tmp_path, B, A_SMALL, A_LARGE))
    assert [one.name for one in found] == ["A", "B"]
    assert (found[0].image[1] == 52).all()


def test_slices_come_at_one_millimetre_with_room_around_the_box(tmp_path: Path) -> None:
    (found, other) = read_png_folder(folder_of(tmp_path, A_LARGE, B))
    assert found.image.shape == (2, 80, 80)
    # Pixels 0 and 1 make the first millimetre, of .5 in the mean.
    np.testing.assert_array_equal(found.image[0, 0, :3], [0.5, 2.5, 4.5])
    # Rows 30 to 45 mm and columns 20 to 30 mm, and 3 mm around.
    assert found.box == (27, 48, 17, 33)
    assert other.box == (0, 80, 0, 13)


def test_a_larger_slice_is_cropped_around_the_tumor(tmp_path: Path) -> None:
    row = "wide.png,A,200,20,20,20,1,400"
    (found,) = read_png_folder(folder_of(tmp_path, row, side=240))
    assert found.image.shape == (2, 80, 80)
    # Columns 160 to 240 and rows 0 to 80.
    assert found.image[0, 0, 0] == 160 and found.box == (17, 43, 37, 63)


def test_without_areas_the_box_is_the_area(tmp_path: Path) -> None:
    header = HEADER.removesuffix(",tumor_area_mm2")
    rows = ["thin.png,A,40,60,4,30,0.5", "wide.png,A,40,60,20,30,0.5"]
    (found,) = read_png_folder(folder_of(tmp_path, *rows, header=header))
    assert (found.image[1] == 51).all()


def test_tumors_below_40_mm2_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="at least 40 mm2, and none of its 1 rows"):
        read_png_folder(folder_of(tmp_path, A_LARGE.replace(",120", ",39")))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="lacks mm_per_px"):
        read_png_folder(folder_of(tmp_path, A_LARGE, header=HEADER.replace("mm_per_px", "mm")))


@pytest.mark.parametrize("value", ["", "wide", "nan", "-1"])
def test_a_value_that_is_no_size_is_named_with_its_file(tmp_path: Path, value: str) -> None:
    row = f"large.png,A,{value},60,20,30,0.5,120"
    with pytest.raises(SynBTError, match="number of at least 0 for bbox_x, but large.png has"):
        read_png_folder(folder_of(tmp_path, row))


def test_a_missing_table_or_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="cases.csv was to be a table of slices"):
        read_png_folder(tmp_path)
    folder = folder_of(tmp_path, A_LARGE)
    (folder / "images" / "large.png").unlink()
    with pytest.raises(SynBTError, match="large.png was to be a slice"):
        read_png_folder(folder)


def test_a_grey_picture_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, A_LARGE)
    Image.new("L", (160, 160)).save(folder / "images" / "large.png")
    with pytest.raises(SynBTError, match="pre in red and post in green, but is .* mode L"):
        read_png_folder(folder)


def test_a_box_outside_the_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="box of A must lie in its"):
        read_png_folder(folder_of(tmp_path, "large.png,A,200,60,20,30,0.5,120"))
