"""Gains towards a wish, on balls whose answer follows from arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import ball, examples, seeded
from synbt_aug.grid.mask import blend_weight, gaussian, signed_distance_mm
from synbt_aug.texture import gains
from synbt_aug.texture.gains import (
    CONTRAST_GAIN,
    EDGE_LIFT,
    MAX_BEND,
    PRE_EDGE,
    PRE_SHIFT,
    SPREAD_GAIN,
    Gains,
    PaintedTumors,
    Request,
    corrected,
    gains_towards,
)
from synbt_aug.texture.local import linear_of
from synbt_aug.tumor import visibility
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.visibility import measure_visibility, share_shown
from synbt_aug.tumor.zones import Zones

SIDE, RADIUS = 48, 9
LABEL = ball(SIDE, RADIUS)
DISTANCE = signed_distance_mm(LABEL)
KNOWN = torch.ones_like(LABEL)
AROUND, CONTRAST = 0.5, 0.8
SILENT = torch.zeros(1, 2)


def zones_of(distance: Tensor = DISTANCE, known: Tensor = KNOWN) -> Zones:
    return visibility.zones_of(LabelShape.of(distance), known[None])


def host() -> Tensor:
    return AROUND + 0.01 * torch.randn(2, SIDE, SIDE, SIDE, generator=seeded(1))


def painted(contrast: float = CONTRAST, spread: float = 0.1) -> Tensor:
    """A textured ball, 1 mm larger than the label, as the networks are asked for."""
    noise = torch.randn(SIDE, SIDE, SIDE, generator=seeded(2))
    texture = gaussian(noise, 1.5)
    inside = (DISTANCE <= 1).float()
    post = AROUND + inside * contrast * (1 + spread * texture / texture.std())
    return torch.stack([torch.full_like(post, AROUND), post])


def tumor(level: Tensor | None = None, zones: Zones | None = None) -> PaintedTumors:
    level = painted() if level is None else level
    zones = zones_of() if zones is None else zones
    return PaintedTumors(level[None].flatten(2), host()[None].flatten(2), SILENT, zones)


def asked_for(*appearances: Appearance) -> Request:
    return Request.of(appearances)


def none() -> Gains:
    return Gains.none(torch.zeros(1, 1))


def under(one: PaintedTumors, gains: Gains) -> Tensor:
    """What is painted of the only tumor, shape `(2, d, h, w)`."""
    return one.under(gains)[0].unflatten(1, one.zones.shape)


def gained(level: Tensor, appearance: Appearance, noise_sd: Tensor = SILENT) -> Tensor:
    return corrected(level[None], host()[None], noise_sd, zones_of(), asked_for(appearance))[0]


def looks(level: Tensor, appearance: Appearance) -> Appearance:
    """What `measure_appearance` sees of the corrected tumor, blended into the host."""
    new = gained(level, appearance)
    return measure_appearance(linear_of(host() + blend_weight(DISTANCE) * (new - host())), LABEL)


def test_without_a_wish_a_tumor_that_shows_stays_as_it_is() -> None:
    level = painted()
    assert torch.allclose(gained(level, Appearance()), level, atol=1e-3)


def test_no_gain_changes_nothing() -> None:
    assert torch.allclose(under(tumor(), none()), painted(), atol=1e-3)


def test_before_contrast_the_surroundings_reach_into_the_edge() -> None:
    level = painted()
    level[0] = torch.where(DISTANCE <= 1, AROUND + 0.4, level[0])
    share = 1 - (under(tumor(level), none())[0] - AROUND) / 0.4
    depth = LabelShape.of(DISTANCE).depth[0]
    outer, next_, inside = ((depth > a) & (depth <= b) for a, b in ((0, 1.2), (1.2, 2.4), (5, 99)))
    assert share[outer].mean().item() == pytest.approx(PRE_EDGE * 0.85, abs=0.03)
    assert 0.05 < share[next_].mean().item() < PRE_EDGE / 2
    assert share[inside].abs().max().item() < 1e-3
    # A tumor as bright as what lies around it has no edge.
    assert torch.allclose(under(tumor(), none())[0], painted()[0], atol=1e-3)


def test_a_core_is_no_darker_than_it_was_before_contrast() -> None:
    level = painted(spread=0.0)
    deep = DISTANCE <= -3
    level[1] = torch.where(deep, AROUND - 0.3, level[1])
    new = under(tumor(level), none())
    assert torch.allclose(new[1][deep], new[0][deep], atol=3e-3)
    # What takes up contrast, and what lies beyond the label, stays as it is.
    assert torch.allclose(new[1][~deep], level[1][~deep], atol=1e-3)
    darker = painted() - torch.stack([torch.zeros_like(level[0]), (DISTANCE > 2).float()])
    beyond = DISTANCE > 4
    assert torch.allclose(under(tumor(darker), none())[1][beyond], darker[1][beyond], atol=1e-3)


@examples(12)
@given(st.floats(0.5, 1.2))
def test_an_enhancement_within_reach_is_met(asked: float) -> None:
    assert looks(painted(), Appearance(enhancement=asked)).enhancement == pytest.approx(
        asked, abs=0.01
    )


def test_twice_the_contrast_scales_about_the_shell() -> None:
    doubled = under(tumor(), replace(none(), contrast=torch.full((1, 1), 2.0)))[1]
    around = float(tumor().around[0, 1])
    assert torch.allclose(doubled - around, 2 * (painted()[1] - around), atol=3e-3)


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
    much = asked_for(Appearance(enhancement=9.0, heterogeneity=0.0, pre_contrast=5.0))
    most = gains_towards(tumor(), much)
    assert most.contrast.item() == pytest.approx(CONTRAST_GAIN[1])
    assert most.shift.item() == pytest.approx(PRE_SHIFT)
    assert most.spread.item() == pytest.approx(SPREAD_GAIN[0])
    little = asked_for(Appearance(enhancement=0.06, pre_contrast=-5.0))
    least = gains_towards(tumor(), little)
    assert least.contrast.item() == pytest.approx(CONTRAST_GAIN[0])
    assert least.shift.item() == pytest.approx(-PRE_SHIFT)


def test_a_tumor_that_the_network_left_out_is_not_made_by_gains() -> None:
    nothing = torch.full((2, SIDE, SIDE, SIDE), AROUND)
    found = gains_towards(tumor(nothing), asked_for(Appearance(enhancement=1.0)))
    assert found.contrast.item() == 1 and found.lift.item() == 0


def test_a_soft_edge_is_lifted_until_the_label_shows() -> None:
    soft = painted(spread=0.0)
    soft[1] = AROUND + CONTRAST * ((2 - DISTANCE) / 8).clamp(0, 1)
    one = tumor(soft)
    blended = one.blended(none())[0].unflatten(1, (SIDE,) * 3)
    before = measure_visibility(linear_of(blended), LABEL, KNOWN).share
    assert share_shown(one.blended(none())[:, 1], one.zones).item() == pytest.approx(
        before, abs=0.01
    )
    found = gains_towards(one, asked_for(Appearance()))
    after = share_shown(one.blended(found)[:, 1], one.zones).item()
    assert before < 0.85 and 0 < found.lift.item() <= EDGE_LIFT + 1e-6 and after > before + 0.1
    # The lift ends where the edge does.
    deep = DISTANCE < -2.5
    lifted = replace(found, bend=torch.zeros(1, 2))
    assert torch.allclose(under(one, lifted)[1][deep], soft[1][deep], atol=1e-3)


def bright_spots() -> Tensor:
    level = painted(spread=0.0)
    spots = torch.rand(DISTANCE.shape, generator=seeded(3))
    level[1] += 2.0 * gaussian((spots > 0.97).float(), 1.0) * (DISTANCE <= 0)
    return level


def skewness(one: PaintedTumors, gains: Gains) -> list[float]:
    """In pre and post."""
    return one.seen(one.blended(gains)).skewness[0].tolist()


def test_bright_spots_are_pressed_and_nothing_is_raised() -> None:
    spotted = tumor(bright_spots())
    found = gains_towards(spotted, asked_for(Appearance()))
    before, after = (skewness(spotted, one)[1] for one in (none(), found))
    assert before > 0.8 and after < before - 0.3 and 0 < found.bend[0, 1] <= MAX_BEND + 1e-6
    post = bright_spots()[1]
    fall = post - under(spotted, replace(found, lift=torch.zeros(1, 1)))[1]
    assert fall.min() > -1e-5
    inside = DISTANCE <= -3
    level = post[LABEL].mean()
    spots = fall[inside & (post > level + 2 * post[inside].std())]
    assert spots.mean() > 3 * fall[inside & (post < level)].mean()


def test_a_texture_that_nobody_asked_for_is_not_bent_where_it_has_no_bright_spots() -> None:
    assert gains_towards(tumor(), asked_for(Appearance())).bend[0, 1] == 0.0


def textured() -> Tensor:
    """As `painted`, with a texture of its own before contrast."""
    level = painted()
    texture = gaussian(torch.randn(SIDE, SIDE, SIDE, generator=seeded(4)), 1.5)
    level[0] += (DISTANCE <= 1) * (0.2 + 0.05 * texture / texture.std())
    return level


def test_a_tumor_too_small_to_tell_its_skewness_is_not_bent() -> None:
    distance = signed_distance_mm(ball(SIDE, 1.6))
    level = torch.full((2, SIDE, SIDE, SIDE), AROUND)
    level += 0.6 * (distance <= 1)
    small = tumor(level, zones_of(distance))
    assert not bool(small.zones.has_interior)
    found = gains_towards(small, asked_for(Appearance(heterogeneity=0.2)))
    assert found.bend.tolist() == [[0.0, 0.0]]


def test_with_a_heterogeneity_dark_spots_grow_in_both_images() -> None:
    one = tumor(textured())
    found = gains_towards(one, asked_for(Appearance(heterogeneity=0.1)))
    for before, after in zip(*(skewness(one, by) for by in (none(), found)), strict=True):
        assert after < before - 0.2 and after < -0.2
    assert bool(((found.bend > 0) & (found.bend <= MAX_BEND)).all())
    seen = one.seen(one.blended(found))
    assert seen.heterogeneity.item() == pytest.approx(0.1, rel=0.03)


def test_the_finest_detail_is_hardly_bent(monkeypatch: pytest.MonkeyPatch) -> None:
    bent = replace(none(), bend=torch.full((1, 2), MAX_BEND))
    grain = 0.08 * torch.randn(SIDE, SIDE, SIDE, generator=seeded(5)) * (DISTANCE <= 1)

    def moved_by_grain() -> float:
        smooth, grainy = (
            (under(tumor(level), none()) - under(tumor(level), bent))[1]
            for level in (textured(), textured() + grain)
        )
        return float((grainy - smooth)[DISTANCE < -3].std())

    blurred = moved_by_grain()
    monkeypatch.setattr(gains, "COARSE_MM", 0.1)
    assert blurred < 0.3 * moved_by_grain()


def test_a_small_tumor_without_a_core_takes_every_wish_but_the_rim() -> None:
    label = ball(SIDE, 3)
    distance = signed_distance_mm(label)
    level = torch.full((2, SIDE, SIDE, SIDE), AROUND)
    level[1] += 0.6 * (distance <= 1)
    small = tumor(level, zones_of(distance))
    found = gains_towards(small, asked_for(Appearance(enhancement=0.7, rim=1.8)))
    assert found.rim.item() == 1.0 and not bool(small.zones.has_core)
    enhancement = small.seen(small.blended(found)).enhancement.item()
    assert enhancement == pytest.approx(0.7, abs=0.02)


def test_without_a_shell_the_tissue_that_is_known_stands_in_for_it() -> None:
    # All that is known is a corner, far from the tumor; elsewhere the scan repeats its edge.
    known = torch.zeros_like(KNOWN)
    known[:6, :6, :6] = True
    scan = torch.full((2, SIDE, SIDE, SIDE), 9.0)
    scan[:, known] = AROUND
    level, whole = (x[None].flatten(2) for x in (painted(), scan))
    found = PaintedTumors(level, whole, SILENT, zones_of(known=known))
    assert found.around[0].tolist() == pytest.approx([AROUND, AROUND])


def test_scaling_the_levels_scales_the_answer() -> None:
    asked = asked_for(Appearance(rim=1.3, heterogeneity=0.12))
    level, scan = painted()[None], host()[None]
    one = corrected(level, scan, SILENT, zones_of(), asked)
    two = corrected(2 * level, 2 * scan, SILENT, zones_of(), asked)
    assert torch.allclose(two, 2 * one, atol=1e-3)


def test_noise_to_come_leaves_less_for_the_texture_to_vary() -> None:
    asked = Appearance(heterogeneity=0.12)
    inside = DISTANCE <= -2
    silent, noisy = (
        gained(painted(), asked, torch.tensor([[sd, sd]]))[1][inside] for sd in (0.0, 0.1)
    )
    assert silent.std() / silent.mean() == pytest.approx(0.12, rel=0.1)
    # Both together vary as was asked: .12^2 = texture^2 + (.1 / mean)^2.
    together = (noisy.var() + 0.1**2).sqrt() / noisy.mean()
    assert together == pytest.approx(0.12, rel=0.1) and noisy.std() < 0.8 * silent.std()


def test_a_tumor_does_not_depend_on_its_batch() -> None:
    small = signed_distance_mm(ball(SIDE, 5))
    shape = LabelShape.join([LabelShape.of(DISTANCE), LabelShape.of(small)])
    both = visibility.zones_of(shape, torch.stack([KNOWN, KNOWN]))
    asked = [Appearance(enhancement=1.0, rim=1.3), Appearance(heterogeneity=0.1)]
    levels, hosts = torch.stack([painted(), painted(0.5)]), torch.stack([host(), host()])
    together = corrected(levels, hosts, torch.zeros(2, 2), both, asked_for(*asked))
    for k, distance in enumerate((DISTANCE, small)):
        one = slice(k, k + 1)
        zones = zones_of(distance)
        alone = corrected(levels[one], hosts[one], SILENT, zones, asked_for(asked[k]))
        # Rounding of other matrix products, carried through three rounds.
        assert torch.allclose(together[one], alone, atol=1e-5)


def test_a_wish_is_raised_by_what_a_soft_edge_takes_from_the_label() -> None:
    wish = asked_for(Appearance(enhancement=0.8, rim=1.2, heterogeneity=0.1, pre_contrast=0.2))
    raised = wish.in_label(DISTANCE[None], 0.6 * DISTANCE[None]).values[:, 0, 0]
    inside = DISTANCE <= 0
    whole, soft = (float(blend_weight(d)[inside].mean()) for d in (DISTANCE, 0.6 * DISTANCE))
    assert soft < 0.97 * whole
    lost = whole / soft
    expected = torch.tensor([0.8 * lost, 0.1, 1.2 * lost**0.5, 0.2 * lost])
    assert torch.allclose(raised, expected, rtol=1e-5)
    assert torch.equal(wish.in_label(DISTANCE[None], DISTANCE[None]).values, wish.values)
    assert wish.in_label(DISTANCE[None], torch.empty(0)) is wish


def test_a_wish_for_a_body_alone_is_the_same_in_a_batch_with_outlines() -> None:
    wish = asked_for(Appearance(enhancement=0.8, pre_contrast=0.2))
    body = DISTANCE[None] * 1.0123 + 0.037
    as_joined = body.clamp(-4, 4).to(torch.float16)
    assert torch.equal(wish.in_label(body, as_joined).values, wish.values)


def test_a_label_that_is_nearly_all_edge_raises_a_wish_so_far_and_none_nothing() -> None:
    wish = asked_for(Appearance(enhancement=0.6), Appearance(enhancement=0.6))
    nothing = torch.full_like(DISTANCE, 5.0)
    distance = torch.stack([DISTANCE, nothing])
    raised = wish.in_label(distance, torch.stack([0.01 * DISTANCE, nothing])).values[0, :, 0]
    assert torch.allclose(raised, torch.tensor([1.0, 0.6]))
