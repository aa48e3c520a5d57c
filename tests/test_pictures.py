from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from small_scans import SHOWN_SHAPE, before_after
from synbt_aug.pictures import OUTLINE, BeforeAfter, contact_sheet, plane_views, preview


def _bright(picture: Image.Image, level: int = 200) -> np.ndarray:
    return np.asarray(picture.convert("L")) > level


def test_there_are_three_planes_with_six_close_ups() -> None:
    views = plane_views(before_after())
    assert [view.plane for view in views] == ["axial", "coronal", "sagittal"]
    assert all(len(view.close) == 6 for view in views)


def test_the_tumor_is_bright_after_and_in_the_middle_of_the_close_up() -> None:
    view = plane_views(before_after())[0]
    assert not _bright(view.close["post before"]).any()
    rows, columns = np.nonzero(_bright(view.close["post after"]))
    # 8 mm of 64 mm shown on 192 pixels.
    assert np.ptp(rows) == pytest.approx(24, abs=3) and np.ptp(columns) == pytest.approx(24, abs=3)
    assert rows.mean() == pytest.approx(95.5, abs=4)


def test_the_subtraction_is_black_where_nothing_enhances() -> None:
    view = plane_views(before_after())[0]
    flat = np.asarray(view.close["subtraction before"])
    assert flat.mean() < 10
    assert np.array_equal(np.asarray(view.close["pre before"]), np.asarray(view.close["pre after"]))


def test_the_outline_runs_around_the_tumor_and_not_through_it() -> None:
    view = plane_views(before_after())[0]
    drawn = np.asarray(view.outline)[..., 3] > 0
    # The edge itself is half as bright as the tumor.
    assert _bright(view.close["post after"], 90)[drawn].mean() > 0.8
    assert drawn.any() and not drawn[90:100, 90:100].any()
    assert (np.asarray(view.marked("post after"))[drawn] == OUTLINE).all()


def test_voxels_that_are_not_cubes_are_shown_at_one_scale() -> None:
    view = plane_views(before_after(spacing=(3.0, 1.0, 1.0)))[1]  # coronal: 120 mm x 80 mm
    assert view.whole.height / view.whole.width == pytest.approx(120 / 80, rel=0.01)


def test_an_affine_turns_axes_to_the_readers_view() -> None:
    painting = before_after()
    # The same scan with x stored from left to right and axes z, y, x swapped to x, y, z.
    turned = BeforeAfter(
        title="turned",
        before=painting.before.transpose(0, 3, 2, 1)[:, ::-1],
        after=painting.after.transpose(0, 3, 2, 1)[:, ::-1],
        tumor=painting.tumor.transpose(2, 1, 0)[::-1],
        support=painting.support.transpose(2, 1, 0)[::-1],
        spacing=(1.0, 1.0, 1.0),
        # Files' x is our last axis: it runs to the head; the files' z runs to the right.
        affine=np.array([[0, 0, 1.0, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
    )
    for ours, theirs in zip(plane_views(painting), plane_views(turned), strict=True):
        assert np.array_equal(np.asarray(ours.whole), np.asarray(theirs.whole))


def test_a_large_tumor_fits_its_close_up() -> None:
    tumor = np.zeros(SHOWN_SHAPE, bool)
    tumor[:, :, 2:78] = True
    view = plane_views(before_after(tumor=tumor, support=tumor))[0]
    columns = np.nonzero(np.asarray(view.outline)[..., 3].any(axis=0))[0]
    assert columns.min() > 10 and columns.max() < 182


def test_a_removal_is_shown_without_an_outline() -> None:
    painting = before_after(tumor=np.zeros(SHOWN_SHAPE, bool))
    view = plane_views(painting)[0]
    assert not (np.asarray(view.outline)[..., 3] > 0).any()
    assert _bright(view.close["post after"]).any()


def test_preview_and_contact_sheet_hold_every_part() -> None:
    painting = before_after()
    assert preview(painting).width > 7 * 180
    one, many = contact_sheet([painting]), contact_sheet([painting] * 5)
    assert many.width > 2.9 * one.width and many.height > 1.9 * one.height
