"""Vessels that lead to where a tumor grows."""

from __future__ import annotations

import numpy as np
import torch

from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.supply import add_supply
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue


def test_supply_adds_vessels_near_the_site_and_leaves_the_patient_alone() -> None:
    settings = PhantomSettings(shape=(72, 72, 64), spacing=(1.5, 1.5, 1.5), density="b")
    anatomy = build_anatomy(settings, Randomness.stages(1_000_730, 1)[0])
    before = anatomy.labels.clone()
    middle = torch.nonzero(anatomy.breast & (anatomy.torso.skin_depth > 15)).float().mean(dim=0)
    site = middle.numpy() * 1.5 + np.array(anatomy.torso.grid.origin_mm)
    fed = add_supply(anatomy, [site], Randomness.stages(1_000_731, 1)[0])
    assert torch.equal(anatomy.labels, before)
    # Most are thinner than these voxels of 1.5 mm, which is too thin for a label.
    new = fed.vessel_weight > anatomy.vessel_weight + 0.2
    assert int(new.sum()) > 20
    assert bool((fed.vessel_weight >= anatomy.vessel_weight).all())
    labelled = (fed.labels == Tissue.VESSEL) & (before != Tissue.VESSEL)
    assert bool((fed.vessel_weight[labelled] > 0.5).all())
    distance = np.linalg.norm(torch.nonzero(new).numpy() * 1.5 - middle.numpy() * 1.5, axis=1)
    assert distance.min() < 24
    assert bool(anatomy.breast[new].all())


def test_without_a_site_there_is_nothing_to_feed() -> None:
    settings = PhantomSettings(shape=(48, 48, 48))
    anatomy = build_anatomy(settings, Randomness.stages(1_000_732, 1)[0])
    assert add_supply(anatomy, [], Randomness.stages(1, 1)[0]) is anatomy
