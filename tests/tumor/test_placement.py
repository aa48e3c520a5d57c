"""Placement: poses that are drawn, and tumors that find room."""

from __future__ import annotations

import math
import time
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from analytic import MM, ball, breast, find_tissue, seeded, small_bank
from synbt_aug.grid.mask import sphere_voxels
from synbt_aug.host import Host
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.placement import (
    Placement,
    Raster,
    draw_pose,
    draw_seed,
    place_tumor,
    rasterized,
)
from synbt_aug.tumor.room import fits, room_of
from synbt_aug.tumor.sizes import Sizes
from synbt_aug.volume import Spacing

MARGIN = 2.0
SHAPE = (96, 96, 96)


def sites_of(allowed: Tensor, factor: float = 2.0, spacing: Spacing = MM) -> SiteMap:
    """A site map in which every allowed voxel of the grid is as likely."""
    return SiteMap(allowed.float(), allowed, (factor,) * 3, spacing)


def round_room(radius_mm: float) -> SiteMap:
    """A ball of allowed tissue in the middle of 96 mm, on a grid of 2 mm."""
    return sites_of(ball(48, radius_mm, spacing=(2.0, 2.0, 2.0)))


def one_template(mask: Tensor) -> TumorBank:
    return TumorBank((Template(mask, small_bank().templates[0].appearance, "one"),))


def placed(
    sites: SiteMap,
    seed: int,
    diameter_mm: float | tuple[float, float] | None = None,
    bank: TumorBank | None = None,
) -> Placement | None:
    return place_tumor(sites, SHAPE, bank or small_bank(), MARGIN, seeded(seed), diameter_mm)


@lru_cache(maxsize=1)
def host() -> Host:
    return Host.of(breast())


# --- seeds ---


def test_seeds_differ_and_stay_below_two_to_the_31() -> None:
    generator = seeded()
    drawn = [draw_seed(generator) for _ in range(200)]
    assert len(set(drawn)) == 200 and min(drawn) >= 0 and max(drawn) < 2**31
    again = seeded()
    assert drawn == [draw_seed(again) for _ in range(200)]


# --- poses ---


def test_templates_near_the_wanted_size_are_likely() -> None:
    generator = seeded()
    drawn = [draw_pose(small_bank(), 8.0, generator).template for _ in range(200)]
    # The 8 mm ball is template 0; the 20 mm ball, template 2, is 3.6 widths away.
    assert drawn.count(0) > 100 and drawn.count(2) < 10


def test_the_nearest_template_is_taken_however_far_it_is() -> None:
    bank = TumorBank(small_bank().templates[:1])
    assert draw_pose(bank, 80.0, seeded()).template == 0


def test_a_category_is_kept_to_where_the_bank_has_it() -> None:
    generator = seeded()
    assert {draw_pose(small_bank(), 8.0, generator, "rim").template for _ in range(20)} == {4}
    masses = TumorBank(small_bank().templates[:2])
    assert draw_pose(masses, 8.0, generator, "rim").template in (0, 1)


def test_poses_are_unit_quaternions_in_all_directions_and_half_are_flipped() -> None:
    generator = seeded()
    poses = [draw_pose(small_bank(), 10.0, generator) for _ in range(400)]
    quaternions = torch.tensor([p.quaternion for p in poses])
    assert torch.allclose(quaternions.norm(dim=1), torch.ones(400), atol=1e-5)
    # Uniform on the sphere in 4D: each squared part is 1/4 in the mean, with an SD of .25 / 20.
    assert torch.allclose(quaternions.square().mean(0), torch.full((4,), 0.25), atol=0.05)
    assert 160 <= sum(p.flip for p in poses) <= 240
    assert all(p.elastic_mm == pytest.approx(0.4) for p in poses)


def test_only_the_templates_that_are_named_are_drawn() -> None:
    generator = seeded()
    drawn = {draw_pose(small_bank(), 8.0, generator, "rim", [1, 3]).template for _ in range(40)}
    assert drawn == {1, 3}


# --- places ---


