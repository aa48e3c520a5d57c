"""One sample through the injector: what is painted, what is left with a reason, what is told."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch

from analytic import FlatTexture, breast, painter, seeded
from synbt_aug import injector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.transform import Notices, Sample, inject, replay
from synbt_aug.volume import Synthesis

SETTINGS = InjectionSettings(diameter_mm=9.0, pre_channel=3, post_channel=1)


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> TumorSynthesizer:
    made = painter(FlatTexture())
    monkeypatch.setattr(injector, "shared_synthesizer", lambda *_: made)
    return made


def sample_of(label: float = 0.0, dtype: torch.dtype = torch.float32, **more: Any) -> Sample:
    mask = torch.zeros(breast().shape)
    mask[25:29, 40:44, 40:44] = label
    return Sample(breast().image, mask.to(dtype), (1.0, 1.0, 1.0), **more)


def paint(sample: Sample, settings: InjectionSettings = SETTINGS, **more: Any) -> Synthesis:
    return inject(sample, settings, seeded(1), Notices(), **more)[0]


def test_a_sample_is_painted_whatever_the_probability_and_the_channels_are_its_own() -> None:
    painted, counts = inject(sample_of(), replace(SETTINGS, probability=0.0), seeded(1), Notices())
    assert painted.painted and counts == {"injected": 1}


def test_a_recipe_paints_the_sample_again() -> None:
    painted = paint(sample_of())
    assert painted.recipe is not None
    again = replay(sample_of(), SETTINGS, painted.recipe, Notices())
    assert torch.equal(again.image, painted.image) and torch.equal(again.tumor, painted.tumor)


def test_a_sample_with_a_tumor_is_left_alone_where_asked() -> None:
    only = replace(SETTINGS, only_tumor_free=True)
    assert paint(sample_of(0.9999), only).reason == "not drawn: it has a tumor"
    assert paint(sample_of(), only).painted


def test_a_label_that_cannot_be_read_costs_its_sample_only() -> None:
    with pytest.warns(UserWarning, match="unusable sample: A label needs whole numbers, got NaN"):
        painted, counts = inject(sample_of(torch.nan), SETTINGS, seeded(1), Notices())
    assert not painted.painted and torch.equal(painted.image, breast().image)
    assert counts == {"unusable sample": 1}


def test_a_clipped_sample_is_told_unless_the_host_knows() -> None:
    clipped = replace(sample_of(), scans=breast().image.clamp(max=125))
    with pytest.warns(UserWarning, match="it looks clipped"):
        paint(clipped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paint(clipped, look_for_clipping=False)


@pytest.mark.parametrize("stored, painted", [(torch.uint8, False), (torch.uint16, True)])
def test_a_tumor_beyond_the_stored_type_is_dropped(stored: torch.dtype, painted: bool) -> None:
    # FlatTexture adds three quarters of a range of 270 to tissue of 110 and more.
    whole = breast().image.round().to(torch.int32)
    found = paint(replace(sample_of(), scans=whole, stored=(torch.int32, stored)))
    assert found.painted is painted
    if not painted:
        assert str(found.reason).startswith("not visible enough: the image's type cuts")
        assert torch.equal(found.image, whole) and not found.tumor.any()
