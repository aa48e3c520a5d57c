"""Lymph nodes: there without a tumor, bright after contrast, and never labelled tumor."""

from __future__ import annotations

import torch

from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.nodes import grow_nodes
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue


def test_nodes_replace_fat_in_front_of_the_muscle() -> None:
    settings = PhantomSettings(shape=(140, 90, 80), spacing=(2.5, 2.5, 2.5), bilateral=True)
    source = Randomness.stages(1_000_500, 1)[0]
    anatomy = build_anatomy(settings, source)
    labels = torch.full(settings.shape, int(Tissue.FAT), dtype=torch.int8)
    each = [grow_nodes(anatomy.torso, labels, anatomy.fascia, source) for _ in range(4)]
    grown = torch.stack(each).amax(dim=0) > 0.5
    assert int(grown.sum()) > 5
    assert bool((labels[grown] == Tissue.VESSEL).all())
    assert bool((anatomy.torso.chest_depth < anatomy.fascia)[grown].all())
