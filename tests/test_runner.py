from __future__ import annotations

import torch

from analytic import breast_image, seeded, small_bank
from synbt_aug.host import Host
from synbt_aug.runner import Series
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Synthesis, unchanged


def test_a_series_holds_one_image_however_many_things_are_painted() -> None:
    host = Host.of(BreastVolume(breast_image((4.0, 4.0, 4.0)), (4.0, 4.0, 4.0)))
    series = Series(host, [Wish()] * 3, seeded())
    mask = torch.zeros(host.volume.shape, dtype=torch.bool)
    mask[5, 5, 5] = True
    first = Synthesis(host.volume.image + 1, mask, mask)
    second = Synthesis(host.volume.image + 2, mask.flip(0), mask.flip(0))
    for result in (first, unchanged(host.volume.image, "no room"), second):
        series.record(result, small_bank())
    assert [one.image is second.image for one in series.results] == [True] * 3
    assert [one.tumor is r for one, r in zip(series.results[::2], (mask, second.tumor))] == [
        True
    ] * 2
    assert [one.reason for one in series.results] == [None, "no room", None]
    assert series.first is host and series.host.volume.image is second.image
