"""A map of where tumors may go, beside image and label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd

from analytic import breast, ellipsoid
from synbt_aug.errors import SynBTError
from synbt_aug_monai import SynBTTumor, SynBTTumord

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]

#: A ball in the fat of one side.
PLACE = ellipsoid(breast().shape, (34, 36, 17), (9, 9, 9))[None]
GIVEN: dict[str, Any] = {"prob": 1.0, "diameter_mm": 9.0}


def inside(label: Any, roi: Any) -> float:
    label, roi = torch.as_tensor(label) > 0, torch.as_tensor(roi) > 0
    return float((label & roi).sum() / label.sum())


def test_the_tumor_lies_in_the_roi_that_came_with_the_array(sample: Sample) -> None:
    given = sample()
    transform = SynBTTumor(**GIVEN).set_random_state(3)
    _, label = transform(given["image"], given["label"], roi=PLACE)
    assert inside(label, PLACE) >= 0.9


def test_a_roi_travels_with_the_sample(sample: Sample) -> None:
    given = sample() | {"roi": MetaTensor(PLACE.to(torch.uint8))}
    keys = ["image", "label", "roi"]
    pipeline = Compose([Flipd(keys, 2), SynBTTumord(keys, roi_key="roi", **GIVEN)])
    found = pipeline.set_random_state(3)(given)
    assert found["synbt_outcome"] == "painted"
    assert torch.equal(found["roi"], given["roi"].flip(3))
    assert inside(found["label"], found["roi"]) >= 0.9


def test_roi_labels_are_labels_that_mark_the_place(sample: Sample) -> None:
    given = sample()
    given["label"][PLACE] = 4
    found = SynBTTumord(roi_labels=[4], **GIVEN).set_random_state(3)(given)
    assert inside(found["label"] == 1, PLACE) >= 0.9


def test_a_missing_roi_is_a_missing_key(sample: Sample) -> None:
    with pytest.raises(KeyError, match="roi"):
        SynBTTumord(roi_key="roi", **GIVEN)(sample())
    left = SynBTTumord(roi_key="roi", allow_missing_keys=True, **GIVEN)(sample())
    assert left["synbt_outcome"] == "roi is missing"


def test_a_roi_of_another_shape_is_refused(sample: Sample) -> None:
    with pytest.raises(SynBTError, match=r"SynBTTumord needs a roi of shape \(1, 56, 72, 72\)"):
        SynBTTumord(roi_key="roi", **GIVEN)(sample() | {"roi": PLACE[:, 1:]})


def test_the_roi_key_is_shown() -> None:
    assert "roi_key='roi'" in repr(SynBTTumord(roi_key="roi"))
