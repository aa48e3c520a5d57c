from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.evaluate.probe.judging import dice_of, false_positives, overlap_of, parts_of

MM = (1.0, 1.0, 1.0)
NOTHING = np.zeros((20, 20, 20), bool)


def box(*corners: tuple[int, int]) -> np.ndarray:
    mask = NOTHING.copy()
    mask[tuple(slice(a, b) for a, b in corners)] = True
    return mask


IMPLANT = box((4, 8), (4, 8), (4, 8))


def test_overlap_is_of_all_parts_that_touch_the_implant_together() -> None:
    # Two slabs of 16 voxels each within the 64, and a part elsewhere that is not counted.
    predicted = (
        box((4, 5), (4, 8), (4, 8)) | box((7, 8), (4, 8), (4, 8)) | box((15, 18), *[(15, 18)] * 2)
    )
    found = overlap_of(parts_of(predicted, MM), IMPLANT, NOTHING)
    assert found.iou == pytest.approx(32 / 64) and found.dice == pytest.approx(64 / 96)


def test_a_prediction_of_everything_hardly_overlaps() -> None:
    found = overlap_of(parts_of(~NOTHING, MM), IMPLANT, NOTHING)
    assert found.iou == pytest.approx(64 / 8000)


def test_what_of_a_part_lies_on_a_real_tumor_is_left_out() -> None:
    real = box((9, 14), (4, 8), (4, 8))
    bridged = IMPLANT | box((8, 9), (4, 8), (4, 8)) | real
    found = overlap_of(parts_of(bridged, MM), IMPLANT, real)
    assert found.iou == pytest.approx(64 / 80)


def test_nothing_predicted_overlaps_nothing() -> None:
    found = overlap_of(parts_of(NOTHING, MM), IMPLANT, NOTHING)
    assert (found.iou, found.dice) == (0.0, 0.0)


def test_parts_that_touch_no_tumor_are_false_positives_unless_they_are_specks() -> None:
    real = box((12, 14), (12, 14), (12, 14))
    lone = box((0, 2), (0, 2), (0, 3))  # 12 voxels
    speck = box((18, 20), (0, 2), (18, 20))  # 8 voxels
    parts = parts_of(IMPLANT | real | lone | speck, MM)
    assert false_positives(parts, real, IMPLANT) == 1
    assert false_positives(parts, real) == 2
    # In voxels of 2 mm3 the speck has 16 mm3.
    assert false_positives(parts_of(lone | speck, (1.0, 1.0, 2.0)), real, IMPLANT) == 2


def test_parts_that_touch_by_a_corner_are_one() -> None:
    corner = box((0, 2), (0, 2), (0, 3)) | box((2, 4), (2, 4), (3, 6))
    assert false_positives(parts_of(corner, MM), NOTHING) == 1


def test_dice_of_two_masks() -> None:
    assert dice_of(box((4, 8), (4, 8), (4, 6)), IMPLANT) == pytest.approx(2 * 32 / 96)
