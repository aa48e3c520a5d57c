from __future__ import annotations

import numpy as np
from PIL import Image

from synbt_aug.report.overlays import PREDICTION, REFERENCE, outlined_slices

SHAPE = (16, 24, 32)


def _box(*start: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, a + 6) for a in start)] = True
    return mask


def _views(
    reference: np.ndarray, predicted: np.ndarray, spacing: tuple[float, float, float] = (1.0,) * 3
) -> dict[str, Image.Image]:
    pre = np.full(SHAPE, 100, np.int16)
    post = pre + np.linspace(0, 50, SHAPE[2]).astype(np.int16)
    return dict(outlined_slices(pre, post, reference, predicted, spacing))


def _of_color(picture: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    return (np.asarray(picture) == color).all(axis=-1)


def test_reference_and_prediction_are_outlined_in_their_colors_in_three_planes() -> None:
    views = _views(_box(4, 4, 4), _box(4, 12, 14))
    assert list(views) == [
        "axial, subtraction", "axial, outlined", "coronal, outlined", "sagittal, outlined",
    ]  # fmt: skip
    assert not _of_color(views["axial, subtraction"], REFERENCE).any()
    shown = views["axial, outlined"]
    for color, middle in ((REFERENCE, (7, 7)), (PREDICTION, (15, 17))):
        rows, columns = np.nonzero(_of_color(shown, color))
        # 8 pixels a voxel: 256 for the longer side of 32.
        assert abs(rows.mean() / 8 - middle[0]) < 0.3
        assert abs(columns.mean() / 8 - middle[1]) < 0.3


def test_pictures_keep_the_scale_in_mm() -> None:
    views = _views(_box(4, 4, 4), _box(4, 4, 4), (4.0, 1.0, 1.0))
    assert views["axial, outlined"].size == (256, 192)
    assert views["coronal, outlined"].size == (128, 256)  # 32 mm wide, 64 mm tall
    assert views["sagittal, outlined"].size == (96, 256)


def test_the_head_is_up() -> None:
    rows, _ = np.nonzero(
        _of_color(_views(_box(0, 8, 8), _box(0, 8, 8))["coronal, outlined"], PREDICTION)
    )
    # The lowest 6 of 16 slices lie at the bottom of the picture.
    assert rows.min() >= 10 / 16 * 128 - 1


def test_a_missed_tumor_and_an_empty_case_are_shown() -> None:
    nothing = np.zeros(SHAPE, bool)
    missed = _views(_box(4, 4, 4), nothing)["axial, outlined"]
    assert _of_color(missed, REFERENCE).any() and not _of_color(missed, PREDICTION).any()
    alarm = _views(nothing, _box(4, 4, 4))["axial, outlined"]
    assert _of_color(alarm, PREDICTION).any() and not _of_color(alarm, REFERENCE).any()
    empty = _views(nothing, nothing)["axial, outlined"]
    assert not _of_color(empty, REFERENCE).any() and not _of_color(empty, PREDICTION).any()
