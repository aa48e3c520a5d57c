"""What the history says: bent and clipped intensities are told once."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torchio as tio

from analytic import breast_image
from synbt_aug.torchio import SynBTTumor
from synbt_aug_torchio.history import bent_by, changed_since, was_cropped
from torchio_subjects import subject_of

IMAGES = ("pre", "post")
ADVICE = "put the SynBT transform before gamma, clipping, histogram and noise"


def after(*transforms: tio.Transform) -> tio.Subject:
    torch.manual_seed(0)
    subject: tio.Subject = tio.Compose(transforms)(subject_of())
    return subject


def paint(*transforms: tio.Transform, image: torch.Tensor | None = None) -> None:
    torch.manual_seed(0)
    tio.Compose([*transforms, SynBTTumor(p=1, diameter_mm=9.0)])(subject_of(image))


@pytest.mark.parametrize(
    "transform, name",
    [
        (tio.RandomGamma(), "Gamma"),
        (tio.Clamp(0, 100), "Clamp"),
        (tio.RandomNoise(), "Noise"),
        (tio.RandomBlur(), "Blur"),
        (tio.RescaleIntensity(percentiles=(0.5, 99.5)), "percentiles (0.5, 99.5)"),
    ],
)
def test_what_bends_intensities_is_named(transform: Any, name: str) -> None:
    found = bent_by(after(transform), IMAGES)
    assert found is not None and name in found


@pytest.mark.parametrize(
    "transform",
    [tio.ZNormalization(), tio.RescaleIntensity((0, 1)), tio.RandomFlip(), tio.RandomAffine()],
)
def test_linear_and_spatial_transforms_bend_nothing(transform: Any) -> None:
    assert bent_by(after(transform), IMAGES) is None


@pytest.mark.parametrize("choice", [{"include": ["post"]}, {"exclude": ["pre"]}])
def test_only_the_images_asked_about_count(choice: dict[str, list[str]]) -> None:
    subject = after(tio.RandomGamma(**choice))
    assert bent_by(subject, ("pre",)) is None
    assert bent_by(subject, ("post",)) == "Gamma"


def test_a_crop_is_seen_and_padding_is_none() -> None:
    assert was_cropped(after(tio.CropOrPad(40)))
    assert not was_cropped(after(tio.CropOrPad(80)))


def test_what_changed_since_a_transform_is_the_first_after_its_last() -> None:
    z, gamma, flip = tio.ZNormalization(), tio.RandomGamma(), tio.Flip(axes=(0,))
    assert changed_since(after(flip, z, gamma), "Flip", IMAGES) == "ZNormalization"
    assert changed_since(after(z, flip, gamma), "Flip", IMAGES) == "Gamma"
    assert changed_since(after(z, flip), "Flip", IMAGES) is None
    assert changed_since(after(z), "Flip", IMAGES) is None


def test_a_gamma_before_the_tumor_is_told_with_the_advice(flat: object) -> None:
    with pytest.warns(UserWarning, match=f"SynBT: Gamma came before the tumor.*{ADVICE}"):
        paint(tio.RandomGamma())


def test_a_gamma_after_the_tumor_is_right(flat: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        torch.manual_seed(0)
        tio.Compose([SynBTTumor(p=1, diameter_mm=9.0), tio.RandomGamma()])(subject_of())


def test_an_image_that_came_clipped_is_told_with_the_advice(flat: object) -> None:
    clipped = breast_image().clamp(max=125)
    with pytest.warns(UserWarning, match=f"exactly at the image's maximum.*{ADVICE}"):
        paint(image=clipped)
