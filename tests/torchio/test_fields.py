"""Which images are pre, post and label, and what is said where that cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchio as tio

from synbt_aug.errors import SynBTError
from synbt_aug_torchio.fields import DEFAULT_LABEL, Fields, ensure_label, find_fields

SHAPE = (6, 7, 8)


def scan(channels: int = 1, shape: tuple[int, ...] = SHAPE, **more: Any) -> tio.ScalarImage:
    return tio.ScalarImage(tensor=torch.rand(channels, *shape), **more)


def mask(channels: int = 1, shape: tuple[int, ...] = SHAPE, **more: Any) -> tio.LabelMap:
    return tio.LabelMap(tensor=torch.zeros(channels, *shape, dtype=torch.uint8), **more)


def find(names: tuple[str | None, ...] = (None, None, None), **images: Any) -> Fields:
    options = {k: images.pop(k) for k in ("channels", "include", "exclude") if k in images}
    pre, post, label = names
    return find_fields(tio.Subject(**images), "SynBTTumor", (pre, post, label), **options)


def test_pre_and_post_are_found_by_name_and_the_only_label_whatever_its_name() -> None:
    found = find(t2=scan(2), post=scan(), pre=scan(), lesion=mask(), age=40)
    assert found == Fields("pre", "post", 0, 0, "lesion")


def test_the_only_image_with_two_channels_holds_both() -> None:
    found = find(adc=scan(), dce=scan(2), lesion=mask())
    assert found == Fields("dce", "dce", 0, 1, "lesion")


def test_a_subject_without_label_gets_the_default_name_or_the_one_asked_for() -> None:
    assert find(pre=scan(), post=scan()).label == DEFAULT_LABEL
    assert find((None, None, "lesion"), pre=scan(), post=scan()).label == "lesion"


def test_names_that_are_given_go_before_all_else() -> None:
    images = {"pre": scan(), "post": scan(), "t0": scan(), "t1": scan(), "a": mask(), "b": mask()}
    assert find(("t0", "t1", "b"), **images) == Fields("t0", "t1", 0, 0, "b")


def test_channels_of_one_image_are_named_by_their_numbers() -> None:
    found = find(("dce", "dce", None), dce=scan(4), channels=(3, 1))
    assert found == Fields("dce", "dce", 3, 1, DEFAULT_LABEL)


@pytest.mark.parametrize(
    "names, images, message",
    [
        ((), {"t1": scan(), "t2": scan(3)}, r"called pre and post, or one with two channels. Found "
         r"ScalarImages: t1 \(1 channel\), t2 \(3 channels\); LabelMaps: none. "
         r"Type SynBTTumor\(pre=..., post=..., label=...\)"),
        ((), {"a": scan(2), "b": scan(2)}, "or one with two channels"),
        ((), {"pre": scan()}, "called pre and post"),
        (("pre",), {"pre": scan(), "post": scan()}, "needs both pre and post, or neither"),
        (("t0", "t1"), {"t0": scan()}, "needs a ScalarImage called 't1'"),
        (("t0", "m"), {"t0": scan(), "m": mask()}, "needs a ScalarImage called 'm'"),
        ((), {"pre": scan(), "post": scan(), "a": mask(), "b": mask()},
         "which LabelMap holds the tumors. Found .*LabelMaps: a, b"),
        ((None, None, "tumr"), {"pre": scan(), "post": scan(), "tumor": mask()},
         "needs a LabelMap called 'tumr'.*needs one of zeros"),
        ((), {"pre": scan(), "post": scan(), "label": 3}, "called 'label', but that is no LabelM"),
        ((None, None, "post"), {"pre": scan(), "post": scan()}, "called 'post', but that is no"),
        ((), {"pre": scan(3), "post": scan()}, "one channel in 'pre', which has 3"),
        (("dce", "dce"), {"dce": scan(1)}, "needs channel 1 of 'dce', which has 1"),
        ((), {"pre": scan(), "post": scan(), "l": mask(2)}, "one channel in 'l', .*before OneHot"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_with_what_was_found(
    names: tuple[str, ...], images: dict[str, Any], message: str
) -> None:
    three = (*names, None, None, None)[:3]
    with pytest.raises(SynBTError, match=message):
        find(three, **images)


def test_include_and_exclude_narrow_the_search() -> None:
    images = {"dce": scan(2), "pre": scan(), "post": scan(), "a": mask(), "b": mask()}
    assert find(include=("dce", "a"), **images) == Fields("dce", "dce", 0, 1, "a")
    assert find(exclude=("pre", "a"), **images) == Fields("dce", "dce", 0, 1, "b")


def test_a_label_left_out_by_include_or_exclude_is_refused() -> None:
    images = {"pre": scan(), "post": scan(), "tumor": mask()}
    for option in ({"include": ("pre", "post")}, {"exclude": ("tumor",)}):
        with pytest.raises(SynBTError, match="leaves all LabelMaps out.*left out .*: tumor"):
            find(**images, **option)


@pytest.mark.parametrize("other", ["post", "tumor"])
def test_another_shape_is_refused_with_what_to_type(other: str) -> None:
    images = {"pre": scan(), "post": scan(), "tumor": mask()}
    images[other] = (mask if other == "tumor" else scan)(shape=(6, 7, 9))
    expected = (
        rf"'{other}' on the grid of 'pre', but it has 6 x 7 x 9 voxels, not 6 x 7 x 8.*"
        rf"tio.ToCanonical\(\) and tio.Resample\('pre'\) before SynBTTumor"
    )
    with pytest.raises(SynBTError, match=expected):
        find(**images)


def test_another_orientation_is_refused_and_both_are_named() -> None:
    flipped = np.diag((-1.0, 1.0, 1.0, 1.0))
    with pytest.raises(SynBTError, match="axes point to LAS, not RAS"):
        find(pre=scan(), post=scan(), tumor=mask(affine=flipped))


def test_affines_that_differ_by_rounding_are_one_grid() -> None:
    near = np.eye(4)
    near[0, 3] = 0.05
    assert find(pre=scan(), post=scan(affine=near)).post == "post"
    near[0, 3] = 0.15
    with pytest.raises(SynBTError, match="up to 0.15 mm apart"):
        find(pre=scan(), post=scan(affine=near))


@pytest.mark.parametrize("name", ["pre", "tumor"])
@pytest.mark.parametrize(
    "columns", [np.diag([1.0, 0, 1]), np.diag([1.0, np.nan, 1]), np.ones((3, 3))]
)
def test_an_affine_that_spans_no_volume_is_refused(name: str, columns: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3] = columns
    images = {"pre": scan(), "post": scan(), "tumor": mask()}
    images[name] = (mask if name == "tumor" else scan)(affine=affine)
    with pytest.raises(SynBTError, match=f"The image '{name}' needs three axes .* is degenerate"):
        find(**images)


def test_a_written_label_lies_on_the_image_s_grid() -> None:
    affine = np.diag((0.7, 0.7, 2.0, 1.0))
    subject = tio.Subject(pre=scan(affine=affine), post=scan(affine=affine))
    fields = find_fields(subject, "SynBTTumor", (None, None, None))
    ensure_label(subject, fields, 1)
    label = subject[DEFAULT_LABEL]
    assert isinstance(label, tio.LabelMap) and subject.label is label
    assert label.spacing == subject.spacing and label.data.dtype == torch.uint8
    assert label.shape == (1, *SHAPE) and not label.data.any()


def test_a_label_that_is_there_is_not_touched() -> None:
    subject = tio.Subject(pre=scan(), post=scan(), tumor=mask())
    before = subject["tumor"]
    ensure_label(subject, find_fields(subject, "SynBTTumor", (None, None, None)), 1)
    assert subject["tumor"] is before and DEFAULT_LABEL not in subject


def test_nothing_is_loaded_to_find_out(tmp_path: Path) -> None:
    for name in ("pre", "post"):
        scan().save(tmp_path / f"{name}.nii.gz")
    subject = tio.Subject(
        pre=tio.ScalarImage(tmp_path / "pre.nii.gz"),
        post=tio.ScalarImage(tmp_path / "post.nii.gz"),
    )
    fields = find_fields(subject, "SynBTTumor", (None, None, None))
    ensure_label(subject, fields, 1)
    assert not subject["pre"]._loaded and not subject["post"]._loaded
    assert subject["label"].spatial_shape == SHAPE
