"""The scanner: noise of the asked size on top of a clean image of the same scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synbt_aug.phantom import PhantomSettings, Tissue, acquisition, artifacts, make_phantom
from synbt_aug.phantom.acquisition import Scanner
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


@pytest.mark.parametrize("air", [0.3, 1.0])
def test_air_holds_noise_alone_and_as_much_less_than_the_breast_as_drawn(
    small_settings: PhantomSettings, air: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "AIR_NOISE", (air, 0.0))
    for module, name in (
        (artifacts, "NOISE_VARIES"),
        (artifacts, "NOISE_DEEP"),
        (acquisition, "HEART_GHOSTS"),
        (acquisition, "COPIES"),
    ):
        monkeypatch.setattr(module, name, (0.0, 0.0))
    phantom = make_phantom(1_000_003, small_settings)
    mean = phantom.clean_pre[phantom.breast].mean()
    corner = (phantom.labels == Tissue.AIR)[:, :3]
    assert phantom.clean_pre[:, :3][corner].mean() < 0.02 * mean
    # The mean of a Rayleigh distribution is 1.253 SD.
    expected = 1.2533 * air * mean / phantom.snr
    assert phantom.pre[:, :3][corner].mean() == pytest.approx(expected, rel=0.15)


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
