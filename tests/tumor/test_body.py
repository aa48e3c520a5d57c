"""Bodies without what is rough on them: as large, in the same place, lobulated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from analytic import ball, ellipsoid, seeded, small_bank, voxel_bank
from synbt_aug.grid.mask import around, equivalent_diameter_mm
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.body import SMALLEST_MM, smooth_bodies, smooth_body
from synbt_aug.tumor.template import Template


def ragged(mm: int = 30) -> Tensor:
    """A ball of this diameter whose surface is teeth of two voxels, in its box."""
    whole = ball(mm + 6, mm // 2)
    noise = torch.randn(whole.shape, generator=seeded(3))
    near = torch.from_numpy(ndimage.distance_transform_edt(whole.numpy()) <= 2)
    mask = whole & ~(near & (noise > 0))
    box = around(mask, 0)
    assert box is not None
    return mask[box].clone()


def surface(mask: Tensor) -> float:
    """Voxel faces, over those of a ball of the same volume in voxels."""
    padded = np.pad(mask.numpy(), 1).astype(int)
    faces = sum(int(np.abs(np.diff(padded, axis=k)).sum()) for k in range(3))
    return faces / (1.5 * np.pi * equivalent_diameter_mm(int(mask.sum())) ** 2)


def template(mask: Tensor, category: str = "mass", group: str = "") -> Template:
    return Template(mask, Appearance(0.8, 0.2, 1.1, 0.3, category), "phantom_0000007", group)


def test_a_ragged_body_becomes_smooth_and_keeps_its_volume() -> None:
    before = ragged()
    after = smooth_body(before, seeded())
    assert surface(before) > 1.8 and surface(after) < 1.25
    assert int(after.sum()) == pytest.approx(int(before.sum()), rel=0.01)


def test_its_box_keeps_its_middle() -> None:
    before = ellipsoid((40, 30, 24), (20, 15, 12), (19, 12, 9))
    after = smooth_body(before, seeded())
    middles = [
        np.array(ndimage.center_of_mass(m.numpy())) - np.array(m.shape) / 2 for m in (before, after)
    ]
    assert middles[0] == pytest.approx(middles[1], abs=1.0)


def test_every_body_has_lobules_of_its_own() -> None:
    one, other, again = (smooth_body(ragged(), seeded(seed)) for seed in (1, 2, 1))
    assert bool((one == again).all())
    differs = float((one != other).sum()) / float(one.sum())
    assert 0.02 < differs < 0.3


def test_a_non_mass_lesion_has_no_lobules() -> None:
    one, other = (smooth_body(ragged(), seeded(seed), non_mass=True) for seed in (1, 2))
    assert bool((one == other).all())


def test_a_non_mass_lesion_keeps_its_branches() -> None:
    branches = torch.zeros(40, 40, 40, dtype=torch.bool)
    for k in range(3):
        across = [slice(16, 23)] * 3
        across[k] = slice(None)
        branches[tuple(across)] = True
    kept = smooth_body(branches, seeded(), non_mass=True)
    rounded = smooth_body(branches, seeded())
    ends = [float(m[tuple(slice(10, -10) for _ in range(3))][:4].sum()) for m in (kept, rounded)]
    of_the_end = 4 * 7 * 7
    assert ends[0] > 0.8 * of_the_end and ends[1] < 0.6 * of_the_end


def test_small_tumors_stay_as_they_are() -> None:
    small = ragged(int(SMALLEST_MM) - 2)
    assert smooth_body(small, seeded()) is small


@pytest.mark.parametrize(("side", "count"), [(10, 1), (16, 2)])
def test_pieces_of_less_than_a_tenth_are_left_out(side: int, count: int) -> None:
    mask = torch.zeros(64, 34, 34, dtype=torch.bool)
    mask[:34] = ball(34, 15)
    mask[-side:, 9 : 9 + side, 9 : 9 + side] = True
    after = smooth_body(mask, seeded())
    assert ndimage.label(after.numpy())[1] == count
    assert bool(after[20:40].any())


def test_lesions_of_a_case_stay_where_they_were_beside_each_other() -> None:
    # A long tooth on one side of either: its box's middle moves when it goes.
    large, small = (F.pad(ragged(mm), (0, 0, 0, 0, 0, 12)) for mm in (30, 20))
    for mask in (large, small):
        mask[-12:, mask.shape[1] // 2, mask.shape[2] // 2] = True
    large = large.flip(1).transpose(0, 1)
    case = [
        template(large, group="a"),
        template(small, group="a")._replace(offset_mm=(0.0, 30.0, -4.0)),
    ]
    found = smooth_bodies(case, 7)

    def middle(one: Template) -> np.ndarray:
        inside = np.array(ndimage.center_of_mass(one.mask.numpy()))
        return inside - (np.array(one.mask.shape) - 1) / 2 + np.array(one.offset_mm)

    before, after = (middle(pair[1]) - middle(pair[0]) for pair in (case, found))
    assert before == pytest.approx(after, abs=0.8)
    assert np.abs(np.array(found[1].offset_mm) - np.array(case[1].offset_mm)).max() > 4
    assert found[0].offset_mm == (0.0, 0.0, 0.0)
    assert [t.source for t in found] == [t.source for t in case]


def test_the_largest_comes_first_and_offsets_are_from_it() -> None:
    # Of the first a piece goes.
    first = torch.zeros(64, 34, 34, dtype=torch.bool)
    first[:34] = ball(34, 15)
    first[-12:, 11:23, 11:23] = True
    second = ellipsoid((36, 36, 36), (18, 18, 18), (15.4, 15.4, 15.4))
    assert int(first.sum()) > int(second.sum())
    case = [
        template(first, group="a"),
        template(second, group="a")._replace(offset_mm=(5.0, 30.0, 0.0)),
    ]
    found = smooth_bodies(case, 7)
    sizes = [int(t.mask.sum()) for t in found]
    assert sizes == sorted(sizes, reverse=True)
    assert found[0].offset_mm == (0.0, 0.0, 0.0) and found[1].offset_mm[1] < -25


def test_a_case_gives_the_same_again_and_masks_are_cropped() -> None:
    case = small_bank().templates
    one, again = smooth_bodies(case, 3), smooth_bodies(case, 3)
    for a, b in zip(one, again, strict=True):
        assert a.mask.shape == b.mask.shape and bool((a.mask == b.mask).all())
        assert around(a.mask, 0) == tuple(slice(0, n) for n in a.mask.shape)
    assert smooth_bodies((), 0) == ()


def test_a_template_with_a_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="signal"):
        smooth_bodies(voxel_bank().templates, 0)