@pytest.mark.parametrize("radius", [9.0, 14.0, 30.0])
def test_a_tumor_lies_where_tumor_may_lie(radius: float) -> None:
    sites = round_room(radius)
    for seed in range(8):
        found = placed(sites, seed)
        assert found is not None
        mask = (found.distance <= 0) | (found.outline <= 0)
        assert fits(room_of(sites, SHAPE), found.window, mask)
        # Allowed voxels reach 1.8 mm beyond the ball, and a voxel beside them 2 mm more.
        places = mask.nonzero() + torch.tensor(found.window.origin)
        away = (places - 47.5).norm(dim=1)
        assert float(away.max()) <= radius + 1.8 + 2 + 1.8
        assert (away > radius + 1.8).float().mean() <= 0.03


def test_sizes_follow_the_cohort_up_to_what_the_breast_holds() -> None:
    sites = round_room(16.0)
    bank = one_template(ball(12, 6.0))
    found = [placed(sites, seed, bank=bank) for seed in range(150)]
    limits = {p.max_mm for p in found if p is not None}
    # Balls fit wherever the ellipsoid does: the limit is the breast's, for all of them.
    assert len(limits) == 1 and None not in found
    sizes = Sizes(bank.diameters_mm)
    ranks = [sizes.rank_of(p.diameter_mm, p.max_mm) for p in found]  # type: ignore[union-attr,arg-type]
    assert ranks == pytest.approx([p.rank for p in found])  # type: ignore[union-attr]
    # 150 uniform numbers stay below .111 in 19 of 20 cases.
    assert kstest(ranks, "uniform").statistic < 0.111


def test_a_lesion_beside_a_larger_one_says_nothing_of_the_size_of_a_tumor_alone() -> None:
    sites = round_room(16.0)
    large, small = (one_template(ball(n, r)).templates[0] for n, r in ((24, 10.0), (12, 3.5)))
    alone = TumorBank((large,))
    group = TumorBank((large._replace(group="a"), *(small._replace(group="a"),) * 5))
    apart = TumorBank((large, *(small,) * 5))
    sizes = [
        [found.diameter_mm for k in range(12) if (found := placed(sites, k, bank=bank))]
        for bank in (alone, group, apart)
    ]
    assert sizes[0] == sizes[1]
    assert np.median(sizes[2]) < 0.6 * np.median(sizes[1])


def test_where_only_smaller_lesions_may_be_taken_theirs_is_the_size() -> None:
    sites = round_room(16.0)
    large, small = (one_template(ball(n, r)).templates[0] for n, r in ((24, 10.0), (12, 3.5)))
    rim = small._replace(appearance=Appearance(category="rim"), group="a")
    bank = TumorBank((large._replace(group="a"), *(rim,) * 12))
    assert bank.further == set(range(1, 13))
    for seed in range(6):
        found = place_tumor(sites, SHAPE, bank, MARGIN, seeded(seed), category="rim")
        assert found is not None and found.pose.template > 0 and found.diameter_mm < 12


def test_ranks_stay_uniform_where_shapes_find_no_room_at_first() -> None:
    # A plate lies in a cube only if it is small.
    plate = torch.ones(20, 20, 7, dtype=torch.bool)
    sites, bank = round_room(12.0), one_template(plate)
    found = [p for p in (placed(sites, seed, bank=bank) for seed in range(60)) if p is not None]
    assert len(found) == 60
    assert any(p.poses > 1 for p in found)
    ranks = [p.rank for p in found if p.rank is not None]
    # 60 uniform numbers stay below .21 in 99 of 100 cases.
    assert kstest(ranks, "uniform").statistic < 0.21
    sizes = Sizes(bank.diameters_mm)
    expected = [sizes.at(p.rank or 0.0, p.max_mm or 0.0) for p in found]
    assert [p.diameter_mm for p in found] == pytest.approx(expected)


def test_a_size_asked_for_is_met_or_refused() -> None:
    sites = round_room(14.0)
    found = placed(sites, 0, 20.0)
    assert found is not None and found.diameter_mm == 20.0
    assert found.max_mm is None and found.rank is None
    assert abs(int((found.distance <= 0).sum()) - sphere_voxels(20.0)) <= 1
    # A ball of 40 mm has three times the volume of all that is allowed.
    assert placed(sites, 0, 40.0) is None


