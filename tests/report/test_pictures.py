from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from small_scans import SHOWN_SHAPE, before_after
from synbt_aug.report.drawing import OUTLINE
from synbt_aug.report.pictures import BeforeAfter, plane_views


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


def padded(**changes: object) -> BeforeAfter:
    """The case in the first half of a patch whose other half a host has filled with zeros."""
    case = before_after()

    def wide(volume: np.ndarray) -> np.ndarray:
        return np.concatenate([volume, np.zeros_like(volume)], axis=-1)

    images = {"before": wide(case.before), "after": wide(case.after)}
    masks = {"tumor": wide(case.tumor), "support": wide(case.support)}
    return before_after(**(images | masks | changes))


def test_margins_that_a_host_has_padded_are_cut_away() -> None:
    for ours, theirs in zip(plane_views(before_after()), plane_views(padded()), strict=True):
        assert ours.whole.size == theirs.whole.size
        assert ours.whole_pixels_per_mm == theirs.whole_pixels_per_mm
    # Of signed signal, as nnU-Net normalises it, padding is in the middle of the scale.
    shifted = padded()
    shifted.before[..., :80] -= 100
    assert plane_views(shifted)[0].whole.size == plane_views(before_after())[0].whole.size


def test_a_close_up_beside_padding_shows_signal_and_the_whole_tumor() -> None:
    tumor = np.zeros((*SHOWN_SHAPE[:2], 160), bool)
    tumor[18:24, 26:34, 70:80] = True
    view = plane_views(padded(tumor=tumor, support=tumor))[0]
    # 64 of 80 mm of the scan, its last column at the right; the tumor's box ends there.
    assert (np.asarray(view.close["pre before"])[:, -8:] > 0).mean() > 0.9
    columns = np.nonzero(np.asarray(view.outline)[..., 3].any(axis=0))[0]
    assert columns.max() == pytest.approx(191, abs=2) and np.ptp(columns) == pytest.approx(
        29, abs=2
    )


def test_tumors_too_far_apart_for_one_close_up_show_the_largest() -> None:
    tumor = np.zeros((20, 60, 200), bool)
    tumor[8:12, 20:30, 10:20] = True
    tumor[8:12, 20:26, 180:186] = True
    before = np.random.default_rng(0).normal(100, 5, (2, *tumor.shape)).astype(np.float32)
    after = before.copy()
    after[1][tumor] += 300
    view = plane_views(before_after(before=before, after=after, tumor=tumor, support=tumor))[0]
    assert view.side_mm == 64.0
    # Moved off the scan's end, whose first column is the picture's.
    drawn = np.asarray(view.outline)[..., 3] > 0
    assert np.nonzero(drawn.any(axis=0))[0].tolist() == list(range(30, 60))
    # Both are outlined in the whole slice.
    outlined = (np.asarray(view.whole) == OUTLINE).all(axis=-1).any(axis=0)
    assert outlined[: len(outlined) // 2].any() and outlined[len(outlined) // 2 :].any()


def test_whole_numbers_are_shown_as_floating_point_is() -> None:
    case = before_after()
    whole = {"before": case.before.round().astype(np.int16)}
    whole["after"] = case.after.round().astype(np.int16)
    floats = {name: image.astype(np.float32) for name, image in whole.items()}
    for ours, theirs in zip(
        plane_views(before_after(**whole)), plane_views(before_after(**floats)), strict=True
    ):
        for name, picture in ours.close.items():
            assert np.array_equal(np.asarray(picture), np.asarray(theirs.close[name])), name


def test_only_the_slices_shown_are_copied() -> None:
    shape = (120, 160, 160)
    image = np.random.default_rng(0).integers(0, 300, (2, *shape)).astype(np.int16)
    tumor = np.zeros(shape, bool)
    tumor[50:60, 70:90, 70:90] = True
    case = BeforeAfter("large", image, image + 5, tumor, tumor, (1.0, 1.0, 1.0), np.eye(4))
    tracemalloc.start()
    plane_views(case)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One float32 volume alone would take 12 MB.
    assert peak < 8e6
