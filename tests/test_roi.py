"""Where a tumor may go as a user says it: rois, roi labels, and the free side, in batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import breast, ellipsoid, painter, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.settings.injection import InjectionSettings

SHAPE = breast().shape

#: A ball in the fat, where the tissues would hardly let a tumor go.
PLACE = ellipsoid(SHAPE, (34, 36, 17), (9, 9, 9))
REAL = ellipsoid(SHAPE, (34, 30, 40), (5, 5, 5))


def inject(labels: Tensor | None = None, roi: Tensor | None = None, **settings: Any) -> Injected:
    given = {"probability": 1.0, "diameter_mm": 9.0, **settings}
    labels = torch.zeros((1, 1, *SHAPE), dtype=torch.int16) if labels is None else labels
    injector = SynBTInjector(InjectionSettings(**given), painter())
    return injector(breast().image[None], labels, generator=seeded(), roi=roi)


def label_of(injected: Injected, value: int = 1) -> Tensor:
    return injected.labels[0, 0] == value


def test_a_tumor_lies_in_the_roi() -> None:
    painted = inject(roi=PLACE[None])
    assert painted.painted == (True,)
    assert int((label_of(painted) & PLACE).sum()) >= 0.9 * int(label_of(painted).sum())


def test_weights_of_a_roi_draw_its_tumor() -> None:
    # The same in float32: whole numbers are a mask, and a heavy half draws nearly all.
    weights = PLACE.float() * 0.001
    other = ellipsoid(SHAPE, (34, 36, 52), (9, 9, 9))
    weights[other] = 1.0
    painted = inject(roi=weights[None])
    assert int((label_of(painted) & other).sum()) >= 0.9 * int(label_of(painted).sum())


@pytest.mark.parametrize("extra", [{}, {"paint_over": (5,)}])
def test_roi_labels_mark_the_place_and_may_be_replaced(extra: dict[str, Any]) -> None:
    labels = torch.zeros((1, 1, *SHAPE), dtype=torch.int16)
    labels[0, 0][PLACE] = 3
    painted = inject(labels, roi_labels=(3,), **extra)
    assert painted.painted == (True,)
    assert int((label_of(painted) & PLACE).sum()) >= 0.9 * int(label_of(painted).sum())
    assert bool((label_of(painted, 3) == PLACE & ~label_of(painted)).all())


def test_a_sample_without_roi_labels_stays_as_it_is() -> None:
    painted = inject(roi_labels=(3,))
    assert painted.results[0] is not None
    assert painted.results[0].reason == "no site: the roi marks no voxel"


def test_a_roi_goes_before_roi_labels() -> None:
    labels = torch.zeros((1, 1, *SHAPE), dtype=torch.int16)
    labels[0, 0, 30:50, 30:50, 44:60] = 3
    painted = inject(labels, PLACE[None], roi_labels=(3,))
    assert int((label_of(painted) & PLACE).sum()) >= 0.9 * int(label_of(painted).sum())


def test_a_roi_of_another_shape_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"roi needs shape \(1, 56, 72, 72\), got \(56, 72, 72\)"):
        inject(roi=PLACE)


@pytest.mark.parametrize("has_tumor", [False, True])
def test_only_free_side_leaves_a_single_breast_with_a_tumor_alone(has_tumor: bool) -> None:
    labels = torch.zeros((1, 1, *SHAPE), dtype=torch.int16)
    labels[0, 0][REAL & has_tumor] = 1
    painted = inject(labels, only_free_side=True)
    assert painted.painted == (not has_tumor,)
    if has_tumor:
        assert painted.results[0] is not None
        reason = painted.results[0].reason
        assert reason == "no site: there is no breast in view without a real tumor"
        assert inject(labels).painted == (True,)


def test_a_second_tumor_goes_to_the_free_side_too() -> None:
    labels = torch.zeros((1, 1, *SHAPE), dtype=torch.int16)
    roi = ellipsoid(SHAPE, (34, 36, 18), (14, 16, 10)) | ellipsoid(
        SHAPE, (34, 36, 54), (14, 16, 10)
    )
    labels[0, 0][ellipsoid(SHAPE, (34, 36, 18), (3, 3, 3))] = 1
    settings = {"only_free_side": True, "tumors": 8, "diameter_mm": 6.0}
    painted = inject(labels, roi[None], **settings)
    new = label_of(painted) & (labels[0, 0] == 0)
    assert bool(new.any()) and not bool(new[:, :, :36].any())


@pytest.mark.parametrize(
    "values, message",
    [
        ({"roi_labels": (1,)}, "roi_labels marks where tumors may go, but 1 is tumor_label"),
        ({"roi_labels": (-1,)}, "roi_labels needs a number from 0 to 2147483647, got -1"),
    ],
)
def test_roi_labels_that_cannot_be_meant_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        InjectionSettings(**values)


def test_roi_labels_come_from_the_environment_and_say_so_where_they_cannot_be_read() -> None:
    assert InjectionSettings.gather({}, {"SYNBT_ROI_LABELS": "2,3"}).roi_labels == (2, 3)
    with pytest.raises(SynBTError, match=r"roi_labels \(SYNBT_ROI_LABELS\) needs whole numbers"):
        InjectionSettings.gather({}, {"SYNBT_ROI_LABELS": "gland"})


# --- the value


def test_whole_numbers_are_a_mask_and_others_are_weights() -> None:
    for mask in (PLACE, PLACE.to(torch.uint8) * 3, PLACE.float() * 2, PLACE.long() - 1):
        roi = replace(breast(), roi=mask).roi
        assert roi is not None and roi.dtype == torch.bool
        assert torch.equal(roi, mask > 0)
    weights = replace(breast(), roi=PLACE.double() * 0.5).roi
    assert weights is not None and weights.dtype == torch.float32 and float(weights.max()) == 0.5


@pytest.mark.parametrize(
    "roi, message",
    [
        (PLACE * 1.5, "needs a roi of weights from 0 to 1, got 0 to 1.5. Divide it by its maximum"),
        (PLACE * -0.5, "needs a roi of weights from 0 to 1, got -0.5 to -?0"),
        (PLACE * float("nan"), "needs a roi of weights from 0 to 1, got nan to nan"),
        (PLACE[1:], r"needs roi of shape \(56, 72, 72\), the image's grid, got \(55, 72, 72\)"),
        (PLACE.numpy(), "needs roi as a torch tensor, got ndarray"),
    ],
)
def test_a_roi_that_is_none_is_refused(roi: Any, message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        replace(breast(), roi=roi)
