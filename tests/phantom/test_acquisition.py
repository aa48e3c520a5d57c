"""The scanner: noise of the asked size on top of a clean image of the same scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synbt_aug.phantom import Phantom, PhantomSettings, Tissue, acquisition, make_phantom
from synbt_aug.phantom.acquisition import Scanner, catmull_rom, displaced, ripples
from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.texture import Randomness


def test_noise_does_not_shift_bright_tissue(small_settings: PhantomSettings) -> None:
    phantom = make_phantom(1_000_300, replace(small_settings, snr=30.0))
    for noisy, clean in (
        (phantom.pre, phantom.clean_pre),
        (phantom.post[0], phantom.clean_post[0]),
    ):
        bright = phantom.breast & (clean > 0.5 * clean[phantom.breast].mean())
        assert noisy[bright].mean() == pytest.approx(clean[bright].mean(), rel=0.01)


@pytest.mark.parametrize("snr", [8.0, 25.0])
def test_the_asked_snr_is_met(
    small_settings: PhantomSettings, snr: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ripples are no noise, and no part of the clean image.
    monkeypatch.setattr(acquisition, "RIPPLE_SHARE", 0.0)
    phantom = make_phantom(1_000_301, replace(small_settings, snr=snr))
    mean = phantom.clean_pre[phantom.breast].mean()
    # Far above the noise a Rician is a Gaussian of the noise's own SD.
    bright = phantom.breast & (phantom.clean_pre > 0.8 * mean)
    noise = (phantom.pre - phantom.clean_pre)[bright].std()
    assert mean / noise == pytest.approx(snr, rel=0.1)
    assert phantom.snr == snr


def test_air_holds_noise_alone(small_phantom: Phantom) -> None:
    mean = small_phantom.clean_pre[small_phantom.breast].mean()
    corner = (small_phantom.labels == Tissue.AIR)[:, :3]
    assert small_phantom.clean_pre[:, :3][corner].mean() < 0.02 * mean
    # The mean of a Rayleigh distribution is 1.253 SD.
    expected = 1.2533 * mean / small_phantom.snr
    assert small_phantom.pre[:, :3][corner].mean() == pytest.approx(expected, rel=0.15)


def test_cubic_weights_sum_to_one_and_hit_the_samples() -> None:
    assert catmull_rom(0.0) == (0.0, 1.0, 0.0, 0.0)
    assert sum(catmull_rom(0.3)) == pytest.approx(1.0)
    # A straight line is reproduced: samples at -1, 0, 1, 2 read at 0.3.
    line = sum(w * x for w, x in zip(catmull_rom(0.3), (-1, 0, 1, 2)))
    assert line == pytest.approx(0.3)


def test_thicker_slices_blur_along_the_slice_axis(small_settings: PhantomSettings) -> None:
    def roughness(thickness: float) -> float:
        settings = replace(
            small_settings, spacing=(1.5, 1.5, 1.5), slice_thickness_mm=thickness, bilateral=True
        )
        phantom = make_phantom(1_000_302, settings)  # two breasts are always axial
        assert phantom.slice_axis == 2
        image, breast = phantom.clean_pre, phantom.breast
        both = breast[:, :, 1:] & breast[:, :, :-1]
        return float(np.abs(np.diff(image, axis=2))[both].mean() / image[breast].mean())

    assert roughness(4.0) < 0.8 * roughness(1.0)


def test_a_scanner_wants_calibration_first(small_settings: PhantomSettings) -> None:
    source = Randomness.stages(1, 1)[0]
    anatomy = build_anatomy(small_settings, source)
    scanner = Scanner(anatomy, small_settings, source)
    with pytest.raises(RuntimeError, match=r"Call Scanner\.calibrate"):
        scanner.scan(torch.zeros(small_settings.shape), moves=False)


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


def test_only_the_scan_before_contrast_is_unsettled(
    small_settings: PhantomSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(small_settings, times_s=(90.0, 180.0), with_tumor=False)
    moved = make_phantom(1_000_303, settings)
    monkeypatch.setattr(acquisition, "SETTLING_MM", (1e-6, 0.0))
    still = make_phantom(1_000_303, settings)
    np.testing.assert_array_equal(moved.clean_post, still.clean_post)
    changed = np.abs(moved.clean_pre - still.clean_pre)[moved.breast]
    # A fraction of a millimetre: edges change, even tissue does not.
    assert 0.005 < changed.mean() / still.clean_pre[moved.breast].mean() < 0.2
    assert np.median(changed) < 0.7 * changed.mean()


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
