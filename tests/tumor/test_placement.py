"""Placement: sizes, poses and places that are drawn, and shapes that are met to a voxel."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analytic import MM, ball, breast, examples, find_tissue, seeded, small_bank
from synbt_aug.host import Host
from synbt_aug.mask import bounding_box, sphere_voxels
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.placement import (
    LOG_SD,
    MEDIAN_MM,
    SMALLEST_MM,
    Pose,
    allowed_in_window,
    draw_diameter_mm,
    draw_pose,
    draw_seed,
    draw_window,
    rasterize,
)
from synbt_aug.window import WINDOW_MARGIN_MM, WINDOW_SIDES_MM, Window, cut_mask

MARGIN = 2.0
STRAIGHT = Pose(0, (1.0, 0.0, 0.0, 0.0), False, 0.0, 0)


@lru_cache(maxsize=1)
def host() -> Host:
    return Host.of(breast())


# --- sizes ---


def test_diameters_follow_the_cohort() -> None:
    generator = seeded()
    drawn = torch.tensor([draw_diameter_mm(generator, 200.0) for _ in range(2000)])
    logs = drawn.log()
    assert logs.median().exp().item() == pytest.approx(MEDIAN_MM, rel=0.04)
    assert logs.std().item() == pytest.approx(LOG_SD, rel=0.08)
    # MAMA-MIA: 17 and 58 mm at 5 and 95 %.
    assert drawn.quantile(0.05).item() == pytest.approx(17, abs=1.5)
    assert drawn.quantile(0.95).item() == pytest.approx(58, abs=4)


@pytest.mark.parametrize("most", [6.0, 7.0, 12.0, 40.0])
def test_no_diameter_is_smaller_than_six_or_larger_than_the_room(most: float) -> None:
    generator = seeded(1)
    drawn = [draw_diameter_mm(generator, most) for _ in range(100)]
    assert min(drawn) >= SMALLEST_MM and max(drawn) <= most


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


def test_a_pose_survives_json() -> None:
    pose = draw_pose(small_bank(), 10.0, seeded())
    assert Pose.from_dict(json.loads(json.dumps(pose.to_dict()))) == pose


# --- shapes ---


@given(diameter=st.floats(6.0, 70.0), seed=st.integers(0, 999))
@examples(12)
def test_the_volume_is_met_to_a_voxel_in_the_smallest_window_with_room(
    diameter: float, seed: int
) -> None:
    how = draw_pose(small_bank(), diameter, seeded(seed))
    distance = rasterize(small_bank(), how, diameter, MARGIN)
    if distance is None:
        assert diameter > 40
        return
    side = distance.shape[0]
    assert distance.shape == (side,) * 3 and side in WINDOW_SIDES_MM
    target = sphere_voxels(diameter)
    assert target <= int((distance <= 0).sum()) <= target + 1
    box = bounding_box(distance <= MARGIN)
    extent = max(end - start for start, end in box)
    assert extent + 2 * WINDOW_MARGIN_MM <= side
    smaller = [s for s in WINDOW_SIDES_MM if s < side]
    assert all(extent + 2 * WINDOW_MARGIN_MM > s for s in smaller)
    for (start, end), length in zip(box, distance.shape, strict=True):
        assert abs((start + end) / 2 - length / 2) <= 1


def test_a_shape_too_long_for_any_window_is_none() -> None:
    rod = torch.ones(60, 6, 6, dtype=torch.bool)
    bank = TumorBank((Template(rod, small_bank().templates[0].appearance, "rod"),))
    assert rasterize(bank, STRAIGHT, bank.templates[0].diameter_mm, MARGIN) is not None
    assert rasterize(bank, STRAIGHT, 2.2 * bank.templates[0].diameter_mm, MARGIN) is None


def test_a_wider_hole_needs_more_room() -> None:
    bank = small_bank()
    sides = [
        rasterize(bank, STRAIGHT, 34.0, margin).shape[0]  # type: ignore[union-attr]
        for margin in (1.0, 6.0)
    ]
    assert sides == [64, 96]


def test_a_pose_is_rasterized_the_same_every_time() -> None:
    how = draw_pose(small_bank(), 15.0, seeded(3))
    first, second = (rasterize(small_bank(), how, 15.0, MARGIN) for _ in range(2))
    assert first is not None and second is not None and torch.equal(first, second)


def test_a_flip_is_a_mirror_image() -> None:
    mask = torch.zeros(16, 16, 16, dtype=torch.bool)
    mask[:8, 2:14, 2:14] = True
    mask[8:, 5:11, 5:11] = True
    bank = TumorBank((Template(mask, small_bank().templates[0].appearance, "step"),))
    there, back = (
        rasterize(bank, Pose(0, (1.0, 0, 0, 0), flip, 0.0, 0), 15.0, MARGIN)
        for flip in (False, True)
    )
    assert there is not None and back is not None
    a, b = (d[tuple(slice(*s) for s in bounding_box(d <= 0))] <= 0 for d in (there, back))
    assert a.shape == b.shape
    assert (a != b.flip(0)).float().mean() < 0.02 < (a != b).float().mean()


# --- places ---


def sites_of(allowed: torch.Tensor, weight: torch.Tensor | None = None) -> SiteMap:
    depth = torch.full(allowed.shape, 50.0)
    return SiteMap(allowed.float() if weight is None else weight, depth, allowed, (3, 3, 3), MM)


def test_allowed_tissue_in_a_window_is_that_of_the_host() -> None:
    sites, shape = host().sites_by(find_tissue), breast().shape
    window = Window((-6, 9, 40), 64, MM)
    expected = cut_mask(sites.to_host(shape), window)
    assert torch.equal(allowed_in_window(sites, window, shape), expected)


def test_a_tumor_lies_where_tumor_may_lie() -> None:
    mask = ball(64, 6)
    for seed in range(10):
        window = draw_window(host().sites_by(find_tissue), mask, breast().shape, MM, seeded(seed))
        assert window is not None
        allowed = allowed_in_window(host().sites_by(find_tissue), window, breast().shape)
        assert int((mask & allowed).sum()) >= 0.97 * int(mask.sum())


def test_the_one_allowed_place_is_found_to_its_voxel() -> None:
    weight = torch.zeros(20, 20, 20)
    weight[10, 8, 12] = 1.0
    sites = sites_of(torch.ones(20, 20, 20, dtype=torch.bool), weight)
    for seed in range(5):
        window = draw_window(sites, ball(64, 4), (60, 60, 60), MM, seeded(seed))
        assert window is not None
        centre = [o + 31.5 for o in window.origin]
        # Coarse voxel k covers host voxels 3k to 3k + 2; a window's middle lies between voxels.
        for c, k in zip(centre, (10, 8, 12), strict=True):
            assert 3 * k - 1 <= c <= 3 * k + 3


def test_likely_sites_are_drawn_more_often() -> None:
    weight = torch.zeros(20, 20, 20)
    weight[10, 10, 5], weight[10, 10, 14] = 1.0, 4.0
    sites = sites_of(torch.ones(20, 20, 20, dtype=torch.bool), weight)
    generator = seeded()
    right = 0
    for _ in range(100):
        window = draw_window(sites, ball(64, 3), (60, 60, 60), MM, generator)
        assert window is not None
        right += window.origin[2] + 31.5 > 30
    # 80 expected, 4 SDs are 16.
    assert 64 <= right <= 96


def test_without_room_there_is_no_window() -> None:
    nothing = torch.zeros(20, 20, 20, dtype=torch.bool)
    assert draw_window(sites_of(nothing), ball(64, 4), (60, 60, 60), MM, seeded()) is None
    narrow = nothing.clone()
    narrow[9:11] = True
    assert draw_window(sites_of(narrow), ball(64, 8), (60, 60, 60), MM, seeded()) is None


def test_the_number_of_tries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def count(*_: object) -> torch.Tensor:
        tried.append(1)
        return torch.zeros(64, 64, 64, dtype=torch.bool)

    monkeypatch.setattr("synbt_aug.tumor.placement.allowed_in_window", count)
    everywhere = sites_of(torch.ones(20, 20, 20, dtype=torch.bool))
    assert draw_window(everywhere, ball(64, 4), (60, 60, 60), MM, seeded(), tries=7) is None
    assert len(tried) == 7


@pytest.mark.parametrize("spacing", [(0.7, 1.0, 1.4), (2.0, 2.0, 2.0)])
def test_a_place_is_found_at_other_spacings(spacing: tuple[float, float, float]) -> None:
    volume = breast(spacing)
    sites = Host.of(volume).sites_by(find_tissue)
    mask = ball(64, 5)
    window = draw_window(sites, mask, volume.shape, spacing, seeded())
    assert window is not None and window.spacing == spacing
    middle = [(o * mm + 31.5) for o, mm in zip(window.origin, spacing, strict=True)]
    # In the breast: 48 mm deep, within 32.4 mm of its axis.
    assert 4 < middle[0] < 48 and math.dist(middle[1:], (36, 36)) < 32.4
