"""Sites: gland and its border, away from skin, chest wall and tumors, in every axis order."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from analytic import axis_orders, ellipsoid, positions_mm, reorder
from breast_of_formulas import MM, ONE, TWO, tissue_map, tissues
from synbt_aug.tissue import TissueLabel, TissueMap, to_grid
from synbt_aug.tissue.sites import (
    CLEARANCE_MM,
    FAR_SHARE,
    MARGIN_MM,
    SKIN_MARGIN_MM,
    find_sites,
    sites_of_roi,
)

#: Half the diagonal of a grid voxel: distances are judged at its centre.
HALF = 3**0.5


def distance_to(mask: Tensor) -> np.ndarray:
    return np.asarray(ndimage.distance_transform_edt(~mask.numpy()))


def grid(mask: Tensor) -> Tensor:
    """A mask on the working grid: what is filled by half."""
    return to_grid(mask[None].float(), MM)[0] >= 0.5


def tumor(
    centre: tuple[float, float, float] = (38, 40, 40), shape: tuple[int, ...] = ONE
) -> Tensor:
    return ellipsoid(shape, centre, (5, 5, 5))


# --- distances


def test_sites_keep_their_distance_from_skin_air_and_chest_wall() -> None:
    labels = tissues()
    allowed = find_sites(tissue_map(labels)).to_host(ONE)
    behind = labels == TissueLabel.BEHIND
    before = (labels == TissueLabel.SKIN) | (labels == TissueLabel.BACKGROUND)
    from_wall, from_skin = distance_to(behind), distance_to(before)
    assert from_wall[allowed.numpy()].min() >= MARGIN_MM - HALF
    assert from_skin[allowed.numpy()].min() >= SKIN_MARGIN_MM - HALF
    # And no more than that: all that lies 2 voxels deeper is allowed.
    deep = (from_wall > MARGIN_MM + 4) & (from_skin > SKIN_MARGIN_MM + 4)
    assert bool(allowed[torch.from_numpy(deep)].all())


def test_existing_tumors_keep_their_distance() -> None:
    free = find_sites(tissue_map()).to_host(ONE)
    allowed = find_sites(tissue_map(), occupied=tumor()).to_host(ONE)
    distance = distance_to(tumor())
    assert distance[allowed.numpy()].min() >= CLEARANCE_MM - HALF
    assert torch.equal(
        allowed[torch.from_numpy(distance > 12)], free[torch.from_numpy(distance > 12)]
    )


def test_an_existing_tumor_in_fat_draws_no_other_to_its_border() -> None:
    place = (38.0, 40.0, 64.0)
    labels = tissues()
    labels[ellipsoid(ONE, place, (5, 5, 5))] = TissueLabel.GLAND
    sites = find_sites(tissue_map(labels), occupied=tumor(place))
    plain = find_sites(tissue_map(), occupied=tumor(place))
    assert torch.allclose(sites.weight, plain.weight, atol=1e-6)


def test_voxels_without_signal_are_no_sites_and_no_skin() -> None:
    valid = torch.ones(ONE, dtype=torch.bool)
    valid[:, :40] = False
    free, cut = find_sites(tissue_map()), find_sites(tissue_map(), valid=valid)
    assert not bool(cut.allowed[:, :20].any())
    assert torch.equal(cut.allowed[:, 20:], free.allowed[:, 20:])


# --- likelihoods


def test_gland_and_its_border_are_likelier_than_far_fat() -> None:
    labels = tissues()
    sites = find_sites(tissue_map(labels))
    away = torch.from_numpy(distance_to(labels == TissueLabel.GLAND))
    mean = {
        where: float(sites.weight[grid((away >= low) & (away <= high)) & sites.allowed].mean())
        for where, low, high in (("gland", 0, 0), ("border", 1, 3), ("near", 4, 6), ("far", 12, 99))
    }
    assert mean["gland"] > 0.95 and 0.4 < mean["border"] < 0.9
    assert 0 < mean["far"] <= 0.05 < mean["near"] < mean["border"]
    assert float(sites.weight.max()) <= 1 and bool((sites.weight[~sites.allowed] == 0).all())


def test_the_share_of_gland_is_that_of_where_tumor_may_lie() -> None:
    labels = tissues()
    sites = find_sites(tissue_map(labels))
    gland = grid(labels == TissueLabel.GLAND)
    assert sites.gland_share == pytest.approx(float(gland[sites.allowed].float().mean()), abs=0.01)
    assert 0.05 < sites.gland_share < 0.5
    little = find_sites(tissue_map(tissues(gland_radii=(6, 6, 6)))).gland_share
    assert little is not None and 0 < little < 0.2 * sites.gland_share


def test_of_a_roi_the_share_of_gland_is_not_known() -> None:
    roi = torch.zeros(ONE, dtype=torch.bool)
    roi[20:50, 20:60, 20:60] = True
    assert sites_of_roi(roi, MM).gland_share is None


@pytest.mark.parametrize("radii", [(16, 14, 14), (6, 6, 6), (24, 3, 3)])
def test_most_sites_are_near_gland_however_little_there_is(radii: tuple[int, int, int]) -> None:
    labels = tissues(gland_radii=radii)
    sites = find_sites(tissue_map(labels))
    near = grid(torch.from_numpy(distance_to(labels == TissueLabel.GLAND) <= 10))
    assert float(sites.weight[near].sum() / sites.weight.sum()) >= 1 - FAR_SHARE - 1e-3


def test_gland_too_near_the_skin_leaves_the_fat() -> None:
    labels = tissues(gland_radii=None)
    labels[ellipsoid(ONE, (16, 40, 40), (4, 6, 6)) & (labels == TissueLabel.FAT)] = (
        TissueLabel.GLAND
    )
    sites = find_sites(tissue_map(labels))
    assert sites.reason is None and bool((sites.weight[sites.allowed] > 0).all())


# --- what the signal says of gland


def estimated(labels: Tensor, known: bool = False) -> TissueMap:
    """Tissues whose gland is believed to lie 12 mm beside where it does, and with doubt."""
    believed = labels.clone()
    gland = labels == TissueLabel.GLAND
    believed[gland] = TissueLabel.FAT
    moved = torch.roll(gland, 12, 1) & (labels != TissueLabel.SKIN)
    believed[moved] = TissueLabel.GLAND
    probability = tissue_map(believed).probability.clone()
    fat, share = probability[TissueLabel.FAT], probability[TissueLabel.GLAND]
    breast = fat + share
    probability[TissueLabel.GLAND] = 0.2 * breast + 0.5 * share
    probability[TissueLabel.FAT] = breast - probability[TissueLabel.GLAND]
    return TissueMap(probability, ONE, MM, known)


def seen(labels: Tensor) -> Tensor:
    """Pre and post in which gland shows, with noise."""
    gland = grid(labels == TissueLabel.GLAND)
    clear = torch.stack([0.2 + 0.2 * gland, 0.25 + 0.35 * gland])
    noise = torch.randn(clear.shape, generator=torch.Generator().manual_seed(0))
    return clear * (0.1 * noise).exp()


def test_gland_that_shows_is_what_draws_tumors() -> None:
    labels = tissues()
    gland = grid(labels == TissueLabel.GLAND)
    blind, sighted = (find_sites(estimated(labels), level) for level in (None, seen(labels)))
    for sites, low, high in ((blind, 0.0, 0.75), (sighted, 0.9, 1.0)):
        assert sites.landmarks is not None
        start = sites.landmarks.start
        box = tuple(slice(s, s + n) for s, n in zip(start, sites.landmarks.gland.shape))
        assert low <= float(sites.landmarks.gland[gland[box]].float().mean()) <= high
    assert float(sighted.weight[gland].sum()) > float(blind.weight[gland].sum())


def test_known_tissues_are_not_corrected() -> None:
    labels = tissues()
    blind, sighted = (
        find_sites(estimated(labels, known=True), level) for level in (None, seen(labels))
    )
    assert blind.landmarks is not None and sighted.landmarks is not None
    assert torch.equal(blind.landmarks.gland, sighted.landmarks.gland)


def test_an_ignored_tumor_leaves_its_place_free_and_is_no_vessel() -> None:
    labels, strand = tissues(), ellipsoid(ONE, (38, 62, 40), (12, 2, 2))
    level = seen(labels)
    level[1][grid(strand)] += 2.0
    taken, free = (
        find_sites(tissue_map(labels), level, **{k: strand}) for k in ("occupied", "ignored")
    )
    there = grid(strand)
    assert bool(there.any()) and not bool(taken.allowed[there].any())
    assert bool(free.allowed[there].all()) and bool((free.weight[there] > 0).all())
    as_vessel = find_sites(tissue_map(labels), level)
    assert bool((as_vessel.weight[there] == 0).any())


# --- doubt


@pytest.mark.parametrize("behind, allowed", [(0.0, True), (0.05, False), (0.3, False)])
def test_what_may_lie_behind_the_breast_is_no_site(behind: float, allowed: bool) -> None:
    probability = tissue_map().probability.clone()
    place = (slice(14, 18), slice(24, 28), slice(18, 22))
    assert bool(find_sites(tissue_map()).allowed[place].all())
    probability[(slice(None), *place)] = 0
    probability[(int(TissueLabel.BEHIND), *place)] = behind
    probability[(int(TissueLabel.FAT), *place)] = 1 - behind
    found = find_sites(TissueMap(probability, ONE, MM))
    assert bool(found.allowed[place].all()) == allowed
    assert allowed or not bool(found.allowed[place].any())


# --- views


def test_both_breasts_of_a_bilateral_scan_have_sites() -> None:
    sites = find_sites(tissue_map(tissues(TWO)))
    left, right = sites.weight[:, :40], sites.weight[:, 40:]
    assert torch.allclose(left, right.flip(1), atol=1e-5) and float(left.max()) > 0.99


def test_where_a_crop_ends_is_no_skin_and_no_chest_wall() -> None:
    labels = tissues()
    whole = find_sites(tissue_map(labels))
    # At even indices the grids coincide.
    crop = find_sites(tissue_map(labels[20:, 30:70, 10:50].contiguous()))
    part = whole.allowed[10:, 15:35, 5:25]
    assert bool(crop.allowed[part].all())
    # Within 6 mm of the cut, skin beyond it is not seen.
    assert torch.equal(crop.allowed[4:, 4:-4, 4:-4], part[4:, 4:-4, 4:-4])
    inner, same = crop.weight[:, 6:-6, 6:-6], whole.weight[10:, 15:35, 5:25][:, 6:-6, 6:-6]
    assert torch.allclose(inner[6:], same[6:], atol=0.02)


def test_a_crop_entirely_inside_a_breast_is_all_sites() -> None:
    labels = tissues()[24:52, 26:54, 26:54].contiguous()
    assert set(labels.unique().tolist()) == {TissueLabel.FAT, TissueLabel.GLAND}
    sites = find_sites(tissue_map(labels))
    assert bool(sites.allowed.all()) and bool((sites.weight > 0).all())


def test_sites_do_not_know_the_order_of_the_axes() -> None:
    labels = tissues()
    labels[ellipsoid(ONE, (50, 52, 30), (4, 6, 5))] = TissueLabel.GLAND
    occupied = tumor((44, 46, 38))
    level = torch.rand((2, 36, 40, 40), generator=torch.Generator().manual_seed(0))
    level[1, 18:22, 28:31, 10:13] += 2
    expected = find_sites(tissue_map(labels), level, occupied)
    assert expected.reason is None
    for order, flip in axis_orders():
        turned = (reorder(volume, order, flip) for volume in (labels, level, occupied))
        found = find_sites(tissue_map(next(turned)), next(turned), next(turned))
        assert torch.equal(found.allowed, reorder(expected.allowed, order, flip))
        back = reorder(expected.weight, order, flip)
        assert torch.allclose(found.weight, back, atol=1e-5)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (1.0, 2.0, 1.5), (3.0, 1.0, 1.0)])
def test_sites_do_not_depend_on_the_voxel_size(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(n / mm) for n, mm in zip(ONE, spacing))
    axes = [
        ((torch.arange(n) + 0.5) * mm).long().clamp_max(m - 1)
        for n, mm, m in zip(shape, spacing, ONE)
    ]
    labels = tissues()[axes[0]][:, axes[1]][:, :, axes[2]]
    sites = find_sites(TissueMap.of_labels(labels, spacing))
    expected = find_sites(tissue_map())
    assert sites.to_host(labels.shape).shape == labels.shape  # type: ignore[arg-type]
    share, known = (float(s.allowed.float().mean()) for s in (sites, expected))
    assert share == pytest.approx(known, rel=0.15)


# --- nowhere


@pytest.mark.parametrize(
    "what, reason",
    [
        ("air", "no site: no breast is in view"),
        ("chest", "no site: no breast is in view"),
        ("only fat", "no site: the breast in view has no fibroglandular tissue"),
        ("thin", "no site: the breast in view is nowhere 2 mm away from the skin and 4 mm from"),
        ("full", "no site: existing tumors and forbidden places leave no room"),
        (
            "small",
            "no site: the volume is only 20 x 20 x 20 mm, and shows too little to tell where",
        ),
    ],
)
def test_without_a_place_there_is_a_reason(what: str, reason: str) -> None:
    labels, occupied = tissues(), None
    if what in ("air", "chest"):
        labels[:] = TissueLabel.BACKGROUND if what == "air" else TissueLabel.BEHIND
    elif what == "only fat":
        labels = tissues(gland_radii=None)
    elif what == "thin":
        labels[positions_mm(ONE)[0] > 16] = TissueLabel.BEHIND
        labels[labels == TissueLabel.FAT] = TissueLabel.GLAND
    elif what == "full":
        occupied = torch.ones(ONE, dtype=torch.bool)
    else:
        labels = labels[30:50, 30:50, 30:50].contiguous()
    sites = find_sites(tissue_map(labels), occupied=occupied)
    assert str(sites.reason).startswith(reason)
    assert not bool(sites.allowed.any()) and not bool(sites.weight.any())
    assert sites.weight.shape == sites.allowed.shape


def test_where_there_is_a_place_there_is_no_reason() -> None:
    assert find_sites(tissue_map()).reason is None


# --- one side


def test_the_free_side_is_the_breast_without_a_tumor() -> None:
    real = tumor((38, 40, 40), TWO)
    tissue = tissue_map(tissues(TWO))
    sites = find_sites(tissue, occupied=real, real_tumor=real)
    assert not bool(sites.allowed[:, :40].any())
    assert torch.equal(sites.allowed[:, 40:], find_sites(tissue).allowed[:, 40:])


def test_breasts_joined_by_a_bridge_of_fat_are_two() -> None:
    labels = tissues(TWO)
    labels[50:60, 60:100, 20:60] = TissueLabel.FAT
    real = tumor((38, 40, 40), TWO)
    sites = find_sites(tissue_map(labels), occupied=real, real_tumor=real)
    assert float(sites.weight[:, :36].sum()) == 0 and float(sites.weight[:, 44:].max()) > 0.99


def test_a_single_breast_with_a_tumor_has_no_free_side() -> None:
    sites = find_sites(tissue_map(), occupied=tumor(), real_tumor=tumor())
    assert sites.reason == "no site: there is no breast in view without a real tumor"
    without = find_sites(tissue_map(), real_tumor=torch.zeros(ONE, dtype=torch.bool))
    assert without.reason is None


# --- rois


def test_a_roi_decides_alone() -> None:
    roi = torch.zeros(ONE, dtype=torch.bool)
    roi[4:20, 10:40, 60:80] = True
    sites = sites_of_roi(roi, MM)
    assert torch.equal(sites.to_host(ONE), roi)
    assert torch.equal(sites.weight > 0, sites.allowed) and float(sites.weight.max()) == 1


def test_weights_of_a_roi_are_weights_of_sites() -> None:
    roi = torch.zeros(ONE)
    roi[10:20, 10:20, 10:20], roi[40:50, 10:20, 10:20] = 0.25, 0.75
    weight = sites_of_roi(roi, MM).weight
    assert weight[5:10, 5:10, 5:10].unique().tolist() == [0.25]
    assert weight[20:25, 5:10, 5:10].unique().tolist() == [0.75]


def test_tumors_and_voxels_without_signal_stay_out_of_a_roi() -> None:
    roi, valid = torch.ones(ONE, dtype=torch.bool), torch.ones(ONE, dtype=torch.bool)
    valid[:10] = False
    sites = sites_of_roi(roi, MM, tumor(), valid)
    assert not bool(sites.allowed[:5].any()) and bool(sites.allowed[5, 20, 20])
    assert distance_to(tumor())[sites.to_host(ONE).numpy()].min() >= CLEARANCE_MM - HALF


def test_the_free_side_of_a_roi_is_its_part_without_a_tumor() -> None:
    roi = torch.zeros(TWO, dtype=torch.bool)
    roi[10:50, 20:60, 20:60] = roi[10:50, 100:140, 20:60] = True
    sites = sites_of_roi(roi, MM, real_tumor=tumor((30, 40, 40), TWO))
    assert not bool(sites.allowed[:, :40].any()) and bool(sites.allowed[:, 40:].any())
    alone = sites_of_roi(roi[:, :80], MM, real_tumor=tumor((30, 40, 40), TWO)[:, :80])
    assert alone.reason == "no site: there is no part of the roi without a real tumor"


@pytest.mark.parametrize(
    "what, reason",
    [
        ("empty", "no site: the roi marks no voxel"),
        ("a line", "no site: the roi is thinner than 2 mm everywhere"),
        ("unseen", "no site: the roi marks only voxels without signal"),
        ("taken", "no site: existing tumors and forbidden places leave no room"),
    ],
)
def test_a_roi_without_a_place_is_told(what: str, reason: str) -> None:
    roi, everywhere = torch.zeros(ONE, dtype=torch.bool), torch.ones(ONE, dtype=torch.bool)
    if what == "a line":
        roi[30, 30, :] = True
    elif what != "empty":
        roi[30:40, 30:40, 30:40] = True
    occupied, valid = (everywhere if what == "taken" else None), None
    if what == "unseen":
        valid = ~everywhere
    assert sites_of_roi(roi, MM, occupied, valid).reason == reason


# --- cost


def test_sites_of_a_whole_case_take_half_a_second_at_most() -> None:
    labels = torch.nn.functional.pad(tissues(TWO), (24, 24, 16, 16, 120, 0))
    assert labels.shape == (192, 192, 128)
    tissue, level = tissue_map(labels), torch.rand(2, 96, 96, 64)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        find_sites(tissue, level, labels == 9, labels != 9)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5


def test_there_is_nothing_random_in_sites() -> None:
    first, second = find_sites(tissue_map()), find_sites(tissue_map())
    assert torch.equal(first.weight, second.weight)
