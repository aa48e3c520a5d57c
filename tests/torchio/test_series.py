"""Subjects with further phases, a subtraction and other sequences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchio as tio
from torch import Tensor

from analytic import breast, painter, seeded
from breast_series import Flat, series_image
from synbt_aug import injector
from synbt_aug.errors import SynBTError
from synbt_aug.torchio import SynBTTumor
from torchio_subjects import empty_label

PRE, POST, SECOND, THIRD = series_image()
T2 = torch.rand(breast().shape, generator=seeded(8)) * 70
NAMES = ("pre", "post", "post2", "post3")


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    synthesizer = painter(Flat())
    monkeypatch.setattr(injector, "shared_synthesizer", lambda *_: synthesizer)


def subject_of(**more: Tensor) -> tio.Subject:
    images = {
        "T2": T2, "post2": SECOND, "pre": PRE, "post": POST, "post3": THIRD, "sub": POST - PRE,
        **more,
    }  # fmt: skip
    scans = {name: tio.ScalarImage(tensor=image[None].clone()) for name, image in images.items()}
    return tio.Subject(**scans, tumor=tio.LabelMap(tensor=empty_label()[None]))


def paint(subject: tio.Subject, **settings: Any) -> tio.Subject:
    torch.manual_seed(3)
    painted: tio.Subject = SynBTTumor(p=1, diameter_mm=12.0, **settings)(subject)
    assert painted.synbt_outcome["painted"], painted.synbt_outcome
    return painted


def test_every_phase_is_painted_the_subtraction_follows_and_other_sequences_stay() -> None:
    before, after = subject_of(), paint(subject_of(), curve="washout")
    tumor = after["tumor"].data[0] > 0
    assert torch.equal(after["T2"].data, before["T2"].data)
    for name in (*NAMES, "sub"):
        changed = after[name].data[0] != before[name].data[0]
        assert changed[tumor].float().mean() > 0.9 and changed.sum() < 4 * tumor.sum()
    expected = (after["post"].data - after["pre"].data)[0]
    assert torch.allclose(after["sub"].data[0][tumor], expected[tumor], atol=1e-3)


def test_the_history_replays_every_image_bitwise() -> None:
    after = paint(subject_of())
    again = after.get_composed_history()(subject_of())
    for name in (*NAMES, "sub", "T2", "tumor"):
        assert torch.equal(again[name].data, after[name].data), name


def test_the_channels_of_one_image_are_painted_as_the_images_are() -> None:
    image = torch.stack([POST, SECOND, PRE, THIRD, POST - PRE])
    one = tio.Subject(
        dce=tio.ScalarImage(tensor=image), tumor=tio.LabelMap(tensor=empty_label()[None])
    )
    how = {"pre": "dce", "post": "dce", "pre_channel": 2, "post_channel": 0}
    painted = paint(one, **how, post_channels=(0, 1, 3), subtraction_channels=(4,))
    several = paint(subject_of())
    for channel, name in enumerate(("post", "post2", "pre", "post3", "sub")):
        assert torch.equal(painted["dce"].data[channel], several[name].data[0]), name
    again = painted.get_composed_history()(one)
    assert torch.equal(again["dce"].data, painted["dce"].data)


def test_a_phase_that_is_left_out_is_refused() -> None:
    with pytest.raises(SynBTError, match="missing in 1: post2"):
        paint(subject_of(), exclude=["post2"])


def test_a_phase_on_another_grid_is_refused() -> None:
    subject = subject_of()
    subject["post2"] = tio.ScalarImage(tensor=SECOND[None, ::2])
    with pytest.raises(SynBTError, match="needs 'post2' on the grid of 'pre'"):
        paint(subject)


def test_a_subtraction_that_is_none_is_refused_or_stays() -> None:
    odd = (POST - PRE).abs()
    with pytest.raises(SynBTError, match=r"is none of these 4 scans \(they explain .* cannot be"):
        paint(subject_of(sub=odd))
    with pytest.warns(UserWarning, match="it stays as it is and contradicts the label"):
        after = paint(subject_of(sub=odd), unpainted_channels="allow")
    assert torch.equal(after["sub"].data[0], odd)


def test_images_of_other_types_keep_them() -> None:
    whole = {name: image.round().to(torch.int16) for name, image in zip(
        NAMES, (PRE, POST, SECOND, THIRD), strict=True)}  # fmt: skip
    whole["post2"] = whole["post2"].to(torch.int32)
    after = paint(subject_of(**whole, sub=whole["post"] - whole["pre"]))
    assert after["post2"].data.dtype == torch.int32 and after["post"].data.dtype == torch.int16
    tumor = after["tumor"].data[0] > 0
    difference = after["post"].data[0] - after["pre"].data[0]
    assert (after["sub"].data[0] - difference)[tumor].abs().max() <= 1
