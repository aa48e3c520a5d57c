"""Vessels and nodes are avoided; gland that enhances is not."""

from __future__ import annotations

import torch
from torch import Tensor

from analytic import ellipsoid
from breast_of_formulas import MM, ONE, tissue_map, tissues
from synbt_aug.tissue import TissueLabel, to_grid
from synbt_aug.tissue.enhancing import MOST_SHARE, enhancing_structures
from synbt_aug.tissue.sites import find_sites

#: In fat, 20 mm from the gland's middle.
BESIDE = (46.0, 40.0, 62.0)


def level_of(rise: Tensor, noise: float = 0.02) -> Tensor:
    """Signal of 0.4 before contrast, and what is given after it."""
    pre = torch.full(ONE, 0.4)
    both = torch.stack([pre, pre + rise])
    both += noise * torch.randn(both.shape, generator=torch.Generator().manual_seed(0))
    return to_grid(both, MM)


def at_grid(mask: Tensor) -> Tensor:
    return to_grid(mask[None].float(), MM)[0] >= 0.9


def test_no_tumor_starts_in_a_vessel_but_one_may_lie_over_it() -> None:
    vessel = ellipsoid(ONE, (44, 40, 40), (100, 2.5, 2.5))
    sites, plain = find_sites(tissue_map(), level_of(vessel * 1.0)), find_sites(tissue_map())
    inside = at_grid(vessel) & plain.allowed
    assert int(inside.sum()) > 10
    assert float(sites.weight[inside].max()) == 0 and bool(sites.allowed[inside].all())
    assert float(sites.weight.sum()) > 0.9 * float(plain.weight.sum())


def test_no_tumor_lies_on_a_node() -> None:
    node = ellipsoid(ONE, BESIDE, (4, 4, 4))
    sites = find_sites(tissue_map(), level_of(node * 0.8))
    assert bool(find_sites(tissue_map()).allowed[at_grid(node)].all())
    assert not bool(sites.allowed[at_grid(node)].any())


def test_a_bright_focus_in_gland_is_no_node() -> None:
    focus = ellipsoid(ONE, (38, 40, 40), (4, 4, 4))
    sites = find_sites(tissue_map(), level_of(focus * 0.8))
    assert bool(sites.allowed[at_grid(focus)].all())


def test_what_is_wider_than_a_vessel_is_neither() -> None:
    broad = ellipsoid(ONE, (38, 40, 40), (12, 12, 12))
    sites, plain = find_sites(tissue_map(), level_of(broad * 1.0)), find_sites(tissue_map())
    assert torch.equal(sites.allowed, plain.allowed)
    middle = at_grid(ellipsoid(ONE, (38, 40, 40), (8, 8, 8)))
    assert torch.allclose(sites.weight[middle], plain.weight[middle], atol=1e-5)


def test_noise_alone_takes_nothing() -> None:
    sites, plain = (
        find_sites(tissue_map(), level_of(torch.zeros(ONE), 0.2)),
        find_sites(tissue_map()),
    )
    assert torch.equal(sites.allowed, plain.allowed)
    assert float(sites.weight.sum()) > 0.99 * float(plain.weight.sum())


def speckle() -> Tensor:
    """Bright grains of 4 mm in 3 places of 10."""
    bright = torch.rand((18, 20, 20), generator=torch.Generator().manual_seed(1)) > 0.7
    return torch.nn.functional.interpolate(bright.float()[None, None], ONE)[0, 0]


def test_dense_gland_with_strong_background_enhancement_keeps_its_sites() -> None:
    labels = tissues()
    labels[labels == TissueLabel.FAT] = TissueLabel.GLAND
    plain = find_sites(tissue_map(labels))
    for rise in (0.5, 1.0, 2.0):
        sites = find_sites(tissue_map(labels), level_of(speckle() * rise))
        assert torch.equal(sites.allowed, plain.allowed)
        lost = (plain.weight > 0) & (sites.weight == 0)
        assert int(lost.sum()) <= MOST_SHARE * int(plain.allowed.sum())


def test_however_much_shines_most_of_the_breast_remains() -> None:
    inside = torch.isin(tissues(), torch.tensor([TissueLabel.FAT, TissueLabel.GLAND]))
    everywhere = torch.ones(36, 40, 40).numpy()
    found, _ = enhancing_structures(
        level_of(speckle() * 2.0).numpy(), at_grid(inside).numpy(), 0 * everywhere, (2.0,) * 3
    )
    assert 0 < found.sum() <= MOST_SHARE * int(at_grid(inside).sum()) + 1


def test_one_bright_voxel_of_5_mm_leaves_most_places() -> None:
    labels = tissues()[::5, ::5, ::5].contiguous()
    small = tissue_map(labels, (5.0, 5.0, 5.0))
    level = torch.full((2, *small.probability.shape[1:]), 0.4)
    plain = find_sites(small, level)
    d, h, w = (plain.weight == plain.weight.max()).nonzero()[0]
    level[1, d, h, w] = 2
    spotted = find_sites(small, level)
    assert plain.reason is None and spotted.reason is None
    assert float(spotted.weight.sum()) > 0.9 * float(plain.weight.sum())
