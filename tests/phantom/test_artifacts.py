"""What disturbs a scan, held against arithmetic."""

from __future__ import annotations

import pytest
import torch

from synbt_aug.phantom import PhantomSettings
from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.artifacts import catmull_rom, displaced, noise_map, ripples, smeared
from synbt_aug.phantom.texture import Randomness


def test_noise_varies_by_place_around_the_scanner_s_level(small_settings: PhantomSettings) -> None:
    source = Randomness.stages(2, 1)[0]
    anatomy = build_anatomy(small_settings, source)
    noise = noise_map(anatomy, source)
    assert float(noise[anatomy.breast].square().mean().sqrt()) == pytest.approx(1.0, abs=1e-4)
    assert float(noise[anatomy.breast].std()) > 0.02
    assert float(noise[anatomy.torso.skin_depth < -5].mean()) < 0.9


def test_what_is_smeared_stays_on_its_line() -> None:
    image = torch.zeros(4, 5, 6)
    image[1, 2, 3] = 2.0
    for dim in range(3):
        line = torch.zeros_like(image)
        line[tuple(slice(None) if d == dim else i for d, i in enumerate((1, 2, 3)))] = 1.0
        assert torch.equal(smeared(image, dim, torch.full_like(image, 0.5)), line)


def test_cubic_weights_sum_to_one_and_hit_the_samples() -> None:
    assert catmull_rom(0.0) == (0.0, 1.0, 0.0, 0.0)
    assert sum(catmull_rom(0.3)) == pytest.approx(1.0)
    # A straight line is reproduced: samples at -1, 0, 1, 2 read at 0.3.
    line = sum(w * x for w, x in zip(catmull_rom(0.3), (-1, 0, 1, 2)))
    assert line == pytest.approx(0.3)


def test_a_displacement_by_whole_voxels_is_a_shift() -> None:
    image = torch.randn(9, 8, 7, generator=torch.Generator().manual_seed(0))
    for dim in range(3):
        moved = displaced(image, dim, torch.ones_like(image))
        n = image.shape[dim]
        assert torch.allclose(moved.narrow(dim, 0, n - 1), image.narrow(dim, 1, n - 1), atol=1e-6)
    twice = displaced(image, 0, torch.full_like(image, 2.0))
    assert torch.allclose(twice[:-2], image[2:], atol=1e-6)
    assert torch.equal(displaced(image, 1, torch.zeros_like(image)), image)


def test_a_displacement_by_parts_of_a_voxel_reads_a_parabola_exactly() -> None:
    x = torch.arange(12.0).reshape(-1, 1, 1).expand(12, 3, 3)
    part = torch.linspace(-1, 1, 12).reshape(-1, 1, 1).expand(12, 3, 3)
    moved = displaced(0.5 * x**2 - x, 0, part)
    at = (x + part)[1:-1]
    assert torch.allclose(moved[1:-1], 0.5 * at**2 - at, atol=1e-4)


def test_ripples_leave_even_tissue_and_fade_beside_an_edge() -> None:
    image = torch.ones(8, 120, 8)
    rippled = ripples(image, dim=1, crest_voxels=4.0, reach_crests=1.0)
    assert float(rippled.abs().max()) < 1e-4
    image[:, 60:] = 3.0
    rippled = ripples(image, dim=1, crest_voxels=4.0, reach_crests=1.0)[4, :, 4]
    near, far = rippled[50:70].abs().max(), rippled[:30].abs().max()
    assert float(near) > 20 * float(far)
    # One crest away the edge is repeated with the sign it has.
    assert float(rippled[:60].max()) > 0 > float(rippled[:60].min())


def test_ripples_run_along_the_axis_that_is_named() -> None:
    image = torch.zeros(9, 11, 13)
    image[4, 5, 6] = 1.0
    for dim in range(3):
        rippled = ripples(image, dim=dim, crest_voxels=3.0, reach_crests=1.5)
        spread = rippled.abs().amax(dim=[d for d in range(3) if d != dim])
        assert int((spread > 0.01).sum()) > 3
        assert int((rippled != 0).sum()) <= rippled.shape[dim]
