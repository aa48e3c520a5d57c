"""Gland in lobes that run to the nipple, with ligaments around."""

from __future__ import annotations

import pytest
import torch

from synbt_aug.phantom.anatomy import Anatomy, build_anatomy
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue


def _patient(density: str, seed: int = 1_000_720) -> Anatomy:
    settings = PhantomSettings(shape=(80, 80, 64), spacing=(1.5, 1.5, 1.5), density=density)
    return build_anatomy(settings, Randomness.stages(seed, 1)[0])


def test_the_labelled_gland_fills_the_fraction_drawn() -> None:
    anatomy = _patient("c")
    (gland,) = anatomy.glands
    inside = gland.weight > 0
    share = float((anatomy.labels[gland.box] == Tissue.GLAND)[inside].float().mean())
    # The fraction is drawn for the patient and varies by 15 % from breast to breast; vessels
    # and skin take a little.
    assert share == pytest.approx(anatomy.gland_fraction, rel=0.25)


def test_a_fatty_breast_holds_ligaments_brighter_than_its_stroma() -> None:
    (gland,) = _patient("a").glands
    fat = gland.weight[(gland.lobule < 0.1) & (gland.weight > 0)]
    assert float(fat.quantile(0.995)) > 2 * float(fat.median())
    assert float(fat.median()) < 0.25


def test_gland_is_longer_towards_the_nipple_than_across() -> None:
    changes = []
    for seed in range(1_000_720, 1_000_723):
        (gland,) = _patient("c", seed).glands
        solid = gland.lobule
        # Front to back against the two axes across, in the middle of the breast.
        middle = solid[solid.shape[0] // 4 : -(solid.shape[0] // 4)]
        along = middle.diff(dim=1).abs().mean()
        across = 0.5 * (middle.diff(dim=0).abs().mean() + middle.diff(dim=2).abs().mean())
        changes.append(float(along / across))
    assert torch.tensor(changes).median() < 0.9
