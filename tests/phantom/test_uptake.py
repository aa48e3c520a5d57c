"""Uptake inside a lesion: clips, necrosis, and never outshone by gland."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synbt_aug.phantom.anatomy import Anatomy, build_anatomy
from synbt_aug.phantom.lesion import Growth, Lesion
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.uptake import KEP_RANGE, MIN_OVER_GLAND, LesionUptake, draw_level


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

    assert np.median([skewness(u) for u in _uptakes(anatomy, _growth())]) < -0.3


def test_a_lesion_s_edge_is_darker_before_contrast_than_after_it(anatomy: Anatomy) -> None:
    growth = _growth()
    x = torch.arange(32.0) - 16
    r = torch.sqrt(x[:, None, None] ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2)
    shell, deep = (r > 8.5) & (r < 9.5), r < 5
    for uptake in _uptakes(anatomy, growth):
        longer = float(uptake.t1_factor[shell].mean() / uptake.t1_factor[deep].mean())
        # 0.2 to 1.0 at the surface, a third of it a mm below.
        assert 1.05 < longer < 1.6
        assert float(uptake.t1_factor[deep].std()) < 0.01


def test_what_varies_before_contrast_has_dark_spots_and_no_pepper(anatomy: Anatomy) -> None:
    mottles = [uptake.mottle[uptake.weight > 0.9] for uptake in _uptakes(anatomy, _growth())]
    skewness = [float(((m - m.mean()) ** 3).mean() / m.std() ** 3) for m in mottles]
    assert np.mean(skewness) < -0.2
    assert min(float(m.min()) for m in mottles) > 0.3
    assert all(0.03 < float(m.std()) < 0.2 for m in mottles)
