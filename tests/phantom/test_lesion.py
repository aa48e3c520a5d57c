"""Tumors: size from the mask, categories that look their part, and none when not wanted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from synbt_aug.phantom import Phantom, PhantomSettings, Tissue, acquisition, make_phantom


def test_the_reported_diameter_is_that_of_the_masks_volume() -> None:
    settings = PhantomSettings(shape=(80, 80, 40), spacing=(1.0, 1.5, 2.5))
    phantom = make_phantom(1_000_030, settings)
    for number, lesion in enumerate(phantom.lesions, start=1):
        volume = (phantom.tumor_instances == number).sum() * 1.0 * 1.5 * 2.5
        assert lesion.diameter_mm == pytest.approx((6 * volume / math.pi) ** (1 / 3))
        center = np.argwhere(phantom.tumor_instances == number).mean(axis=0)
        assert lesion.center_voxel == pytest.approx(tuple(center))


def test_tumor_voxels_are_labelled_and_numbered(small_phantom: Phantom) -> None:
    assert small_phantom.tumor.any()
    assert ((small_phantom.labels == Tissue.TUMOR) == small_phantom.tumor).all()
    assert ((small_phantom.tumor_instances > 0) == small_phantom.tumor).all()
    assert small_phantom.tumor_instances.max() == len(small_phantom.lesions)


@pytest.mark.parametrize("category", ["mass", "nonmass"])
def test_the_asked_size_is_about_met(small_settings: PhantomSettings, category: str) -> None:
    settings = replace(small_settings, category=category, diameter_mm=24.0, density="b")
    sizes = [make_phantom(1_000_040 + i, settings).lesions[0].diameter_mm for i in range(5)]
    assert np.median(sizes) == pytest.approx(24.0, rel=0.2)


def test_a_rim_lesion_is_darker_in_its_core(small_settings: PhantomSettings) -> None:
    settings = replace(small_settings, category="rim", diameter_mm=36.0, density="b")
    ratios = []
    for seed in range(1_000_050, 1_000_056):
        phantom = make_phantom(seed, settings)
        mask = phantom.tumor_instances == 1
        depth = ndimage.distance_transform_edt(mask, sampling=phantom.spacing)
        post = phantom.clean_post[0]
        ratios.append(post[depth > 0.75 * depth.max()].mean() / post[mask & (depth < 5)].mean())
        assert phantom.lesions[0].internal == "rim"
    assert np.median(ratios) < 0.75


def test_a_mass_has_a_body_and_a_nonmass_lesion_has_none(small_settings: PhantomSettings) -> None:
    def thickness(category: str) -> float:
        """Radius of the largest ball inside, over that of the sphere of the same volume."""
        settings = replace(small_settings, category=category, diameter_mm=30.0, density="b")
        shares = []
        for seed in range(1_000_060, 1_000_068):
            phantom = make_phantom(seed, settings)
            mask = phantom.tumor_instances == 1
            depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=phantom.spacing)
            shares.append(depth.max() / (phantom.lesions[0].diameter_mm / 2))
        return float(np.mean(shares))

    # Masses are heaps of lobes, non-mass lesions clumps along ducts.
    assert thickness("mass") > 0.55
    assert thickness("nonmass") < 0.45


def test_tumors_lie_in_the_breast(small_settings: PhantomSettings) -> None:
    for seed in range(1_000_070, 1_000_074):
        phantom = make_phantom(seed, small_settings)
        assert phantom.lesions
        near = ndimage.binary_dilation(phantom.breast, iterations=2)
        assert phantom.tumor[near].sum() > 0.95 * phantom.tumor.sum()


def test_without_tumor_the_patient_is_the_same(
    small_settings: PhantomSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ripples beside a tumor's edges fade over centimetres.
    monkeypatch.setattr(acquisition, "RIPPLE_SHARE", 0.0)
    small_phantom = make_phantom(1_000_003, small_settings)
    healthy = make_phantom(1_000_003, replace(small_settings, with_tumor=False))
    assert healthy.lesions == ()
    assert not healthy.tumor.any()
    assert not (healthy.labels == Tissue.TUMOR).any()
    # Spread along ducts reaches 32 mm and may be too thin for a label; blur and motion add 4 mm.
    elsewhere = ndimage.distance_transform_edt(~small_phantom.tumor, sampling=2.0) > 36
    assert elsewhere[small_phantom.breast].mean() > 0.1
    assert (healthy.labels == small_phantom.labels)[elsewhere].all()
    np.testing.assert_array_equal(healthy.pre[elsewhere], small_phantom.pre[elsewhere])
    np.testing.assert_array_equal(healthy.post[0][elsewhere], small_phantom.post[0][elsewhere])


def test_several_lesions_are_common_and_every_case_has_one() -> None:
    settings = PhantomSettings(shape=(48, 56, 48), spacing=(2.5, 2.5, 2.5))
    counts = [len(make_phantom(seed, settings).lesions) for seed in range(1_000_080, 1_000_110)]
    assert min(counts) >= 1
    assert 0.15 < np.mean(np.array(counts) > 1) < 0.65
