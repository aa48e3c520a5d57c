"""Vessels that feed and drain the place where a tumor grows, up to 4 mm wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.strands import follow, tube_weight
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue


def add_supply(anatomy: Anatomy, sites: Sequence[np.ndarray], rnd: Randomness) -> Anatomy:
    """The patient with one to six vessels that run past or into each site.

    Args:
        anatomy: The patient; left as it is.
        sites: Points in mm, each of shape `(3,)`.
        rnd: Source of randomness.
    """
    points, radii = [], []
    for site in sites:
        count = int(rnd.numbers.integers(1, 7))
        away = rnd.numbers.normal(size=(count, 3))
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        past = np.cross(away, rnd.numbers.normal(size=(count, 3)))
        heading = np.where(rnd.numbers.random((count, 1)) < 0.6, away, past)
        starts = site + away * rnd.numbers.uniform(2, 14, (count, 1))
        lengths = rnd.numbers.uniform(22, 70, count)
        widths = 0.5 * np.clip(rnd.numbers.lognormal(np.log(1.4), 0.35, count), 0.8, 3.0)
        for path, width in zip(follow(starts, heading, lengths, rnd, wobble=0.08), widths):
            points.append(path)
            radii.append(width * np.linspace(1.0, 0.6, len(path)))
    if not points:
        return anatomy
    torso = anatomy.torso
    weight = tube_weight(torso.grid, np.concatenate(points), np.concatenate(radii))
    weight = weight * (anatomy.breast & (torso.skin_depth > 1))
    soft = (anatomy.labels == Tissue.FAT) | (anatomy.labels == Tissue.GLAND)
    labels = anatomy.labels.clone()
    labels[(weight > 0.5) & soft] = Tissue.VESSEL
    wider = torch.maximum(anatomy.vessel_weight, weight)
    return replace(anatomy, labels=labels, vessel_weight=wider)
