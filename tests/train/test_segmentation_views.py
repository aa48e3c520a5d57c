"""Augmentation: worked by hand, by symmetry, in the limit."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import torch

from segmentation_cases import ball
from synbt_aug.signal.intensity import knee
from synbt_aug.train.segmentation_preset import segmentation_preset
from synbt_aug.train.segmentation_views import View, augmented, average_down, rotated

PRESET = segmentation_preset("tiny")
STILL = replace(PRESET, flip=0.0, rotated=0.0, jittered=0.0)


def view(side: int = 16) -> View:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, side, side, side, generator=generator)
    return View(image, ball(side, (5, 8, 10), 3.0).float()[None])


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_block_is_averaged() -> None:
    volume = torch.arange(8.0).view(1, 2, 2, 2)
    assert average_down(volume, 2).flatten().tolist() == [3.5]
    assert average_down(volume, 1) is volume


def test_a_side_that_does_not_divide_is_filled_up_with_its_last_voxels() -> None:
    volume = torch.tensor([1.0, 3.0, 5.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert average_down(volume, 2)[0, :, 0, 0].tolist() == [2.0, 5.0]


def test_without_chances_only_the_compression_is_left() -> None:
    before = view()
    after = augmented(before, STILL, generator=draw())
    assert torch.equal(after.image, knee(before.image)) and torch.equal(after.label, before.label)


def test_image_and_label_are_flipped_together() -> None:
    before = view()
    after = augmented(before, replace(STILL, flip=1.0), generator=draw())
    assert torch.equal(after.image, knee(before.image.flip(-1, -2, -3)))
    assert torch.equal(after.label, before.label.flip(-1, -2, -3))


def test_a_quarter_turn_is_exact() -> None:
    before = view()
    after = rotated(before, (pi / 2, 0.0, 0.0))
    turned = (before.image.rot90(1, (-2, -1)), before.image.rot90(-1, (-2, -1)))
    assert min(float((after.image - one).abs().max()) for one in turned) < 1e-4


def test_half_a_turn_about_two_axes_is_half_a_turn_about_the_third() -> None:
    before = view()
    two, third = rotated(before, (pi, pi, 0.0)), rotated(before, (0.0, 0.0, pi))
    torch.testing.assert_close(two.image, third.image, rtol=1e-3, atol=1e-3)


def test_a_ball_stays_a_ball_in_a_box_of_unequal_sides() -> None:
    label = torch.zeros(1, 16, 24, 32)
    label[0, 3:13, 7:17, 11:21] = ball(10, (5, 5, 5), 4.0).float()
    after = rotated(View(label.expand(2, -1, -1, -1), label), (0.0, 0.0, pi / 4)).label
    assert abs(float(after.sum() / label.sum()) - 1) < 0.05
    extents = [
        int(after[0].amax(tuple(a for a in range(3) if a != axis)).sum()) for axis in range(3)
    ]
    assert max(extents) - min(extents) <= 1


def test_scale_and_shift_leave_the_label_and_move_air_by_the_shift_alone() -> None:
    before = View(torch.full((2, 4, 4, 4), -1.0), torch.zeros(1, 4, 4, 4))
    moved = [
        augmented(before, replace(STILL, jittered=1.0), generator=draw(seed)).image.unique()
        for seed in range(20)
    ]
    assert all(len(values) == 1 and abs(float(values) + 1) <= 0.1 for values in moved)
    assert len({float(values) for values in moved}) == 20


def test_the_same_count_of_numbers_is_drawn_whatever_happens() -> None:
    first, second = draw(), draw()
    augmented(view(), STILL, generator=first)
    augmented(view(), replace(PRESET, flip=1.0, rotated=1.0, jittered=1.0), generator=second)
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=second))
