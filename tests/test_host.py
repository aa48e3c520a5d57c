"""A host: whom it asks for sites, how often, and what a painted tumor changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import MM, ellipsoid, seeded
from breast_of_formulas import ONE, TWO, tissues
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.tissue import TissueMap
from synbt_aug.volume import BreastVolume, Spacing, Synthesis

LEFT = ellipsoid(TWO, (38, 40, 40), (6, 6, 6))
RIGHT = ellipsoid(TWO, (38, 120, 40), (6, 6, 6))


class Known:
    """Known tissues, whatever the signal; counts how often it is asked."""

    def __init__(self, labels: Tensor) -> None:
        self.labels, self.asked = labels, 0

    def __call__(self, pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
        self.asked += 1
        assert pre.shape == self.labels.shape
        return TissueMap.of_labels(self.labels, spacing)


def volume(shape: tuple[int, int, int] = ONE) -> BreastVolume:
    signal = torch.where(tissues(shape) == 0, 5.0, 100.0) + torch.rand(shape, generator=seeded())
    return BreastVolume(torch.stack([signal, signal * 1.1]), MM)


def after(host: Host, where: Tensor) -> Host:
    return host.after(Synthesis(host.volume.image + 1, where, where))


def test_tissues_are_found_once_and_only_when_asked_for() -> None:
    segmenter = Known(tissues())
    host = Host.of(volume())
    assert segmenter.asked == 0
    assert host.sites_by(segmenter) is host.sites_by(segmenter)
    assert segmenter.asked == 1


def test_a_painted_tumor_takes_its_place_but_the_tissues_stay_known() -> None:
    segmenter = Known(tissues(TWO))
    host = Host.of(volume(TWO))
    before = host.sites_by(segmenter).to_host(TWO)
    then = after(host, LEFT).sites_by(segmenter).to_host(TWO)
    assert segmenter.asked == 1
    assert bool(before[LEFT].all()) and not bool(then[LEFT].any())


def test_a_roi_is_taken_and_the_segmenter_not_asked() -> None:
    segmenter = Known(tissues())
    roi = ellipsoid(ONE, (20, 20, 70), (10, 10, 10))
    sites = Host.of(replace(volume(), roi=roi)).sites_by(segmenter)
    assert segmenter.asked == 0
    assert (sites.to_host(ONE) & ~roi).sum() < 0.1 * roi.sum() and sites.reason is None


def test_without_a_segmenter_or_a_roi_it_is_told_what_to_pass() -> None:
    with pytest.raises(SynBTError, match=r"Pass a segmenter, or BreastVolume\(..., roi=mask\)"):
        Host.of(volume()).sites_by(None)


def test_only_real_tumors_take_a_side() -> None:
    segmenter = Known(tissues(TWO))
    host = Host.of(replace(volume(TWO), tumor=LEFT))
    second = after(host, RIGHT)
    for one in (host, second):
        allowed = one.sites_by(segmenter, only_free_side=True).to_host(TWO)
        assert not bool(allowed[:, :80].any()) and bool(allowed[:, 80:].any())
    assert bool(host.sites_by(segmenter).allowed[:, :40].any())


def test_the_free_side_of_a_case_without_tumors_is_both() -> None:
    segmenter = Known(tissues(TWO))
    allowed = Host.of(volume(TWO)).sites_by(segmenter, only_free_side=True).allowed
    assert bool(allowed[:, :40].any()) and bool(allowed[:, 40:].any())
