"""A texture whose paint is known, in place of the networks; warnings that are new in every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from analytic import FlatTexture, painter
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug_torchio import history, paint_tumor, synbt_tumor


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> TumorSynthesizer:
    """What all transforms of the test paint with."""
    synthesizer = painter(FlatTexture())

    def shared(settings: InjectionSettings) -> TumorSynthesizer:
        return synthesizer

    for module in (synbt_tumor, paint_tumor):
        monkeypatch.setattr(module, "shared_synthesizer", shared)
    return synthesizer


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    history._said.clear()
    yield
    history._said.clear()
