"""Gains towards a wish, on balls whose answer follows from arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import ball, examples, seeded
from synbt_aug.mask import blend_weight, gaussian, signed_distance_mm
from synbt_aug.texture.correction import (
    CONTRAST_GAIN,
    EDGE_LIFT,
    MOST_CALM,
    PRE_SHIFT,
    SPREAD_GAIN,
    Gains,
    Tumor,
    corrected,
    gains_towards,
)
from synbt_aug.texture.local import linear_of
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.tumor.visibility import measure_visibility

SIDE, RADIUS = 48, 9
LABEL = ball(SIDE, RADIUS)
DISTANCE = signed_distance_mm(LABEL)
KNOWN = torch.ones_like(LABEL)
AROUND, CONTRAST = 0.5, 0.8


def host() -> Tensor:
    return AROUND + 0.01 * torch.randn(2, SIDE, SIDE, SIDE, generator=seeded(1))


def painted(contrast: float = CONTRAST, spread: float = 0.1) -> Tensor:
    """A textured ball, 1 mm larger than the label, as the networks are asked for."""
    noise = torch.randn(SIDE, SIDE, SIDE, generator=seeded(2))
    texture = gaussian(noise, 1.5)
    inside = (DISTANCE <= 1).float()
    post = AROUND + inside * contrast * (1 + spread * texture / texture.std())
    return torch.stack([torch.full_like(post, AROUND), post])


def tumor(level: Tensor | None = None) -> Tumor:
    level = painted() if level is None else level
    return Tumor(level, torch.zeros_like(level), host(), DISTANCE, KNOWN)


def looks(level: Tensor, wish: Appearance) -> Appearance:
    """What `measure_appearance` sees of the corrected tumor, blended into the host."""
    new = corrected(level, torch.zeros_like(level), host(), DISTANCE, KNOWN, wish)
    return measure_appearance(linear_of(host() + blend_weight(DISTANCE) * (new - host())), LABEL)


def test_without_a_wish_a_tumor_that_shows_stays_as_it_is() -> None:
    level = painted()
    zero = torch.zeros_like(level)
    same = corrected(level, zero, host(), DISTANCE, KNOWN, Appearance())
    assert torch.allclose(same, level, atol=1e-6)


def test_no_gain_changes_nothing() -> None:
    assert torch.allclose(tumor().under(Gains()), painted(), atol=1e-6)


@examples(12)
@given(st.floats(0.5, 1.2))
def test_an_enhancement_within_reach_is_met(asked: float) -> None:
    assert looks(painted(), Appearance(enhancement=asked)).enhancement == pytest.approx(
        asked, abs=0.01
    )


def test_twice_the_contrast_scales_about_the_shell() -> None:
    doubled = tumor().under(Gains(contrast=2.0))[1]
    around = float(tumor().around[1])
    assert torch.allclose(doubled - around, 2 * (painted()[1] - around), atol=1e-5)


@pytest.mark.parametrize("asked", [0.8, 1.0, 1.3, 1.6])
def test_a_rim_within_reach_is_met(asked: float) -> None:
    assert looks(painted(), Appearance(rim=asked)).rim == pytest.approx(asked, rel=0.03)


@pytest.mark.parametrize("asked", [0.06, 0.1])
def test_a_heterogeneity_within_reach_is_met(asked: float) -> None:
    found = looks(painted(), Appearance(heterogeneity=asked)).heterogeneity
    assert found == pytest.approx(asked, rel=0.1)


@pytest.mark.parametrize("asked", [-0.1, 0.15])
def test_a_contrast_in_pre_within_reach_is_met(asked: float) -> None:
    wish = Appearance(pre_contrast=asked, enhancement=1.0)
    found = looks(painted(), wish)
    assert found.pre_contrast == pytest.approx(asked, abs=0.01)
    assert found.enhancement == pytest.approx(1.0, abs=0.01)


def test_all_wishes_together_are_met_nearly() -> None:
    wish = Appearance(enhancement=1.1, rim=1.3, heterogeneity=0.13, pre_contrast=0.1)
    found = looks(painted(), wish)
    assert found.enhancement == pytest.approx(1.1, abs=0.03)
    assert found.rim == pytest.approx(1.3, rel=0.05)
    assert found.heterogeneity == pytest.approx(0.13, rel=0.1)
    assert found.pre_contrast == pytest.approx(0.1, abs=0.01)


def test_wishes_out_of_reach_stop_at_the_limits() -> None:
    most = gains_towards(tumor(), Appearance(enhancement=9.0, heterogeneity=0.0, pre_contrast=5.0))
    assert most.contrast == CONTRAST_GAIN[1] and most.shift == PRE_SHIFT
    assert most.spread == SPREAD_GAIN[0]
    least = gains_towards(tumor(), Appearance(enhancement=0.06, pre_contrast=-5.0))
    assert least.contrast == CONTRAST_GAIN[0] and least.shift == -PRE_SHIFT


def test_a_tumor_that_the_network_left_out_is_not_made_by_gains() -> None:
    nothing = torch.full((2, SIDE, SIDE, SIDE), AROUND)
    assert gains_towards(tumor(nothing), Appearance(enhancement=1.0)) == Gains()


def test_a_soft_edge_is_lifted_until_the_label_shows() -> None:
    soft = painted(spread=0.0)
    soft[1] = AROUND + CONTRAST * ((2 - DISTANCE) / 8).clamp(0, 1)
    before = measure_visibility(linear_of(tumor(soft).after_blend(Gains())), LABEL, KNOWN).share
    found = gains_towards(tumor(soft), Appearance())
    after = tumor(soft).shown(found)
    assert before < 0.85 and 0 < found.lift <= EDGE_LIFT and after > before + 0.1
    # The lift ends where the edge does.
    deep = DISTANCE < -2.5
    lifted = replace(found, calm=0.0)
    assert torch.equal(tumor(soft).under(lifted)[1][deep], soft[1][deep])


def bright_spots() -> Tensor:
    level = painted(spread=0.0)
    spots = torch.rand(DISTANCE.shape, generator=seeded(3))
    level[1] += 2.0 * gaussian((spots > 0.97).float(), 1.0) * (DISTANCE <= 0)
    return level


def test_bright_spots_are_calmed_and_nothing_below_the_mean_is() -> None:
    spotted = tumor(bright_spots())
    found = gains_towards(spotted, Appearance())
    before, after = spotted.seen(Gains()).skewness, spotted.seen(found).skewness
    assert before > 0.8 and after < before - 0.3 and 0 < found.calm <= MOST_CALM
    calmed = spotted.under(replace(found, lift=0.0))[1]
    post = bright_spots()[1]
    below = post <= post[LABEL].mean()
    assert torch.equal(calmed[below], post[below])
    assert bool((calmed <= post + 1e-6).all())


def test_a_tumor_as_skewed_as_real_ones_is_left_alone() -> None:
    assert gains_towards(tumor(), Appearance()).calm == 0.0


def test_a_small_tumor_without_a_core_takes_every_wish_but_the_rim() -> None:
    label = ball(SIDE, 3)
    distance = signed_distance_mm(label)
    level = torch.full((2, SIDE, SIDE, SIDE), AROUND)
    level[1] += 0.6 * (distance <= 1)
    small = Tumor(level, torch.zeros_like(level), host(), distance, KNOWN)
    found = gains_towards(small, Appearance(enhancement=0.7, rim=1.8))
    assert found.rim == 1.0 and small.seen(found).rim is None
    assert small.seen(found).enhancement == pytest.approx(0.7, abs=0.02)


def test_without_a_shell_the_tissue_that_is_known_stands_in_for_it() -> None:
    # All that is known is a corner, far from the tumor; elsewhere the scan repeats its edge.
    known = torch.zeros_like(KNOWN)
    known[:6, :6, :6] = True
    scan = torch.full((2, SIDE, SIDE, SIDE), 9.0)
    scan[:, known] = AROUND
    found = Tumor(painted(), torch.zeros_like(scan), scan, DISTANCE, known)
    assert found.around.tolist() == pytest.approx([AROUND, AROUND])


def test_scaling_the_levels_scales_the_answer() -> None:
    wish = Appearance(rim=1.3, heterogeneity=0.12)
    level, zero = painted(), torch.zeros(2, SIDE, SIDE, SIDE)
    one = corrected(level, zero, host(), DISTANCE, KNOWN, wish)
    two = corrected(2 * level, zero, 2 * host(), DISTANCE, KNOWN, wish)
    assert torch.allclose(two, 2 * one, atol=1e-4)
