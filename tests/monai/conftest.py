"""A texture whose paint is known, in place of the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from monai.data import MetaTensor, set_track_meta
from torch import Tensor

from analytic import FlatTexture, breast, painter
from synbt_aug import injector
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.volume import Spacing

MM: Spacing = (1.0, 1.0, 1.0)


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> TumorSynthesizer:
    """What all transforms of the test paint with."""
    synthesizer = painter(FlatTexture())
    monkeypatch.setattr(injector, "shared_synthesizer", lambda *_: synthesizer)
    return synthesizer


@pytest.fixture
def untracked() -> Iterator[None]:
    set_track_meta(False)
    yield
    set_track_meta(True)


def affine_of(spacing: Spacing) -> Tensor:
    return torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))


@pytest.fixture
def sample() -> Callable[..., dict[str, Any]]:
    """Makes a fresh sample of MetaTensors: an analytic breast and an empty label."""

    def make(seed: int = 0, spacing: Spacing = MM, affine: Tensor | None = None) -> dict[str, Any]:
        volume = breast(spacing, seed)
        affine = affine_of(spacing) if affine is None else affine
        # An entry that files bring: 1 mm is then what the affine says, not what is assumed.
        meta = {"filename_or_obj": f"case{seed}.nii.gz"}
        label = torch.zeros((1, *volume.shape), dtype=torch.uint8)
        return {
            "image": MetaTensor(volume.image.clone(), affine=affine, meta=dict(meta)),
            "label": MetaTensor(label, affine=affine, meta=dict(meta)),
        }

    return make
