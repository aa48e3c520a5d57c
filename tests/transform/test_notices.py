"""Warnings: once a transform, whatever other transforms and Python's own filters did."""

from __future__ import annotations

import pickle
import warnings

import pytest

from synbt_aug.transform import Notices


def caught(notices: Notices, *texts: str) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for text in texts:
            notices.warn(text)
    return [str(one.message) for one in found]


def test_the_same_is_said_once_and_something_else_again() -> None:
    assert caught(Notices(), "a", "a", "b", "a") == ["a", "b"]


def test_each_transform_says_it_even_from_one_place_of_the_code() -> None:
    # Python's filter "default" would print one text once a place.
    assert [caught(notices, "a") for notices in (Notices(), Notices())] == [["a"], ["a"]]


def test_a_copy_in_a_worker_does_not_say_again_what_was_said() -> None:
    notices = Notices()
    caught(notices, "a")
    assert caught(pickle.loads(pickle.dumps(notices)), "a", "b") == ["b"]


def test_a_filter_of_the_user_s_decides() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="^so it is$")
        with pytest.raises(UserWarning, match="so it is"):
            Notices().warn("so it is")
