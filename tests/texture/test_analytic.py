"""SynTumor: what an appearance asks for is met as far as its rule goes, and nothing else moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import ball, seeded
from synbt_aug.grid.mask import blend_weight, signed_distance_mm
from synbt_aug.texture import PaintingJob, SynTumor, join
from synbt_aug.texture.analytic import noise_texture
from synbt_aug.texture.local import level_of, linear_of
from synbt_aug.tumor.appearance import Appearance, measure_appearance

SIDE = 40
TEXTURE = SynTumor(hole_margin_mm=3.0)
LABEL = ball(SIDE, 9)
#: Levels stay under 1, where `knee` begins.
GROUND = 0.15


def job(
    wish: Appearance = Appearance(), seed: int = 1, ground: Tensor | None = None, **more: bool
) -> PaintingJob:
    """A ball in even tissue with a little grain."""
    distance = signed_distance_mm(LABEL)
    level = torch.full((2, SIDE, SIDE, SIDE), GROUND) if ground is None else ground
    level = level + 0.003 * torch.randn(level.shape, generator=seeded(0))
    mask = distance <= 1
    if more.get("removes"):
        mask = mask & False
    return PaintingJob(
        q=linear_of(level)[None],
        mask=mask[None],
        hole=(distance <= 3)[None],
        known=torch.ones_like(LABEL)[None],
        appearance=(wish,),
        noise_seeds=(seed,),
        removes=(more.get("removes", False),),
    )


def blended(asked: PaintingJob) -> Tensor:
    """What a host gets, as levels, shape `(2, n, n, n)`."""
    weight = blend_weight(signed_distance_mm(LABEL))
    before, after = level_of(asked.q[0]), level_of(TEXTURE(asked)[0])
    return before + weight * (after - before)


@pytest.mark.parametrize("enhancement", [0.2, 0.4, 0.7])
def test_the_asked_enhancement_is_met_in_the_mean(enhancement: float) -> None:
    wish = Appearance(enhancement=enhancement, heterogeneity=0.15)
    found = measure_appearance(linear_of(blended(job(wish))), LABEL)
    assert found.enhancement == pytest.approx(enhancement, abs=0.02)


def test_pre_hardly_changes() -> None:
    for pre in (None, 0.5, -0.5):
        wish = Appearance(enhancement=0.6, pre_contrast=pre)
        change = (blended(job(wish)) - level_of(job(wish).q[0]))[0][LABEL].mean()
        assert abs(float(change)) <= 0.1 * GROUND * 1.05
        assert float(change) * (pre or 0) >= 0


def test_the_gain_is_nowhere_negative() -> None:
    for wish in (Appearance(), Appearance(enhancement=-0.1), Appearance(0.5, 0.3, 3.0)):
        asked = job(wish)
        change = level_of(TEXTURE(asked)[0] - asked.q[0]) - 0.5
        # Grain aside, of which the displaced structure holds some.
        assert float(change[1].min()) > -0.01


def test_a_rim_is_brighter_than_its_core_by_what_is_asked() -> None:
    plain = measure_appearance(linear_of(blended(job(Appearance(0.6, 0.1, 1.0)))), LABEL)
    rim = measure_appearance(linear_of(blended(job(Appearance(0.6, 0.1, 2.0)))), LABEL)
    assert plain.rim == pytest.approx(1.0, abs=0.2)
    assert rim.rim == pytest.approx(2.0, abs=0.35) and rim.category == "rim"
    named = measure_appearance(linear_of(blended(job(Appearance(0.6, category="rim")))), LABEL)
    assert named.rim is not None and named.rim > 1.35


def test_more_heterogeneity_is_more() -> None:
    found = [
        measure_appearance(linear_of(blended(job(Appearance(0.6, h, 1.0)))), LABEL).heterogeneity
        for h in (0.04, 0.12, 0.25)
    ]
    assert found == sorted(found)
    assert found == pytest.approx([0.04, 0.12, 0.25], abs=0.05)


def test_without_a_wish_the_gain_follows_the_signal_around() -> None:
    once = blended(job(ground=torch.full((2, SIDE, SIDE, SIDE), 0.1)))[1] - 0.1
    twice = blended(job(ground=torch.full((2, SIDE, SIDE, SIDE), 0.2)))[1] - 0.2
    # Multiplicative, as a coil's field is: twice the signal, twice the gain.
    assert float(twice[LABEL].mean() / once[LABEL].mean()) == pytest.approx(2.0, abs=0.1)


def test_under_a_bias_field_the_bright_side_gains_more() -> None:
    ramp = torch.linspace(0.1, 0.3, SIDE).expand(2, SIDE, SIDE, SIDE).clone()
    asked = job(Appearance(0.5, 0.0, 1.0), ground=ramp)
    gain = level_of(TEXTURE(asked)[0])[1] - level_of(asked.q[0])[1]
    left, right = LABEL.clone(), LABEL.clone()
    left[..., SIDE // 2 :] = False
    right[..., : SIDE // 2] = False
    assert float(gain[right].mean() / gain[left].mean()) > 1.05


def test_the_change_ends_with_the_soft_edge() -> None:
    asked = job(Appearance(0.6))
    change = (TEXTURE(asked)[0] - asked.q[0]).abs()
    far = signed_distance_mm(LABEL) > 7
    assert float(change[:, far].max()) < 1e-3


def test_a_removal_is_filled_and_nothing_asked_is_nothing_done() -> None:
    ground = torch.full((2, SIDE, SIDE, SIDE), GROUND)
    ground[1][LABEL] = 0.9
    away = job(ground=ground, removes=True)
    filled = level_of(TEXTURE(away)[0])
    assert float((filled - GROUND)[:, LABEL].mean(1).abs().max()) < 0.02
    assert float(filled[1][LABEL].std()) == pytest.approx(0.003, rel=0.5)
    nothing = PaintingJob(**{**vars(away), "removes": (False,)})
    assert torch.equal(TEXTURE(nothing), nothing.q)


def test_a_tumor_does_not_depend_on_its_batch() -> None:
    jobs = [job(Appearance(0.5), 1), job(Appearance(0.4, rim=2.0), 2), job(removes=True)]
    together = TEXTURE(join(jobs))
    for k, one in enumerate(jobs):
        assert torch.equal(TEXTURE(one)[0], together[k])


def test_the_noise_is_in_clumps_between_zero_and_one() -> None:
    noise = noise_texture((48, 48, 48), seeded(3), torch.device("cpu"))
    assert noise.shape == (48, 48, 48) and 0 <= float(noise.min()) < float(noise.max()) <= 1
    # Blurred by 4 or 7 mm: neighbours are nearly equal, voxels 20 mm apart are not.
    step = (noise[1:] - noise[:-1]).abs().mean()
    assert float(step) < 0.1 * float((noise[20:] - noise[:-20]).abs().mean())
    assert torch.equal(noise, noise_texture((48, 48, 48), seeded(3), torch.device("cpu")))
