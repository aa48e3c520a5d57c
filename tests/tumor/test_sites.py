"""Sites: air, skin, chest wall, other tumors, in every axis order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from analytic import MM, axis_orders, breast, ellipsoid, reorder, seeded
from synbt_aug.intensity import measure_reference, to_linear
from synbt_aug.tumor.sites import (
    FAT_WEIGHT,
    body_mask,
    find_sites,
    otsu_threshold,
)
from synbt_aug.volume import Spacing

SHAPE = breast().shape


@lru_cache(maxsize=8)
def level(spacing: Spacing = MM) -> Tensor:
    image = breast(spacing).image
    return (to_linear(image, measure_reference(image)) + 1) / 2


def fat() -> Tensor:
    """The breast in front of the chest wall."""
    return ellipsoid(SHAPE, (48, 36, 36), (44, 32.4, 32.4))


def test_sites_lie_in_the_breast_away_from_skin_and_chest_wall() -> None:
    allowed = find_sites(level()).to_host(SHAPE)
    assert int(allowed.sum()) > 0.3 * int(fat()[:48].sum())
    body = fat() | (torch.arange(56) >= 48).view(-1, 1, 1)
    depth = ndimage.distance_transform_edt(body.numpy())[allowed.numpy()]
    # 9 mm are kept, judged on voxels of 3 mm, whose corners come nearer than their centres.
    assert depth.min() > 1.5
    assert np.quantile(depth, 0.05) > 7
    assert not bool(allowed[51:].any())


def test_there_is_nothing_random_in_sites() -> None:
    first, second = find_sites(level()), find_sites(level())
    assert torch.equal(first.weight, second.weight)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (1.0, 2.0, 1.5), (3.0, 1.0, 1.0)])
def test_sites_do_not_depend_on_the_voxel_size(spacing: Spacing) -> None:
    volume = breast(spacing)
    share = find_sites(level(spacing), spacing).to_host(volume.shape).float().mean()
    expected = find_sites(level()).to_host(SHAPE).float().mean()
    assert share.item() == pytest.approx(expected.item(), rel=0.35)


def test_sites_do_not_know_the_order_of_the_axes() -> None:
    expected = find_sites(level()).to_host(SHAPE)
    for order, flip in axis_orders():
        turned = reorder(level(), order, flip)
        found = find_sites(turned).to_host(tuple(turned.shape[1:]))  # type: ignore[arg-type]
        overlap = found & reorder(expected, order, flip)
        # 56 is no multiple of 3: a flip moves the coarse grid.
        assert 2 * int(overlap.sum()) > 0.93 * (int(found.sum()) + int(expected.sum()))


def test_gland_is_likelier_than_fat() -> None:
    sites = find_sites(level())
    weight = sites.weight.repeat_interleave(3, 0).repeat_interleave(3, 1).repeat_interleave(3, 2)
    gland = ellipsoid(SHAPE, (40, 36, 36), (12, 9, 9))[:48]
    around = (fat() & ~ellipsoid(SHAPE, (40, 36, 36), (24, 20, 20)))[:48]
    allowed = sites.to_host(SHAPE)[:48]
    cropped = weight[:48, :72, :72]
    assert cropped[gland & allowed].mean() > 0.8
    assert cropped[around & allowed].mean() < 0.3
    assert sites.weight[sites.allowed].min() >= FAT_WEIGHT - 1e-6
    assert sites.weight.max() <= 1


def test_dark_gland_in_bright_fat_is_found_as_well() -> None:
    image = breast().image
    bright = torch.where(image > 60, 240 - image, image)
    mapped = (to_linear(bright, measure_reference(bright)) + 1) / 2
    sites = find_sites(mapped)
    gland = ellipsoid(tuple(sites.weight.shape), (40, 36, 36), (12, 9, 9), (3.0, 3.0, 3.0))
    elsewhere = sites.allowed & ~ellipsoid(
        tuple(sites.weight.shape), (40, 36, 36), (24, 20, 20), (3.0, 3.0, 3.0)
    )
    assert sites.weight[gland & sites.allowed].mean() > 2 * sites.weight[elsewhere].mean()


def test_existing_tumors_keep_their_distance() -> None:
    occupied = ellipsoid(SHAPE, (36, 36, 36), (6, 6, 6))
    sites = find_sites(level(), MM, occupied)
    free = find_sites(level()).to_host(SHAPE)
    allowed = sites.to_host(SHAPE)
    assert bool(free[occupied].all())
    distance = ndimage.distance_transform_edt(~occupied.numpy())[allowed.numpy()]
    # 6 mm are kept, judged on voxels of 3 mm, as the skin is.
    assert distance.min() > 4
    assert bool((allowed & ~ellipsoid(SHAPE, (36, 36, 36), (18,) * 3)).any())


def test_voxels_without_signal_are_no_sites() -> None:
    valid = torch.ones(SHAPE, dtype=torch.bool)
    valid[:, :36] = False
    allowed = find_sites(level(), MM, None, valid).to_host(SHAPE)
    assert not bool(allowed[:, :36].any()) and bool(allowed[:, 39:].any())


def test_the_depth_of_a_site_is_its_distance_to_where_none_may_be() -> None:
    sites = find_sites(level())
    edge = sites.allowed & (sites.depth_mm <= 3)
    assert bool((sites.depth_mm[~sites.allowed] == 0).all())
    assert bool(edge.any())
    assert 12 < sites.depth_mm.max() < 24


def test_without_air_any_tissue_may_serve() -> None:
    everywhere = torch.full((2, 30, 30, 30), 0.5) + 0.02 * torch.randn(
        (2, 30, 30, 30), generator=seeded()
    )
    sites = find_sites(everywhere)
    assert bool(sites.allowed.all())
    assert bool((sites.weight > 0).all())


@pytest.mark.parametrize("what", ["air", "flat"])
def test_without_a_breast_there_is_nowhere_to_go(what: str) -> None:
    signal = 0.01 * torch.rand((2, 40, 40, 40), generator=seeded())
    if what == "flat":
        signal[:, 30:] = 0.5
    sites = find_sites(signal)
    assert not bool(sites.allowed.any())
    assert bool((sites.weight == 0).all())


def test_a_case_full_of_tumors_has_no_site() -> None:
    sites = find_sites(level(), MM, torch.ones(SHAPE, dtype=torch.bool))
    assert bool((sites.weight == 0).all())


@pytest.mark.parametrize("shape", [(2, 40, 40), (5, 4, 3), (2, 2, 2)])
def test_volumes_thinner_than_the_grid_are_no_error(shape: tuple[int, ...]) -> None:
    sites = find_sites(torch.rand((2, *shape), generator=seeded()))
    assert sites.to_host(shape).shape == shape  # type: ignore[arg-type]


def test_otsu_parts_two_classes() -> None:
    values = np.concatenate([np.full(500, 1.0), np.full(200, 5.0)])
    values += np.random.default_rng(0).normal(0, 0.1, values.size)
    threshold = otsu_threshold(values)
    assert (values < threshold).sum() == 500


def test_the_body_is_what_is_not_air_without_its_holes() -> None:
    signal = np.full((30, 30, 30), 0.01)
    signal[8:, 5:25, 5:25] = 0.4
    signal[18:20, 14:16, 14:16] = 0.01
    expected = np.zeros(signal.shape, bool)
    expected[8:, 5:25, 5:25] = True
    # Opening rounds the corners off.
    assert (body_mask(signal) != expected).mean() < 0.01
    assert body_mask(signal)[18:20, 14:16, 14:16].all()


def test_specks_in_air_are_no_body() -> None:
    signal = np.full((30, 30, 30), 0.01)
    signal[15:, 5:25, 5:25] = 0.4
    signal[2:5, 2:5, 2:5] = 0.4
    assert not body_mask(signal)[:8].any()
