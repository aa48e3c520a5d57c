"""Which channels are pre- and post-contrast: by position, and by whole words of their names."""

from __future__ import annotations

from typing import Any

import pytest

from synbt_aug.data.channels import channel_names, channels_of, list_channels
from synbt_aug.errors import SynBTError


def described(names: list[str]) -> dict[str, Any]:
    return {"channel_names": {str(k): name for k, name in enumerate(names)}}


@pytest.mark.parametrize(
    ("keys", "pre", "posts"),
    [
        ({"1": "pre", "2": "post1", "3": "post2"}, 0, (1, 2)),
        ({"1": "pre", "2": "post"}, 0, (1,)),
        ({"T1_pre": "zscore", "T1_post": "zscore"}, 0, (1,)),
        ({"T1_post": "noNorm", "T2": "rescale_to_0_1", "T1_pre": "CT"}, 2, (0,)),
        ({"7": "post", "3": "pre"}, 1, (0,)),
        ({"a": "pre", "b": "post"}, 0, (1,)),
    ],
)
def test_the_position_is_the_channel_whatever_the_key(
    keys: dict[str, str], pre: int, posts: tuple[int, ...]
) -> None:
    found = channels_of({"channel_names": keys})
    assert (found.pre, found.posts) == (pre, posts)


def test_the_names_are_the_keys_that_are_no_numbers_or_the_values() -> None:
    keys = {"0": "T2w", "T1_pre": "zscore", "dce": "phase 1"}
    assert channel_names({"channel_names": keys}) == ("T2w", "T1_pre", "dce phase 1")
    assert channel_names({"modality": {"0": "pre", "1": "post"}}) == ("pre", "post")


@pytest.mark.parametrize(
    ("names", "asked", "pre", "posts"),
    [
        (["a", "b"], (None, None), 0, (1,)),
        (["T2w", "pre", "post 1", "post 2", "DWI"], (None, None), 1, (2, 3)),
        (["post", "pre"], (None, None), 1, (0,)),
        (["pre", "post_2", "post_1"], (None, None), 0, (2, 1)),
        (["pre", "late post", "post"], (None, None), 0, (2, 1)),
        (["pre", "post 1", "post 2"], (None, 2), 0, (2,)),
        (["a", "b", "c"], (2, 0), 2, (0,)),
        (["T1", "T1_post"], (None, None), 0, (1,)),
        (["T1w precontrast", "T1w postdose", "T2w"], (None, None), 0, (1,)),
        (["T1_nonContrast", "T1_CE"], (None, None), 0, (1,)),
        (["pre NAC post-contrast", "pre NAC pre-contrast"], (None, None), 1, (0,)),
        (["T1_0", "T1_1", "T1_2"], (None, None), 0, (1, 2)),
        (["DCE_2", "DCE_0", "DCE_1"], (None, None), 1, (2, 0)),
        (["DCE_0", "DCE_1", "T2_compressed"], (None, None), 0, (1,)),
        (["phase1", "phase2", "ADC"], (None, None), 0, (1,)),
        (["dynamic contrast enhanced 0", "dynamic contrast enhanced 1"], (None, None), 0, (1,)),
        (["t0", "t1", "t2"], (None, None), 0, (1, 2)),
        (["0000", "0001"], (None, None), 0, (1,)),
        (["pre", "express", "T2"], (None, None), 0, (1,)),
    ],
)
def test_channels_are_told_by_their_names_unless_asked_for(
    names: list[str], asked: tuple[int | None, int | None], pre: int, posts: tuple[int, ...]
) -> None:
    found = channels_of(described(names), *asked)
    assert (found.pre, found.posts, found.post) == (pre, posts, posts[0])


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (["pre left", "pre right", "post"], (None, None), r"0: pre left, 1: pre right.*PRE_CHANN"),
        (["a", "b", "c"], (None, None), "Which channel of .* is pre-contrast. Set SYNBT_PRE"),
        (["a", "b", "c"], (2, None), "Which channel of .* is post-contrast. Set SYNBT_POST"),
        (["post 1", "post 2"], (None, None), "No channel of .* is pre-contrast by its name"),
        (["T1", "T2"], (None, None), "No channel of .* is post-contrast by its name"),
        (["T2_compressed", "STIR"], (None, None), "No channel of .* is pre-contrast by its name"),
        (["pre", "T2_post"], (None, None), "No channel of .* is post-contrast by its name"),
        (["phase 2", "phase 3"], (None, None), "Which channel of .* is pre-contrast"),
        (["pre", "subtraction"], (None, None), "No channel of .* is post-contrast by its name"),
        (["pre treatment", "post treatment", "x"], (None, None), "is pre-contrast. Set SYNBT_PRE"),
    ],
)
def test_in_doubt_the_line_to_type_is_told(
    names: list[str], asked: tuple[int | None, int | None], message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        channels_of(described(names), *asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((0, 5), r"need channels of Breast \(0: pre, 1: post\), got 5"),
        ((-1, None), "got -1"),
        ((1, 1), "need two channels, got 1 for both"),
    ],
)
def test_channels_that_cannot_be_meant_are_refused(
    asked: tuple[int | None, int | None], message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        channels_of(described(["pre", "post"]), *asked, where="Breast")


def test_one_channel_is_refused() -> None:
    with pytest.raises(SynBTError, match="two channels, pre- and post-contrast.*names 1"):
        channels_of(described(["pre"]))


def test_channels_are_listed_with_their_numbers() -> None:
    assert list_channels(("pre", "", "post")) == "0: pre, channel 1, 2: post"
    assert list_channels(("pre", "x", "post"), (2, 0)) == "2: post, 0: pre"


@pytest.mark.parametrize(
    ("names", "posts"),
    [
        (["post2", "pre", "post"], (2, 0)),
        (["late post", "pre", "early post"], (2, 0)),
        (["pre", "post_10", "post_2"], (2, 1)),
        (["pre", "post b", "post a"], (1, 2)),
    ],
)
def test_the_first_post_contrast_scan_in_time_is_painted(
    names: list[str], posts: tuple[int, ...]
) -> None:
    assert channels_of({"channel_names": {str(k): n for k, n in enumerate(names)}}).posts == posts
