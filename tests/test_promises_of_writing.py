"""Promises about what is written, in the scan's own type: true labels, nothing below the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import (
    FlatTexture,
    breast,
    breast_image,
    copy_paste_painter,
    ellipsoid,
    painter,
    seeded,
    syntumor_painter,
    with_image,
)
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.visibility import CHANGED_SHARE
from synbt_aug.volume import BreastVolume, Synthesis

LUMP = ellipsoid(breast().shape, (34, 35, 37), (5, 6, 7))


def scaled(low: float, high: float, dtype: torch.dtype, clip: float | None = None) -> BreastVolume:
    """The analytic breast with its smallest and largest value moved, and cut off above."""
    image = breast_image()
    image = (image - image.min()) / (image.max() - image.min()) * (high - low) + low
    image = image if clip is None else image.clamp(max=clip)
    image = image if dtype.is_floating_point else image.round()
    return with_image(breast(), image.to(dtype))


def changed_share(before: BreastVolume, result: Synthesis) -> float:
    changed = (before.image != result.image).any(0)
    return float(changed[result.tumor].float().mean())


# --- visible is what was written ---


@pytest.mark.parametrize(
    "volume",
    [
        scaled(0, 45_000, torch.int16, clip=32_767),  # where the scanner's type ends
        scaled(0, 320, torch.uint8, clip=255),  # gland lies where uint8 ends
        scaled(0, 90_000, torch.float16, clip=65_504),  # half precision ends, too
    ],
    ids=["int16", "uint8", "float16"],
)
def test_a_tumor_that_the_type_s_largest_value_takes_away_goes_with_its_label(
    volume: BreastVolume,
) -> None:
    result = painter(FlatTexture((0.0, 1.5), grain=0.0))(volume, seed=1, tumor_mask=LUMP)
    assert not result.painted and not bool(result.tumor.any())
    assert str(result.reason).startswith(("the label did not change: ", "not visible enough: "))
    assert torch.equal(result.image, volume.image)


@pytest.mark.parametrize("levels", [2, 3])
def test_a_faint_tumor_that_rounding_takes_away_goes_with_its_label(levels: int) -> None:
    volume = scaled(0, levels, torch.int16)
    faint = Appearance(enhancement=0.02)
    result = painter(FlatTexture((0.0, 0.04), grain=0.0))(
        volume, seed=1, tumor_mask=LUMP, appearance=faint
    )
    assert not result.painted
    assert str(result.reason).startswith("the label did not change: 0% of its voxels")
    fine = painter(FlatTexture((0.0, 0.04), grain=0.0))(
        scaled(0, levels, torch.float32), seed=1, tumor_mask=LUMP, appearance=faint
    )
    assert fine.painted, "with decimals the same tumor is there"


def test_of_tumors_in_a_scan_cut_off_at_its_brightest_every_label_that_stays_has_changed() -> None:
    image = breast_image()
    top = float(image.flatten().kthvalue(int(0.9 * image.numel())).values)
    volume = scaled(0, 255 / top * float(image.max()), torch.uint8, clip=255)
    fates = [painter()(volume, seed=k, diameter_mm=9.0) for k in range(4)]
    for result in fates:
        assert not result.painted or changed_share(volume, result) >= CHANGED_SHARE


def test_visibility_and_looks_are_those_of_the_written_voxels() -> None:
    image = breast_image()
    volume = scaled(0, 255, torch.uint8)
    bright = painter(FlatTexture((0.0, 6.0), grain=0.0))(volume, seed=1, tumor_mask=LUMP)
    assert int(bright.image[1][bright.tumor].max()) == 255, "it is cut off"
    whole = painter(FlatTexture((0.0, 6.0), grain=0.0))(
        with_image(volume, volume.image.to(torch.int16)), seed=1, tumor_mask=LUMP
    )
    cut_off, free = (r.measured["tumors"][0]["appearance"]["enhancement"] for r in (bright, whole))
    assert cut_off < 0.8 * free
    assert image.shape == volume.image.shape


# --- nothing changed is nothing painted ---


@pytest.mark.parametrize("make", [syntumor_painter, copy_paste_painter])
def test_a_null_paint_that_changes_nothing_is_not_counted_as_painted(
    make: Callable[[], TumorSynthesizer],
) -> None:
    result = make()(breast(), seed=1, kind="null", diameter_mm=10.0, distractors=1.0)
    assert not result.painted
    assert result.reason == "nothing changed: this texture leaves a null as it was"
    injector = SynBTInjector(InjectionSettings(probability=1.0, null_paint=1.0), make())
    images, labels = breast().image[None], torch.zeros((1, 1, *breast().shape), dtype=torch.uint8)
    injected = injector(images, labels, generator=seeded(2))
    assert injected.painted == (False,) and injector.counts == {"nothing changed": 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rounding_of_the_intensity_map_is_no_change(dtype: torch.dtype) -> None:
    image = breast_image()
    image[1] += 400 * LUMP  # far above the knee, which it goes through and back
    volume = replace(with_image(breast(), image.to(dtype)), tumor=LUMP)
    result = painter(FlatTexture((0.0, 0.0), grain=0.0)).remove(volume, LUMP, seed=1)
    assert str(result.reason).startswith("nothing changed: ") and result.image is volume.image


def test_a_removal_that_rounding_takes_away_says_so() -> None:
    volume = replace(scaled(0, 3, torch.int16), tumor=LUMP)
    result = painter(FlatTexture((0.0, 0.0), grain=0.0)).remove(volume, LUMP, seed=1)
    assert result.reason == "nothing changed: this texture leaves a removal as it was"


# --- the floor ---


def dark(grain: float = 0.0) -> TumorSynthesizer:
    """Paints far below everything in the scan."""
    return painter(FlatTexture((-4.0, -4.0), grain))


def floors(image: Tensor, valid: Tensor | None = None) -> Tensor:
    return image.flatten(1).amin(1) if valid is None else image[:, valid].amin(1)


@pytest.mark.parametrize(
    "volume",
    [
        scaled(0, 900, torch.int16),
        scaled(3, 250, torch.uint8),
        scaled(0.0, 900.0, torch.float32),
        scaled(-1.5, 4.0, torch.float64),
        scaled(-900, 0, torch.int32),
    ],
    ids=["int16", "uint8", "float32", "z-scores", "negative"],
)
def test_nothing_is_painted_below_the_scan_s_own_smallest_value(volume: BreastVolume) -> None:
    result = dark()(volume, seed=1, tumor_mask=LUMP)
    assert result.painted, result.reason
    assert torch.equal(floors(result.image), floors(volume.image))
    inside = result.image[:, result.tumor]
    assert bool((inside.amin(1) == floors(volume.image)).all()), "and down to it"


def test_a_removal_keeps_to_the_floor() -> None:
    image = scaled(0, 900, torch.int16).image
    image[:, LUMP] = 20
    volume = replace(with_image(breast(), image), tumor=LUMP)
    away = painter(FlatTexture((0.0, 0.0), grain=3.0)).remove(volume, LUMP, seed=1)
    assert away.painted
    assert torch.equal(floors(away.image), floors(volume.image))
    assert bool((away.image[:, LUMP] == floors(volume.image)[:, None]).any())


def test_voxels_without_signal_do_not_lower_the_floor() -> None:
    image = scaled(10, 900, torch.int16).image
    valid = torch.ones(breast().shape, dtype=torch.bool)
    valid[:4] = False
    image[:, ~valid] = -5000
    volume = replace(with_image(breast(), image), valid=valid)
    result = dark()(volume, seed=1, tumor_mask=LUMP)
    assert result.painted
    assert torch.equal(floors(result.image, valid), floors(volume.image, valid))
    assert bool((floors(result.image, valid) >= 10).all())


def test_an_injector_keeps_each_sample_s_floor() -> None:
    images = torch.stack([scaled(0, 900, torch.int16).image, scaled(100, 900, torch.int16).image])
    labels = torch.zeros((2, 1, *breast().shape), dtype=torch.uint8)
    settings = InjectionSettings(probability=1.0, diameter_mm=9.0)
    injected = SynBTInjector(settings, dark())(images, labels, generator=seeded(1))
    assert injected.painted == (True, True)
    for before, after in zip(images, injected.images, strict=True):
        assert torch.equal(floors(after), floors(before))
