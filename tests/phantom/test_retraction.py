"""The host drawn in around a site."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from synbt_aug.phantom import retraction
from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.retraction import retract
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue


def test_tissue_comes_nearer_to_the_site_and_skin_stays(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(retraction, "PULL", (0.4, 0.4))
    settings = PhantomSettings(shape=(64, 72, 64), spacing=(2.0, 2.0, 2.0), density="b")
    source, scar = Randomness.stages(1_000_740, 2)
    anatomy = build_anatomy(settings, source)
    grid, torso = anatomy.torso.grid, anatomy.torso
    deep = torso.skin_depth * (anatomy.labels == Tissue.FAT) * (torso.radial < 0.9)
    deep = deep * (torso.chest_depth < anatomy.fascia - 10)
    voxel = np.array(np.unravel_index(int(deep.argmax()), deep.shape))
    site = voxel * np.array(grid.spacing) + np.array(grid.origin_mm)
    # A shell of vessel, 12 mm from the site.
    away = torch.sqrt(sum((c - float(s)) ** 2 for c, s in zip(grid.axes(), site)))  # type: ignore[arg-type]
    shell = torch.exp(-((away - 12) ** 2) / 4)
    drawn_in = retract(replace(anatomy, vessel_weight=shell), site, 8.0, scar)

    def distance(weight: torch.Tensor) -> float:
        near = away < 25
        return float((weight * away)[near].sum() / weight[near].sum())

    assert distance(drawn_in.vessel_weight) < distance(shell) - 1.0
    skin = torso.skin_depth < 2
    assert torch.equal(drawn_in.labels[skin], anatomy.labels[skin])
    assert torch.allclose(drawn_in.vessel_weight[skin], shell[skin], atol=1e-5)
    hard = ~torch.isin(anatomy.labels, torch.tensor([Tissue.FAT, Tissue.GLAND, Tissue.VESSEL]))
    assert torch.equal(drawn_in.labels[hard], anatomy.labels[hard])
