"""Entries and channels of a dictionary that are not painted: named, and refused where they show."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug_monai import SynBTTumord

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]


def paint(given: dict[str, Any], **settings: Any) -> dict[str, Any]:
    transform = SynBTTumord(("pre", "post"), prob=1.0, diameter_mm=9.0, **settings)
    return transform.set_random_state(0)(given)


@pytest.fixture
def pair(sample: Sample) -> dict[str, Any]:
    made = sample()
    return {"pre": made["image"][:1], "post": made["image"][1:], "label": made["label"]}


@pytest.mark.parametrize("name", ["post2", "post_3", "subtraction"])
def test_entries_called_post_or_subtraction_are_refused(pair: dict[str, Any], name: str) -> None:
    given = {**pair, name: pair["post"]}
    with pytest.raises(SynBTError, match=f"paints 0: pre, 1: post alone.*missing in 2: {name},"):
        paint(given)
    with pytest.warns(UserWarning, match=f"not painted: 2: {name}; they contradict the label"):
        found = paint(given, unpainted_channels="allow")
    assert found["synbt_outcome"] == "painted" and torch.equal(found[name], pair["post"])


def test_entries_of_other_names_and_shapes_are_left_alone_without_a_word(
    pair: dict[str, Any],
) -> None:
    more = {
        "t2": pair["post"],
        "compressed": pair["post"],
        "post_thumbnail": pair["post"][:, ::4],
        "post_path": "case.nii.gz",
        "post_mask": pair["label"],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paint({**pair, **more})["synbt_outcome"] == "painted"


def test_channels_beside_pre_and_post_in_one_image_are_refused(sample: Sample) -> None:
    given = sample()
    given["image"] = torch.cat([given["image"], torch.rand_like(given["image"][1:])])
    with pytest.raises(SynBTError, match="missing in channel 2, where real ones show"):
        SynBTTumord(prob=1.0)(given)
