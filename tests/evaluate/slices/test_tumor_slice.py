from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.slices import TumorSlice, slice_through


def volume_with_a_box() -> tuple[np.ndarray, np.ndarray]:
    """A box of 6 x 10 x 14 mm, widest across the first axis in its slices 11 and 12."""
    label = np.zeros((30, 100, 100), bool)
    label[10:16, 20:30, 40:54] = True
    label[11:13, 18:32, 40:54] = True
    pre = np.arange(label.size, dtype=np.float32).reshape(label.shape)
    return np.stack([pre, pre + 1000 * label]), label


def test_the_slice_with_most_of_the_label_is_taken_two_millimetres_thick() -> None:
    image, label = volume_with_a_box()
    found = slice_through("A", image, label, axis=0)
    assert found is not None
    # The middle of rows 18 to 31 and columns 40 to 53 is 24.5 and 46.5, which rounds to even: rows
    # would begin at 24 - 40, so they begin at 0; columns begin at 46 - 40.
    thick = image[:, 11:13].mean(1)
    np.testing.assert_array_equal(found.image, thick[:, :80, 6:86].astype(np.float32))
    # 4 mm around the label.
    assert found.box == (18 - 4, 32 + 4, 40 - 6 - 4, 54 - 6 + 4)


def test_a_slice_at_the_far_edge_stays_inside_the_volume() -> None:
    image, label = volume_with_a_box()
    found = slice_through("A", image[..., ::-1, ::-1], label[:, ::-1, ::-1], axis=0)
    assert found is not None
    thick = image[:, 11:13, ::-1, ::-1].mean(1)
    # The middle is row 74.5 and column 52.5, which round to 74 and 52.
    np.testing.assert_array_equal(found.image, thick[:, 20:, 12:92].astype(np.float32))


def test_what_lies_outside_a_narrow_volume_is_no_signal() -> None:
    image, label = volume_with_a_box()
    found = slice_through("A", image + 1, label, axis=1)
    assert found is not None
    rows = (found.image[0] != 0).any(1)
    # Rows are the first axis here, of 30 voxels, in the middle of the 80.
    assert rows[25:55].all() and rows.sum() == 30


def test_a_label_of_less_than_200_mm3_gives_no_slice() -> None:
    image, label = volume_with_a_box()
    small = np.zeros_like(label)
    small[10, 20:30, 40:59] = True
    assert slice_through("A", image, small) is None
    small[10, 20:30, 40:60] = True
    assert slice_through("A", image, small) is not None


def test_the_axis_that_is_drawn_depends_on_the_label_alone() -> None:
    image, label = volume_with_a_box()
    first, again = (slice_through("A", image + k, label) for k in (0, 7))
    assert first is not None and again is not None
    np.testing.assert_allclose(again.image[first.image != 0] - 7, first.image[first.image != 0])


@pytest.mark.parametrize("image", [np.zeros((3, 9, 9)), np.full((2, 9, 9), np.nan)])
def test_other_than_two_finite_channels_are_refused(image: np.ndarray) -> None:
    with pytest.raises(SynBTError, match="finite pre- and post-contrast signal"):
        TumorSlice("A", image, (0, 9, 0, 9))


@pytest.mark.parametrize("box", [(0, 10, 0, 9), (-1, 9, 0, 9), (5, 5, 0, 9)])
def test_a_box_outside_the_slice_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(SynBTError, match="box of A must lie in its 9 x 9 mm"):
        TumorSlice("A", np.zeros((2, 9, 9)), box)
