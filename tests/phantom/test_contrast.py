"""Signal over time: curve types, and who enhances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from synbt_aug.phantom import PhantomSettings, Tissue, lesion, make_phantom

SERIES = PhantomSettings(
    shape=(56, 56, 48), spacing=(2.5, 2.5, 2.5), times_s=(90.0, 240.0, 420.0), fat_saturation=True
)


@pytest.fixture(scope="module")
def courses() -> dict[str, list[np.ndarray]]:
    """Mean signal of lesions over pre and three post scans, by curve type, as many of each."""
    found: dict[str, list[np.ndarray]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesion, "CURVE_SHARE", dict.fromkeys(lesion.CURVE_SHARE, (1 / 3,) * 3))
        for seed in range(1_000_200, 1_000_220):
            phantom = make_phantom(seed, SERIES)
            for number, grown in enumerate(phantom.lesions, start=1):
                mask = phantom.tumor_instances == number
                if mask.sum() > 30:
                    scans = [phantom.clean_pre, *phantom.clean_post]
                    means = np.array([scan[mask].mean() for scan in scans])
                    found.setdefault(grown.curve, []).append(means)
    assert min(len(group) for group in found.values()) >= 4
    return found


def test_every_lesion_lights_up(courses: dict[str, list[np.ndarray]]) -> None:
    for course in (c for group in courses.values() for c in group):
        assert course[1] > 1.4 * course[0]


def test_washout_falls(courses: dict[str, list[np.ndarray]]) -> None:
    assert all(c[3] < c[1] for c in courses["washout"])
    assert np.median([c[3] / c[1] for c in courses["washout"]]) < 0.9


def test_a_plateau_stays_within_a_tenth(courses: dict[str, list[np.ndarray]]) -> None:
    assert np.median([c[3] / c[1] for c in courses["plateau"]]) == pytest.approx(1.0, abs=0.1)


def test_persistent_enhancement_rises(courses: dict[str, list[np.ndarray]]) -> None:
    assert all(c[1] < c[2] for c in courses["persistent"])
    # By more than a twentieth of the early enhancement: patients' rise by a tenth and more.
    rises = [(c[3] - c[1]) / (c[1] - c[0]) for c in courses["persistent"]]
    assert np.median(rises) > 0.05


def test_a_tumor_outshines_the_breast_around_it(small_settings: PhantomSettings) -> None:
    ratios = []
    for seed in range(1_000_230, 1_000_236):
        phantom = make_phantom(seed, small_settings)
        inner = ndimage.binary_dilation(phantom.tumor, iterations=1)
        shell = ndimage.binary_dilation(phantom.tumor, iterations=4) & ~inner & phantom.breast
        post = phantom.clean_post[0]
        ratios.append(np.median(post[phantom.tumor]) / np.median(post[shell]))
    assert np.median(ratios) > 1.7
    assert min(ratios) > 1.0


def test_fat_is_dark_with_saturation_and_bright_without(
    small_settings: PhantomSettings,
) -> None:
    def fat_to_gland(saturated: bool) -> float:
        settings = replace(small_settings, fat_saturation=saturated, density="c")
        ratios = []
        for seed in range(1_000_240, 1_000_243):
            phantom = make_phantom(seed, replace(settings, with_tumor=False))
            breast, labels = phantom.breast, phantom.labels
            fat = phantom.clean_pre[breast & (labels == Tissue.FAT)]
            gland = phantom.clean_pre[breast & (labels == Tissue.GLAND)]
            ratios.append(np.median(fat) / np.median(gland))
        return float(np.median(ratios))

    assert fat_to_gland(True) < 0.85
    assert fat_to_gland(False) > 1.2
