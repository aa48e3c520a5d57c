"""Copy and paste: a contrast carried from one tissue to another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import ball, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import blend_weight, signed_distance_mm
from synbt_aug.texture import CopyPaste, PaintingJob, join
from synbt_aug.texture.local import level_of, linear_of
from synbt_aug.tumor.appearance import Appearance, measure_appearance

SIDE = 40
LABEL = ball(SIDE, 9)
TEXTURE = CopyPaste(hole_margin_mm=3.0)


def job(
    source: Tensor | None,
    ground: tuple[float, float] = (0.3, 0.3),
    wish: Appearance = Appearance(),
) -> PaintingJob:
    """A ball in even tissue with a little grain; `source` in levels."""
    distance = signed_distance_mm(LABEL)
    level = torch.tensor(ground).view(2, 1, 1, 1).expand(2, SIDE, SIDE, SIDE)
    level = level + 0.003 * torch.randn(level.shape, generator=seeded(0))
    return PaintingJob(
        q=linear_of(level)[None],
        mask=(distance <= 1)[None],
        hole=(distance <= 3)[None],
        known=torch.ones_like(LABEL)[None],
        appearance=(wish,),
        noise_seeds=(1,),
        signal=None if source is None else linear_of(source)[None],
    )


def source(around: tuple[float, float], inside: tuple[float, float]) -> Tensor:
    a, b = (torch.tensor(v).view(2, 1, 1, 1) for v in (around, inside))
    return torch.where(LABEL, b, a)


def painted(asked: PaintingJob) -> Tensor:
    return level_of(TEXTURE(asked)[0])


def test_the_contrast_is_carried_over_and_not_the_level() -> None:
    deep = signed_distance_mm(LABEL) < -2
    for around in (0.1, 0.6):
        found = painted(job(source((around, around), (around + 0.1, around + 0.5))))
        assert found[0][deep].mean() == pytest.approx(0.4, abs=0.01)
        assert found[1][deep].mean() == pytest.approx(0.8, abs=0.01)


def test_structure_comes_along_and_the_grain_is_the_hosts() -> None:
    ramp = source((0.2, 0.2), (0.3, 0.6))
    ramp[1] += torch.where(LABEL, torch.linspace(-0.2, 0.2, SIDE), 0.0)
    ramp += 0.05 * torch.randn(ramp.shape, generator=seeded(5))
    found = painted(job(ramp))[1]
    middle = found[SIDE // 2, SIDE // 2]
    assert float(middle[SIDE // 2 + 5] - middle[SIDE // 2 - 5]) == pytest.approx(0.1, abs=0.04)
    even = painted(job(source((0.2, 0.2), (0.3, 0.6))))[1]
    deep = signed_distance_mm(LABEL) < -3
    assert float(even[deep].std()) == pytest.approx(0.003, rel=0.5)


def test_the_asked_enhancement_is_met_in_the_mean() -> None:
    weight = blend_weight(signed_distance_mm(LABEL))
    for enhancement in (0.2, 0.6):
        asked = job(source((0.2, 0.2), (0.3, 0.6)), wish=Appearance(enhancement=enhancement))
        before = level_of(asked.q[0])
        after = before + weight * (painted(asked) - before)
        found = measure_appearance(linear_of(after), LABEL)
        assert found.enhancement == pytest.approx(enhancement, abs=0.02)


def test_a_tumor_no_brighter_than_its_surroundings_can_be_made_to_show() -> None:
    dark = source((0.9, 0.9), (0.5, 0.8))
    weight = blend_weight(signed_distance_mm(LABEL))
    asked = job(dark, wish=Appearance(enhancement=0.4))
    before = level_of(asked.q[0])
    after = before + weight * (painted(asked) - before)
    found = measure_appearance(linear_of(after), LABEL)
    assert found.enhancement == pytest.approx(0.4, abs=0.02)


def test_a_soft_edge_of_the_source_does_not_shrink_the_tumor() -> None:
    soft = 0.2 + 0.4 * (0.5 - signed_distance_mm(LABEL) / 3).clamp(0, 1)
    found = painted(job(soft.expand(2, -1, -1, -1)))[1]
    surface = (signed_distance_mm(LABEL) < 0) & (signed_distance_mm(LABEL) > -1)
    assert float(found[surface].mean()) > 0.3 + 0.8 * 0.4


def test_a_tumor_dark_beside_bright_fat_makes_no_hole_in_dim_fat() -> None:
    found = painted(job(source((0.9, 0.9), (0.3, 0.9)), ground=(0.2, 0.3)))
    assert float(found[0][LABEL].mean()) == pytest.approx(0.1, abs=0.02)


def test_without_a_signal_it_says_what_is_missing() -> None:
    with pytest.raises(SynBTError, match="needs the signal of the tumor to paste"):
        TEXTURE(job(None))


def test_a_removal_needs_no_signal_and_may_lie_beside_a_tumor() -> None:
    one = job(source((0.2, 0.2), (0.3, 0.6)))
    away = replace(job(None), mask=one.mask & False, removes=(True,))
    both = TEXTURE(join([one, away]))
    assert torch.equal(both[:1], TEXTURE(one)) and torch.equal(both[1:], TEXTURE(away))
    assert float((level_of(both[1]) - 0.3)[:, LABEL].mean(1).abs().max()) < 0.01
