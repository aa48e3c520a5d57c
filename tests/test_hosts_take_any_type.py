"""Types that images and labels come in: each is painted as the type it stands for, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from analytic import MM, FlatTexture, breast, painter
from synbt_aug import injector as injector_module
from synbt_aug.errors import SynBTError
from synbt_aug_monai import RecordIntensityd, SynBTTumor, SynBTTumord

tio = pytest.importorskip("torchio")
import synbt_aug_torchio  # noqa: E402

SETTINGS: dict[str, Any] = {"diameter_mm": 9.0}

Outcome = tuple[Any, Any, dict[str, Any]]


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    made = painter(FlatTexture())
    monkeypatch.setattr(injector_module, "shared_synthesizer", lambda *_: made)


def through_torchio(image: Tensor, label: Tensor, **settings: Any) -> Outcome:
    subject = tio.Subject(dce=tio.ScalarImage(tensor=image), label=tio.LabelMap(tensor=label))
    torch.manual_seed(0)
    found = synbt_aug_torchio.SynBTTumor(p=1, **SETTINGS, **settings)(subject)
    return found["dce"].data, found["label"].data, found.synbt_outcome


def through_monai(image: Any, label: Any, **settings: Any) -> Outcome:
    transform = SynBTTumor(prob=1.0, spacing=MM, **SETTINGS, **settings).set_random_state(0)
    return (*transform(image, label), transform.outcome)


def through_monai_dictionaries(image: Any, label: Any, **settings: Any) -> Outcome:
    transform = SynBTTumord(prob=1.0, spacing=MM, **SETTINGS, **settings).set_random_state(0)
    found = transform(
        {
            "image": MetaTensor(image) if isinstance(image, Tensor) else image,
            "label": MetaTensor(label) if isinstance(label, Tensor) else label,
        }
    )
    return found["image"], found["label"], transform.outcome


HOSTS = [through_torchio, through_monai, through_monai_dictionaries]
each_host = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)

Host = Callable[..., Outcome]


def image_of(dtype: torch.dtype = torch.int32) -> Tensor:
    return (breast().image * 40).round().clamp(0, 60000).to(torch.int32).to(dtype)


def label_of(dtype: torch.dtype = torch.int32, value: float = 1) -> Tensor:
    """With a real tumor."""
    label = torch.zeros((1, *breast().shape))
    label[0, 25:29, 40:44, 40:44] = value
    return label.to(dtype)


def plain(array: Any) -> Tensor:
    tensor = array.as_tensor() if isinstance(array, MetaTensor) else torch.as_tensor(array)
    return tensor.to(torch.float64)


def check_alike(found: Outcome, expected: Outcome) -> None:
    assert expected[2]["painted"] and found[2]["painted"], found[2]["reason"]
    assert torch.equal(plain(found[0]), plain(expected[0]))


@each_host
@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_integers_are_painted_as_the_numbers_that_they_are(
    host: Host, dtype: torch.dtype
) -> None:
    found = host(image_of(dtype), label_of())
    assert found[0].dtype == dtype
    check_alike(found, host(image_of(), label_of()))


@each_host
def test_a_tumor_that_the_image_s_type_cuts_is_dropped_with_its_label(host: Host) -> None:
    # The brightest tissue reaches the type's largest value: nothing brighter can be stored.
    bright = image_of().float()
    full = (bright / bright.max() * 65535).round().to(torch.int32).to(torch.uint16)
    image, label, outcome = host(full, label_of())
    assert outcome["reason"].startswith("not visible enough: the image's type cuts")
    assert torch.equal(plain(image), plain(full)) and torch.equal(plain(label), plain(label_of()))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_numpy_s_unsigned_integers_are_painted_so_too(dtype: type) -> None:
    found = through_monai(image_of().numpy().astype(dtype), label_of().numpy())
    assert found[0].dtype == dtype
    check_alike(found, through_monai(image_of(), label_of()))


@each_host
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.int64, torch.float16])
def test_a_label_of_any_type_is_read_and_takes_the_tumor(host: Host, dtype: torch.dtype) -> None:
    found, expected = host(image_of(), label_of(dtype)), host(image_of(), label_of())
    check_alike(found, expected)
    assert torch.equal(plain(found[1]), plain(expected[1]))
    # TorchIO itself keeps masks as uint8.
    stored = torch.uint8 if dtype == torch.bool and host is through_torchio else dtype
    assert found[1].dtype == stored


@each_host
def test_a_tumor_of_0_9999_is_the_real_tumor_that_it_stands_for(host: Host) -> None:
    label = label_of(torch.float32, 0.9999)
    found, expected = host(image_of(), label), host(image_of(), label_of())
    check_alike(found, expected)
    assert torch.equal(plain(found[1]).round(), plain(expected[1]))
    left = host(image_of(), label, only_tumor_free=True)
    assert left[2]["reason"] == "not drawn: it has a tumor"


@each_host
def test_a_tumor_of_255_is_told_until_the_setting_names_it(host: Host) -> None:
    label = label_of(torch.uint8, 255)
    with pytest.warns(UserWarning, match="holds 255, which no setting names.*tumor_label=255"):
        host(image_of(), label)
    found = host(image_of(), label, tumor_label=255)
    assert plain(found[1]).unique().tolist() == [0, 255]
    assert host(image_of(), label, tumor_label=255, only_tumor_free=True)[2]["painted"] is False


@each_host
def test_a_gradient_is_neither_needed_nor_in_the_way(host: Host) -> None:
    image = image_of(torch.float32).requires_grad_()
    found = host(image, label_of())
    check_alike(found, host(image_of(torch.float32), label_of()))
    assert not found[0].requires_grad


@each_host
def test_complex_signal_and_labels_are_refused_with_what_to_do(host: Host) -> None:
    with pytest.raises(SynBTError, match=r"real-valued signal, got torch.complex64.*image.abs\(\)"):
        host(image_of(torch.complex64), label_of())
    with pytest.raises(SynBTError, match="tumor_label is 1, more than the type .*complex64"):
        host(image_of(), label_of(torch.complex64))


@each_host
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8])
def test_a_tumor_label_beyond_the_label_s_type_is_refused(host: Host, dtype: torch.dtype) -> None:
    with pytest.raises(SynBTError, match="tumor_label is 300, more than the type of .* holds"):
        host(image_of(), label_of(dtype), tumor_label=300)


def test_numpy_s_label_is_held_against_its_own_type_and_not_the_wider_one() -> None:
    label = label_of().numpy().astype(np.uint16)
    with pytest.raises(SynBTError, match="tumor_label is 70000, .*uint16"):
        through_monai(image_of(), label, tumor_label=70000)
    assert through_monai(image_of(), label, tumor_label=60000)[1].max() == 60000


@pytest.mark.parametrize("post", [torch.int16, torch.float64])
def test_pre_and_post_of_two_types_are_painted_each_in_its_own(post: torch.dtype) -> None:
    image = image_of(torch.float32)
    transform = SynBTTumord(("pre", "post"), prob=1.0, spacing=MM, **SETTINGS)
    pair = {"pre": image[:1], "post": image[1:].to(post), "label": label_of()}
    found = transform.set_random_state(0)(pair)
    plain_found = through_monai(image, label_of())[0]
    assert found["pre"].dtype == torch.float32 and found["post"].dtype == post
    assert torch.equal(found["pre"][0], plain_found[0])
    assert torch.equal(found["post"][0].float().round(), plain_found[1].round())


def test_references_are_recorded_of_any_signal_and_of_no_other() -> None:
    expected = RecordIntensityd()({"image": image_of()})["synbt_intensity"]
    for image in (image_of(torch.uint16), image_of(torch.float32).requires_grad_()):
        found = RecordIntensityd()({"image": image})["synbt_intensity"]
        assert torch.equal(found, expected)
        subject = tio.Subject(dce=tio.ScalarImage(tensor=image))
        assert torch.equal(
            synbt_aug_torchio.RecordIntensity()(subject)["synbt_intensity"], expected
        )
    complex_image = image_of(torch.complex64)
    with pytest.raises(SynBTError, match="'image' needs real-valued signal"):
        RecordIntensityd()({"image": complex_image})
    with pytest.raises(SynBTError, match="'dce' needs real-valued signal"):
        synbt_aug_torchio.RecordIntensity()(tio.Subject(dce=tio.ScalarImage(tensor=complex_image)))
