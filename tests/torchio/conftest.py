"""A texture whose paint is known, in place of the networks."""

from __future__ import annotations

import pytest

from analytic import FlatTexture, painter
from synbt_aug import injector
from synbt_aug.synthesizer import TumorSynthesizer


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> TumorSynthesizer:
    """What all transforms of the test paint with."""
    synthesizer = painter(FlatTexture())
    monkeypatch.setattr(injector, "shared_synthesizer", lambda *_: synthesizer)
    return synthesizer
