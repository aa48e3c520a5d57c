"""Which channels of a host's sample are one series, and what cannot be."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from breast_series import series_image
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import Notices, Place, SeriesPlaces, find_series

PRE, POST, SECOND, THIRD = series_image()
SIGNALS = {"pre": PRE, "post": POST, "post2": SECOND, "post3": THIRD}


def never(place: Place) -> Tensor:
    raise AssertionError(f"{place} was read")


def found(
    names: str,
    places: list[Place | None] | None = None,
    painted: tuple[int, int] = (0, 1),
    read: Any = never,
    **settings: Any,
) -> SeriesPlaces:
    images = names.split("|")
    wanted = InjectionSettings(**settings)
    return find_series(images, places or [(n, 0) for n in images], painted, wanted, Notices(), read)


def test_images_that_are_called_so_are_further_phases_and_subtractions() -> None:
    series = found("post3|T2|pre|post|post2|sub", painted=(2, 3))
    assert [name for name, _ in series.scans] == ["pre", "post", "post2", "post3"]
    assert series.subtractions == (("sub", 0),) and series.earlier == 0
    assert series.images() == ("pre", "post", "post2", "post3", "sub")


def test_phases_before_the_painted_one_are_told_from_those_after_it() -> None:
    series = found("pre|post1|post2|post3", painted=(0, 2))
    assert [name for name, _ in series.scans] == ["pre", "post2", "post1", "post3"]
    assert series.earlier == 1


def test_channels_of_one_image_are_told_by_settings() -> None:
    dce: list[Place | None] = [("dce", c) for c in range(5)]
    series = found(
        "dce|dce|dce|dce|dce",
        dce,
        (0, 2),
        post_channels=(1, 2, 3),
        subtraction_channels=(4,),
    )
    assert [c for _, c in series.scans] == [0, 2, 1, 3] and series.earlier == 1
    assert series.subtractions == (("dce", 4),)


def test_settings_of_channels_need_one_image() -> None:
    with pytest.raises(SynBTError, match="count the channels of one image that holds the whole"):
        found("pre|post", post_channels=(1, 2))
    with pytest.raises(SynBTError, match="post_channels names channel 7 of 'dce', which has 2"):
        found("dce|dce", [("dce", 0), ("dce", 1)], post_channels=(1, 7))


def test_a_channel_without_a_telling_name_is_looked_at() -> None:
    signals = {**SIGNALS, "c3": POST - 0.5 * PRE, "c4": SECOND}
    series = found("pre|post|c3", read=lambda place: signals[str(place[0])])
    assert series.subtractions == (("c3", 0),)
    with pytest.raises(SynBTError, match="missing in 2: c4, where real ones show"):
        found("pre|post|c4", read=lambda place: signals[str(place[0])])


def test_several_channels_of_an_image_are_told_by_their_numbers() -> None:
    places: list[Place | None] = [("dce", 0), ("dce", 1), ("dce", 2)]
    with pytest.raises(SynBTError, match=r"missing in 2: dce\[2\], .*name later phases in post_ch"):
        found("dce|dce|dce", places, read=lambda place: series_image()[place[1]])


def test_a_phase_that_the_host_cannot_write_is_refused() -> None:
    with pytest.raises(SynBTError, match="missing in 2: post2"):
        found("pre|post|post2", [("pre", 0), ("post", 0), None])


def test_what_is_painted_and_what_is_left_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    notices = Notices()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            find_series(
                ["pre", "post", "T2", "post2"],
                [("pre", 0), ("post", 0), ("T2", 0), ("post2", 0)],
                (0, 1),
                InjectionSettings(),
                notices,
                never,
            )
    assert caplog.text.count("SynBT paints 0: pre, 1: post, 3: post2; not painted: 2: T2.") == 1


def test_a_copy_of_a_scan_is_kept_in_step() -> None:
    series = found("pre|post|x", read=lambda p: {**SIGNALS, "x": POST * 2 + 1}[str(p[0])])
    assert series.subtractions == (("x", 0),)
    assert torch.equal(POST, SIGNALS["post"])
