"""Site maps of parts of a scan, and in files."""

from __future__ import annotations

import pytest
import torch

from breast_of_formulas import MM, tissue_map, tissues
from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue.site_lookup import arrays_of, map_of_arrays, sites_of_patch
from synbt_aug.tissue.sites import SiteMap, find_sites


def whole(fat: float = 0.3) -> SiteMap:
    labels = tissues()
    post = torch.where(labels[::2, ::2, ::2] == TissueLabel.GLAND, 0.5, fat)
    return find_sites(tissue_map(labels), torch.stack([post - 0.1, post]))


@pytest.mark.parametrize("fat", [0.3, 0.7])
def test_a_file_holds_all_of_a_map(fat: float) -> None:
    sites = whole(fat)
    again = map_of_arrays(arrays_of(sites), MM)
    assert torch.equal(again.allowed, sites.allowed) and again.factors == sites.factors
    one, other = sites.landmarks, again.landmarks
    assert one is not None and other is not None
    for name, value in one._asdict().items():
        if isinstance(value, torch.Tensor):
            assert torch.allclose(value, getattr(other, name), equal_nan=True)
        else:
            assert getattr(other, name) == value
    assert other.dark_fat is (fat < 0.5)


def test_a_patch_of_fat_alone_knows_what_the_whole_scan_tells() -> None:
    sites = whole()
    ranges = (torch.arange(start, start + 16) for start in (30, 56, 32))
    came_from = torch.stack(torch.meshgrid(*ranges, indexing="ij"))
    patch = sites_of_patch(sites, came_from, None, MM)
    marks = patch.landmarks
    assert marks is not None and not bool((marks.gland >= 0.5).any())
    assert marks.dark_fat is True and sites.landmarks is not None
    assert marks.noise == sites.landmarks.noise