def test_of_a_range_each_size_that_the_breast_holds_is_equally_likely() -> None:
    sites, bank = round_room(16.0), one_template(ball(12, 6.0))
    found = [p for p in (placed(sites, k, (8.0, 60.0), bank) for k in range(150)) if p is not None]
    (limit,) = {p.max_mm for p in found}
    # Balls of 60 mm do not fit: the range ends at what the breast holds.
    assert len(found) == 150 and limit is not None and 20.0 < limit < 32.0
    shares = [(p.diameter_mm - 8.0) / (limit - 8.0) for p in found]
    assert shares == pytest.approx([p.rank for p in found])
    # 150 uniform numbers stay below .111 in 19 of 20 cases.
    assert kstest(shares, "uniform").statistic < 0.111


def test_a_range_that_starts_beyond_what_the_breast_holds_is_tried_at_its_smaller_end() -> None:
    # Nine tenths of an ellipsoid in this room are less than 22 mm, but a ball of 22 mm fits.
    bank = one_template(ball(12, 6.0))
    found = placed(round_room(12.0), 0, (22.0, 40.0), bank)
    assert found is not None and found.diameter_mm == 22.0
    assert placed(round_room(12.0), 0, (40.0, 60.0), bank) is None


def test_several_shapes_are_tried_for_a_size_that_is_asked_for() -> None:
    rod = torch.ones(50, 9, 9, dtype=torch.bool)
    both = TumorBank((*one_template(rod).templates, *one_template(ball(20, 10.0)).templates))
    # 20 mm: the ball fits, the rod of 50 mm does not.
    found = [placed(round_room(14.0), seed, 20.0, both) for seed in range(12)]
    assert all(p is not None and p.pose.template == 1 for p in found)
    assert any(p is not None and p.poses > 1 for p in found)


def test_without_room_nothing_is_placed_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count(*args: object) -> Raster | None:
        calls.append(1)
        return rasterized(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("synbt_aug.tumor.placement.rasterized", count)
    nothing = sites_of(torch.zeros(48, 48, 48, dtype=torch.bool))
    assert placed(nothing, 0) is None
    assert calls == []
    slit = torch.zeros(48, 48, 48, dtype=torch.bool)
    slit[24] = True
    assert placed(sites_of(slit), 0) is None
    # Eight poses, and as many again each of the four times that the limit is lowered.
    assert len(calls) <= 5 * 8
    calls.clear()
    assert placed(round_room(14.0), 0, 40.0) is None
    assert len(calls) == 8


def test_a_placement_is_the_same_for_the_same_seed() -> None:
    first, second = (placed(round_room(20.0), 5) for _ in range(2))
    assert first is not None and second is not None
    assert first.pose == second.pose and first.window == second.window
    assert torch.equal(first.distance, second.distance)


def test_a_placement_takes_tens_of_milliseconds() -> None:
    sites = round_room(30.0)
    placed(sites, 0)
    started = time.process_time()
    for seed in range(5):
        placed(sites, seed)
    # 16 ms on one core of 2024; this is the promise that nobody looks at whole volumes.
    assert (time.process_time() - started) / 5 < 0.25


@pytest.mark.parametrize("spacing", [MM, (0.7, 1.0, 1.4), (2.0, 2.0, 2.0), (3.0, 0.8, 0.8)])
def test_a_place_is_found_at_any_spacing(spacing: Spacing) -> None:
    volume = breast(spacing)
    sites = Host.of(volume).sites_by(find_tissue)
    found = place_tumor(sites, volume.shape, small_bank(), MARGIN, seeded(), 9.0)
    assert found is not None and found.window.spacing == spacing
    middle = [c * mm for c, mm in zip(found.window.centre, spacing, strict=True)]
    # In the breast: 48 mm deep, within 32.4 mm of its axis.
    assert 4 < middle[0] < 48 and math.dist(middle[1:], (36, 36)) < 32.4
