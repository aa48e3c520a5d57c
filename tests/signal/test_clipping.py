"""Clipped intensities: what is seen, and what is no sign of them."""

from __future__ import annotations

import pytest
import torch

from analytic import breast_image, seeded
from synbt_aug.signal.clipping import clipped_advice, clipped_share, looks_clipped, order_advice


def test_a_scan_as_it_came_has_no_clipped_share() -> None:
    assert clipped_share(breast_image()) == 0.0
    assert not looks_clipped(breast_image())
    assert not looks_clipped(breast_image().to(torch.int16))


@pytest.mark.parametrize("quantile", [0.9, 0.995, 0.999])
def test_the_share_is_that_above_the_clip(quantile: float) -> None:
    image = torch.rand((2, 40, 40, 40), generator=seeded())
    clipped = image.clamp(max=quantile)
    # 64,000 voxels: three SDs of a binomial at most.
    expected = 1 - quantile
    room = 3 * (expected * quantile / 64_000) ** 0.5
    assert clipped_share(clipped) == pytest.approx(expected, abs=1.5 * room)
    assert looks_clipped(clipped)


def test_one_clipped_channel_is_enough() -> None:
    image = torch.rand((2, 20, 20, 20), generator=seeded())
    image[1] = image[1].clamp(max=0.5)
    assert clipped_share(image) == pytest.approx(0.5, abs=0.02)


def test_a_pile_at_the_lower_end_is_air_and_no_clip() -> None:
    image = torch.rand((2, 20, 20, 20), generator=seeded())
    image[:, :15] = 0
    assert clipped_share(image) == 0.0


def test_seven_voxels_at_the_maximum_say_nothing_and_eight_do() -> None:
    image = torch.rand((1, 10, 10, 10), generator=seeded())
    image.view(-1)[:7] = 2.0
    assert clipped_share(image) == 0.0
    image.view(-1)[7] = 2.0
    assert clipped_share(image) == 8 / 1000


def test_a_constant_channel_and_an_empty_one_are_not_clipped() -> None:
    assert clipped_share(torch.ones(2, 8, 8, 8)) == 0.0
    assert clipped_share(torch.rand(2, 8, 8, 8), torch.zeros(8, 8, 8, dtype=torch.bool)) == 0.0


def test_voxels_without_signal_are_not_counted() -> None:
    image = torch.rand((1, 10, 10, 10), generator=seeded())
    valid = torch.ones((10, 10, 10), dtype=torch.bool)
    valid[0] = False
    image[:, 0] = 5.0
    assert clipped_share(image) == 0.1
    assert clipped_share(image, valid) == 0.0


def test_the_advice_says_what_was_seen_and_what_to_do() -> None:
    assert "0.5% of the voxels lie exactly at the image's maximum" in clipped_advice(0.005)
    assert order_advice("RandomGamma came first").startswith("SynBT: RandomGamma came first. ")
    assert "before gamma, clipping, histogram and noise" in order_advice("x")
