from __future__ import annotations

import numpy as np
import pytest
import torch

from some_windows import some_windows
from synbt_aug.evaluate.realism.pictures import (
    compared_picture,
    gallery_of,
    to_grey,
    window_picture,
)
from synbt_aug.evaluate.realism.windows import Windows


def test_black_and_white_are_the_ends_of_the_mapped_signal() -> None:
    grey = to_grey(torch.tensor([[-5.0, -1.0, 0.5, 2.0, 9.0]]))
    assert grey.tolist() == [[0, 0, 128, 255, 255]]


def test_a_window_is_shown_in_three_planes_and_three_columns() -> None:
    windows = some_windows(1, side=16, radius=4, gain=3.0, noise=0.0)
    picture = np.asarray(window_picture(windows, 0))
    assert picture.shape == (3 * 32, 3 * 32, 3)
    # In the middle of post the ball is white, in pre it is as grey as all.
    assert picture[16, 32 + 16].tolist() == [255, 255, 255]
    assert picture[16, 16].tolist() == picture[0, 0].tolist()
    # The outline is drawn in the third column alone.
    red = (picture[..., 0] == 255) & (picture[..., 1] < 200)
    assert red[:, 64:].any() and not red[:, :64].any()


def test_versions_of_a_scan_share_one_scale() -> None:
    volume = torch.rand(8, 9, 10)
    picture = np.asarray(compared_picture({"a": volume, "b": volume}, 3))
    assert picture.shape == (16, 36, 3)
    assert np.array_equal(picture[:, :18], picture[:, 18:])


def test_the_gallery_shows_as_many_of_each_set() -> None:
    sets = {"real": some_windows(3, side=16), "ours": some_windows(2, side=16, names="ours")}
    html = gallery_of(sets, most=6).html()
    assert html.count("<img") == 4
    assert "real, case 0" in html and "ours, ours 1" in html
    assert html.count("data:image/png") == 4
    assert "16 mm in three planes" in html


def test_windows_of_one_case_are_numbered() -> None:
    windows = some_windows(3, side=16)
    shared = Windows(windows.signal, windows.label, ("A", "B", "A"))
    html = gallery_of({"real": shared}).html()
    assert "real, A, tumor 1<" in html and "real, A, tumor 2<" in html and "real, B<" in html


def test_a_slice_beyond_the_scan_is_an_error() -> None:
    with pytest.raises(IndexError):
        compared_picture({"a": torch.rand(4, 4, 4)}, 4)
