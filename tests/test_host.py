"""A volume that something is painted into."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from analytic import breast, find_tissue
from synbt_aug.host import Host
from synbt_aug.tumor.wish import Wish

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def box(*sides: tuple[int, int]) -> Tensor:
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[tuple(slice(*s) for s in sides)] = True
    return mask


def test_occupied_voxels_add_up() -> None:
    tumor, forbidden = box((30, 34)), box((0, 9), (0, 9))
    assert Host.of(breast()).occupied is None
    both = Host.of(replace(breast(), tumor=tumor, forbidden=forbidden))
    assert both.occupied is not None and torch.equal(both.occupied, tumor | forbidden)


def test_sites_are_found_once_and_only_when_asked_for() -> None:
    host = Host.of(breast())
    assert not host._sites
    assert host.sites_by(find_tissue) is host.sites_by(find_tissue)


def test_given_references_are_taken() -> None:
    reference = Host.of(breast()).reference
    wider = replace(reference, high=(500.0, 600.0))
    assert Host.of(breast(), wider).reference is wider
