"""Brightness: what carries over is how a tumor compares with what is around it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from analytic import ball, small_bank
from breast_of_formulas import ONE, tissue_map, tissues
from synbt_aug.grid.window import window_around
from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue.sites import SiteMap, find_sites
from synbt_aug.tumor.brightness import (
    DIMMER,
    FAINTEST,
    FAINTEST_PRE,
    FAINTEST_PRE_ELSEWHERE,
    FOLLOWS,
    LARGEST_FACTOR,
    LEAST_OVER_NOISE,
    SMALLEST_FACTOR,
    carried_over,
    darkest,
    lifted,
)
from synbt_aug.tumor.template import Template

WINDOW = window_around((38.0, 40.0, 40.0), (48, 48, 48))
MASK = ball(48, 6.0)


def sites(level: float | None) -> SiteMap:
    """Of a scan whose post has one level."""
    scan = None if level is None else torch.full((2, 36, 40, 40), level)
    return find_sites(tissue_map(tissues()), scan)


def template(post: float | None) -> Template:
    return small_bank().templates[0]._replace(surroundings=None if post is None else (0.3, post))


def factor(level: float | None, post: float | None) -> float:
    return carried_over(template(post), sites(level), ONE, WINDOW, MASK) / DIMMER


def test_a_tumor_among_brighter_tissue_is_brighter_but_not_by_as_much() -> None:
    assert factor(0.6, 0.4) == pytest.approx(1.5**FOLLOWS, rel=1e-2)
    assert factor(0.37, 0.4) == pytest.approx(0.925**FOLLOWS, rel=1e-2)
    assert 0 < FOLLOWS < 1


@pytest.mark.parametrize(
    "level, post, expected", [(2.0, 0.1, LARGEST_FACTOR), (0.3, 2.0, SMALLEST_FACTOR)]
)
def test_no_tumor_is_made_much_brighter_or_fainter(
    level: float, post: float, expected: float
) -> None:
    assert factor(level, post) == pytest.approx(expected)


@pytest.mark.parametrize("level, post", [(None, 0.4), (0.6, None), (0.6, 0.0), (0.6, -0.1)])
def test_where_either_is_not_known_it_follows_nothing(
    level: float | None, post: float | None
) -> None:
    assert factor(level, post) == 1.0


def scan_of(fat: float, gland: float) -> SiteMap:
    labels = tissues()
    post = torch.where(labels[::2, ::2, ::2] == TissueLabel.GLAND, gland, fat)
    return find_sites(tissue_map(labels), torch.stack([post, post]))


def like(pre_contrast: float) -> Template:
    one = template(0.4)
    return one._replace(appearance=replace(one.appearance, pre_contrast=pre_contrast))


@pytest.mark.parametrize("own", [-0.3, 0.02, 0.4])
def test_where_fat_is_suppressed_no_tumor_is_a_hole(own: float) -> None:
    assert darkest(like(own), scan_of(0.3, 0.5)) == FAINTEST_PRE


@pytest.mark.parametrize("own", [-0.3, 0.02, 0.4])
def test_among_bright_fat_a_tumor_may_be_as_dark_as_its_template(own: float) -> None:
    assert darkest(like(own), scan_of(0.6, 0.4)) == min(own, FAINTEST_PRE_ELSEWHERE)


def test_where_nothing_tells_whether_fat_is_suppressed_the_template_does() -> None:
    assert darkest(like(-0.3), sites(None)) == -0.3


def noisy(noise: float | None) -> SiteMap:
    found = sites(0.4)
    assert found.landmarks is not None
    return replace(found, landmarks=found.landmarks._replace(noise=noise))


@pytest.mark.parametrize("noise", [0.02, 0.06])
def test_no_tumor_is_hardly_above_the_noise_and_bright_ones_stay_what_they_are(
    noise: float,
) -> None:
    least = LEAST_OVER_NOISE * noise
    drawn = [lifted(share * least, noisy(noise)) / least for share in (-1.0, 0.3, 1.0, 3.0)]
    assert drawn[0] == pytest.approx(1.0)
    assert drawn == sorted(drawn) and drawn[2] == pytest.approx(2**0.25)
    assert drawn[3] == pytest.approx(3.0, rel=0.005)


def test_where_noise_is_not_known_a_usual_scan_s_is_taken() -> None:
    assert lifted(0.0, noisy(None)) == lifted(0.0, sites(None)) == pytest.approx(FAINTEST)
    assert lifted(0.0, noisy(0.0)) == 0.0
