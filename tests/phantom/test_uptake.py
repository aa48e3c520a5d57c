"""Uptake inside a lesion: clips, necrosis, and never outshone by gland."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import synbt_aug.phantom.uptake as uptake_module
from synbt_aug.grid.mask import gaussian
from synbt_aug.phantom.anatomy import Anatomy, build_anatomy
from synbt_aug.phantom.lesion import Growth, Lesion
from synbt_aug.phantom.physics import spoiled_gradient_echo
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Grid, Randomness
from synbt_aug.phantom.uptake import (
    DARKER,
    KEP_RANGE,
    MIN_OVER_GLAND,
    LesionUptake,
    _depth,
    draw_level,
)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    settings = PhantomSettings(shape=(48, 48, 48), with_tumor=False)
    return build_anatomy(settings, Randomness.stages(1_000_740, 1)[0])


def _growth(core: float = 0.0) -> Growth:
    x = torch.arange(32.0) - 16
    r = torch.sqrt(x[:, None, None] ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2)
    weight = torch.sigmoid((10 - r) / 0.4)
    inside = core * (r < 5).float()
    lesion = Lesion("mass", 20.0, "irregular", "heterogeneous", "plateau", (16.0, 16.0, 16.0))
    return Growth(lesion, (slice(8, 40),) * 3, weight, inside * weight, 0.3)


def _uptakes(anatomy: Anatomy, growth: Growth, gland: float = 0.01) -> list[LesionUptake]:
    sources = Randomness.stages(1_000_741, 12)
    return [LesionUptake(growth, anatomy, gland, draw_level(s), s) for s in sources]


def test_a_necrotic_core_hardly_takes_up_contrast(anatomy: Anatomy) -> None:
    for uptake in _uptakes(anatomy, _growth(core=1.0)):
        core, rest = uptake.core > 0.9, (uptake.weight > 0.9) & (uptake.core < 0.1)
        assert uptake.ktrans[core].mean() < 0.1 * uptake.ktrans[rest].mean()


def test_the_curve_stays_that_of_the_lesion_however_weak_it_is(anatomy: Anatomy) -> None:
    low, high = KEP_RANGE["plateau"]
    for uptake in _uptakes(anatomy, _growth()):
        kep = float((uptake.ktrans / uptake.ve)[uptake.weight > 0.9].median())
        assert 0.8 * low < kep < 1.25 * high


def test_gland_that_enhances_strongly_does_not_hide_the_lesion(anatomy: Anatomy) -> None:
    gland = 0.05
    for uptake in _uptakes(anatomy, _growth(), gland):
        level = float(uptake.ktrans[uptake.weight > 0.9].median())
        assert level > 0.5 * MIN_OVER_GLAND * gland


def test_some_lesions_hold_a_clip_of_a_few_mm_without_signal(anatomy: Anatomy) -> None:
    voids = [u.void for u in _uptakes(anatomy, _growth()) if u.void is not None]
    assert 1 <= len(voids) < 12
    for void in voids:
        # Spheres of 1.0-2.2 mm radius hold 4-45 mm3; there may be two, stretched.
        assert 2 < float(void.sum()) < 150
        assert float(void.max()) > 0.6


def test_lesions_of_one_level_take_up_alike_and_twice_the_level_is_twice_the_uptake(
    anatomy: Anatomy,
) -> None:
    def taken_up(level: float) -> np.ndarray:
        sources = Randomness.stages(1_000_742, 10)
        lesions = [LesionUptake(_growth(), anatomy, 0.0, level, source) for source in sources]
        return np.array([float(u.ktrans[u.weight > 0.9].mean()) for u in lesions])

    once, twice = taken_up(0.5), taken_up(1.0)
    np.testing.assert_allclose(twice / once, 2.0, rtol=1e-3)
    # 15 % of the level, and the ranges of ve and kep of a plateau.
    assert np.log(once).std() < 0.45


def test_spots_inside_are_dark_rather_than_bright(anatomy: Anatomy) -> None:
    def skewness(uptake: LesionUptake) -> float:
        values = torch.log(uptake.ktrans[uptake.weight > 0.99])
        away = (values - values.mean()) / values.std()
        return float((away**3).mean())

    assert np.median([skewness(u) for u in _uptakes(anatomy, _growth())]) < -0.55


def _ball(spacing_mm: float, core: float = 0.0) -> tuple[Growth, torch.Tensor]:
    """A ball of 14 mm radius on voxels of this size, and the distance from its middle in mm."""
    x = spacing_mm * (torch.arange(32.0) - 16)
    r = torch.sqrt(x[:, None, None] ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2)
    weight = ((14 - r) / spacing_mm + 0.5).clamp(0, 1)
    return replace(_growth(), weight=weight, core=core * (r < 5) * weight), r


def _body(spacing_mm: float) -> Anatomy:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(spacing_mm,) * 3, with_tumor=False)
    return build_anatomy(settings, Randomness.stages(1_000_740, 1)[0])


@pytest.mark.parametrize("spacing_mm", [1.0, 2.5])
@pytest.mark.parametrize("core", [0.0, 1.0])
def test_a_lesion_s_edge_is_darker_before_contrast_than_after_it(
    spacing_mm: float, core: float
) -> None:
    growth, r = _ball(spacing_mm, core)
    shell, deep = (r > 14 - spacing_mm) & (r < 14), (r > 6) & (r < 14 - 2 * spacing_mm)
    ratios = []
    for uptake in _uptakes(_body(spacing_mm), growth):
        t1 = 1.4 * uptake.t1_factor
        # 4.5 per s and mmol/l of contrast agent, .5 mmol/l everywhere.
        scans = [
            spoiled_gradient_echo(
                1 / t1 + rate, torch.tensor(0.9), torch.tensor(0.03),
                tr=0.005, te=0.002, flip_deg=12.0,
            )
            for rate in (0.0, 4.5 * 0.5)
        ]  # fmt: skip
        ratios.append([float(scan[shell].mean() / scan[deep].mean()) for scan in scans])
        assert float(uptake.t1_factor[r < 3].mean()) == pytest.approx(1 + 0.4 * core, abs=0.02)
    before, after = np.array(ratios).T
    assert (before < after).all()
    assert before.mean() < 0.92 and after.mean() > 0.94


def test_spots_before_contrast_are_dark_and_no_pepper(anatomy: Anatomy) -> None:
    mottles = [uptake.mottle[uptake.weight > 0.9] for uptake in _uptakes(anatomy, _growth())]
    skewness = [float(((m - m.mean()) ** 3).mean() / m.std() ** 3) for m in mottles]
    assert -1.2 < np.mean(skewness) < -0.2
    assert min(float((m / m.mean()).min()) for m in mottles) > 0.5
    assert 0.04 < np.mean([float(m.std()) for m in mottles]) < 0.12


def test_fine_spots_are_less_dark_than_coarse_ones(
    anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth = replace(_growth(), unevenness=0.6)

    def darkest() -> float:
        """Of what varies over a millimetre alone, the darkest in 500; the clips' seeds alike."""
        found = []
        for uptake in _uptakes(anatomy, growth):
            relief = torch.log(uptake.ktrans)
            fine = relief - gaussian(relief, 1.5)
            found.append(float(fine[uptake.weight > 0.99].quantile(0.002)))
        return float(np.mean(found))

    as_it_is = darkest()
    monkeypatch.setattr(uptake_module, "DARKER_FINE", DARKER)
    assert darkest() < 1.1 * as_it_is < 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (0.7, 2.0, 0.7)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_depth_is_counted_from_the_surface(spacing: tuple[float, ...], axis: int) -> None:
    size = (20, 20, 20)
    shape = [1, 1, 1]
    shape[axis] = 20
    index = torch.arange(20).reshape(shape).expand(size)
    growth = replace(_growth(), weight=((index >= 6) & (index < 14)).float())
    depth = _depth(growth, Grid(size, spacing)).movedim(axis, 0)[:, 10, 10]
    step = spacing[axis]
    expected = [step * (0.5 + k) for k in (0, 1, 2, 3, 3, 2, 1, 0)]
    np.testing.assert_allclose(depth[6:14], expected, rtol=1e-5)
    assert not depth[:6].any() and not depth[14:].any()
