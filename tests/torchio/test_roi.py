"""A map of where tumors may go, as an image of the subject."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchio as tio
from torch import Tensor

from analytic import breast, ellipsoid
from synbt_aug.errors import SynBTError
from synbt_aug.torchio import SynBTTumor
from torchio_subjects import affine_of, empty_label, pair_of, subject_of

pytestmark = pytest.mark.usefixtures("flat")

#: A ball in the fat of one side.
PLACE = ellipsoid(breast().shape, (34, 36, 17), (9, 9, 9))


def with_roi(roi: Tensor = PLACE, **more: Any) -> tio.Subject:
    subject = subject_of(**more)
    kind = tio.ScalarImage if roi.is_floating_point() else tio.LabelMap
    subject.add_image(kind(tensor=roi[None].to(roi.dtype), affine=affine_of()), "sites")
    return subject


def paint(subject: tio.Subject, **settings: Any) -> tio.Subject:
    torch.manual_seed(0)
    painted: tio.Subject = SynBTTumor(p=1, **{"diameter_mm": 9.0, **settings})(subject)
    return painted


def inside(subject: tio.Subject, label: str = "label") -> float:
    tumor, roi = subject[label].data == 1, subject["sites"].data > 0
    return float((tumor & roi).sum() / tumor.sum())


@pytest.mark.parametrize("roi", [PLACE.to(torch.uint8), PLACE * 0.5])
def test_the_tumor_lies_in_the_roi_of_the_subject(roi: Tensor) -> None:
    subject = with_roi(roi)
    after = paint(subject, roi="sites")
    assert after.synbt_outcome["painted"] and inside(after) >= 0.9
    assert torch.equal(after["sites"].data, subject["sites"].data)


def test_a_roi_is_no_label_of_tumors() -> None:
    after = paint(with_roi(PLACE.to(torch.uint8), label=empty_label()), roi="sites")
    assert bool((after["tumor"].data == 1).any()) and inside(after, "tumor") >= 0.9


def test_a_roi_goes_along_with_spatial_transforms() -> None:
    subject = tio.RandomFlip(axes=2, flip_probability=1)(with_roi(PLACE.to(torch.uint8)))
    assert bool(subject["sites"].data[..., 45:].any())
    assert inside(paint(subject, roi="sites")) >= 0.9


def test_the_history_replays_without_the_roi() -> None:
    subject = with_roi(PLACE.to(torch.uint8), label=empty_label())
    after = paint(subject, roi="sites")
    again = after.get_composed_history()(subject)
    assert torch.equal(pair_of(again), pair_of(after))


def test_roi_labels_mark_the_place_and_the_history_replays_them() -> None:
    label = empty_label()
    label[PLACE] = 4
    subject = subject_of(label=label)
    after = paint(subject, roi_labels=[4])
    tumor = after["tumor"].data[0] == 1
    assert float((tumor & PLACE).sum() / tumor.sum()) >= 0.9
    assert torch.equal(pair_of(after.get_composed_history()(subject)), pair_of(after))


def test_a_missing_roi_is_told_with_what_there_is() -> None:
    with pytest.raises(SynBTError, match="needs a LabelMap called 'sites', its roi.*pre, post"):
        paint(subject_of(), roi="sites")


def test_a_roi_on_another_grid_is_refused() -> None:
    subject = subject_of()
    subject.add_image(tio.LabelMap(tensor=PLACE[None, 2:].to(torch.uint8)), "sites")
    with pytest.raises(SynBTError, match="'sites' on the grid of 'pre'"):
        paint(subject, roi="sites")


def test_only_free_side_reaches_the_painting() -> None:
    label = empty_label()
    label[ellipsoid(label.shape, (34, 30, 40), (5, 5, 5))] = 1
    after = paint(subject_of(label=label), only_free_side=True)
    assert after.synbt_outcome["reason"].endswith("no breast in view without a real tumor")


def test_the_roi_is_shown() -> None:
    assert "roi=sites" in repr(SynBTTumor(roi="sites"))
