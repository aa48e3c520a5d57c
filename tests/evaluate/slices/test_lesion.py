from __future__ import annotations

from dataclasses import replace

import numpy as np

from some_slices import disc, slice_of
from synbt_aug.evaluate.slices.lesion import find_lesion


def test_a_disc_is_found_as_it_is() -> None:
    found = find_lesion(slice_of(disc(10)))
    assert found is not None
    np.testing.assert_array_equal(found.mask, disc(10))
    np.testing.assert_array_equal(found.filled, disc(10))


def test_the_ring_lies_two_to_seven_millimetres_outside() -> None:
    found = find_lesion(slice_of(disc(10)))
    assert found is not None
    rows, columns = np.nonzero(found.ring)
    reach = np.hypot(rows - 40, columns - 40)
    assert 11.5 < reach.min() < 13 and 16.5 < reach.max() <= 17.5


def test_air_is_no_part_of_the_ring() -> None:
    pre = np.where(disc(10), 150.0, 100.0)
    pre[:, :25] = 1.0
    found = find_lesion(slice_of(disc(10), pre=pre))
    assert found is not None
    assert found.ring[:, 26:].any() and not found.ring[:, :24].any()


def test_the_largest_piece_is_the_lesion_and_all_pieces_are_counted() -> None:
    found = find_lesion(slice_of(disc(8) | disc(3, (40, 60))))
    assert found is not None
    np.testing.assert_array_equal(found.mask, disc(8))
    assert sorted(found.piece_sizes) == [disc(3).sum(), disc(8).sum()]


def test_a_factor_on_the_signal_changes_nothing() -> None:
    made = slice_of(disc(10))
    one, other = (find_lesion(replace(made, image=made.image * k)) for k in (1, 8))
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.ring, other.ring)


def test_nothing_is_found_where_nothing_enhances() -> None:
    made = slice_of(disc(10))
    assert find_lesion(replace(made, image=made.image[[0, 0]])) is None
    assert find_lesion(replace(made, image=made.image[::-1])) is None


def test_a_lesion_of_less_than_25_mm2_is_not_measured() -> None:
    assert disc(2.5).sum() == 21
    assert find_lesion(slice_of(disc(2.5))) is None


def test_a_lesion_without_tissue_around_is_not_measured() -> None:
    made = slice_of(disc(10), pre=np.where(disc(11), 150.0, 0.0))
    assert find_lesion(made) is None
