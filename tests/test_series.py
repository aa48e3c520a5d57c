"""A series of several post-contrast scans: every channel tells the same story."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import FlatTexture, breast, ellipsoid, painter, seeded
from breast_series import GAINS, Flat, series, series_image
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.signal.grain import fine_part
from synbt_aug.signal.intensity import measure_reference, to_linear
from synbt_aug.tumor.curve import measure_course
from synbt_aug.volume import BreastVolume, Synthesis

MASK = ellipsoid(breast().shape, (34, 35, 37), (7, 8, 9))
INNER = ellipsoid(breast().shape, (34, 35, 37), (4, 5, 6))


def painted(volume: BreastVolume, texture: FlatTexture | None = None, **asked: object) -> Synthesis:
    result = painter(texture or Flat())(volume, seed=3, tumor_mask=MASK, **asked)  # type: ignore[arg-type]
    assert result.painted, result.reason
    return result


def fractions(result: Synthesis) -> list[float]:
    assert result.recipe is not None
    found: list[float] = result.recipe["tumors"][0]["curve"]["fractions"]
    return found


def course(volume: BreastVolume, result: Synthesis, where: Tensor = INNER) -> tuple[float, ...]:
    """Measured as in a real tumor, over the painted scan."""
    return measure_course(to_linear(result.image, measure_reference(volume.image)), where)[1:]


@pytest.mark.parametrize("texture", [Flat, FlatTexture])
def test_pre_and_post_are_bitwise_what_they_are_without_further_phases(
    texture: type[FlatTexture],
) -> None:
    whole, pair = painted(series(), texture()), painted(series().pair, texture())
    assert torch.equal(whole.image[:2], pair.image)
    assert torch.equal(whole.tumor, pair.tumor) and torch.equal(whole.support, pair.support)


@pytest.mark.parametrize("texture", [Flat, FlatTexture])
def test_outside_the_support_every_channel_is_bitwise_the_input_s(
    texture: type[FlatTexture],
) -> None:
    volume, result = series(), painted(series(), texture())
    assert torch.equal(result.image[:, ~result.support], volume.image[:, ~result.support])
    assert (result.image != volume.image)[:, result.tumor].float().mean(1).min() > 0.99


@pytest.mark.parametrize("curve", ["washout", "plateau", "persistent"])
def test_a_painted_tumor_shows_the_curve_of_its_recipe(curve: str) -> None:
    volume = series()
    result = painted(volume, curve=curve)
    assert result.recipe is not None and result.recipe["tumors"][0]["curve"]["kind"] == curve
    assert course(volume, result) == pytest.approx(fractions(result), abs=0.03)


def test_a_change_that_is_added_follows_the_curve_too() -> None:
    volume = series()
    result = painted(volume, FlatTexture(grain=0.0), curve="washout")
    reference = measure_reference(volume.image)
    change = to_linear(result.image, reference) - to_linear(volume.image, reference)
    pre, post, *further = change[:, INNER].mean(1).tolist()
    assert [(f - pre) / (post - pre) for f in further] == pytest.approx(fractions(result), abs=0.03)


def test_scans_before_the_painted_one_come_in_the_order_of_time() -> None:
    result = painted(series(earlier=1), curve="washout")
    before, after = fractions(result)
    assert before > 1 > after


def test_a_recipe_replays_the_series_bitwise() -> None:
    volume = series()
    result = painter(Flat())(volume, seed=5, tumors=2, diameter_mm=9.0, distractors=2.0)
    assert result.recipe is not None and len(result.recipe["tumors"]) >= 2
    again = painter(Flat()).replay(volume, json.loads(json.dumps(result.recipe)))
    assert torch.equal(again.image, result.image) and torch.equal(again.tumor, result.tumor)


def test_a_recipe_of_a_series_and_a_pair_do_not_go_together() -> None:
    whole, pair = painted(series()), painted(series().pair)
    assert whole.recipe is not None and pair.recipe is not None
    with pytest.raises(SynBTError, match="pre and 3 post-contrast scans, this volume has 1"):
        painter(Flat()).replay(series().pair, whole.recipe)
    with pytest.raises(SynBTError, match="pre and 1 post-contrast scans, this volume has 3"):
        painter(Flat()).replay(series(), pair.recipe)


@pytest.mark.parametrize("curve", [None, {"kind": "plateau", "fractions": [0.9]}])
def test_a_recipe_whose_curve_is_of_another_series_is_refused(curve: object) -> None:
    recipe = json.loads(json.dumps(painted(series()).recipe))
    recipe["tumors"][0]["curve"] = curve
    with pytest.raises(SynBTError, match="curve is of .* further phases, the scan has 2"):
        painter(Flat()).replay(series(), recipe)


def test_scaling_a_further_phase_by_a_power_of_two_scales_what_is_painted_there() -> None:
    volume = series()
    gains = torch.tensor([1.0, 1.0, 4.0, 0.25]).view(4, 1, 1, 1)
    scaled = painted(BreastVolume(volume.image * gains))
    assert torch.equal(scaled.image, painted(volume).image * gains)


def test_each_phase_has_the_noise_of_its_own_scan() -> None:
    volume = series()
    noisy = volume.image.clone()
    noisy[2] += torch.randn(volume.shape, generator=seeded(9)) * 20
    texture = Flat()
    texture.inside = texture.outside
    # Ordinary tissue: in a tumor the curve's unevenness is fine structure, too.
    result = painter(texture)(BreastVolume(noisy), seed=3, tumor_mask=MASK, kind="null")
    inside = fine_part(result.image)[:, INNER].std(1)
    around = fine_part(noisy)[:, ellipsoid(volume.shape, (34, 55, 37), (6, 5, 8))].std(1)
    assert (inside / around)[1:].tolist() == pytest.approx([1.0] * 3, abs=0.25)
    fine = fine_part(result.image)[1:, INNER]
    assert torch.corrcoef(fine)[0, 1:].abs().max() < 0.15


def test_what_lay_under_the_tumor_gives_way_in_every_phase() -> None:
    plain = series()
    bright = plain.image.clone()
    bright[:, 33:36, :, 36:38] += torch.tensor([0.0, 60.0, 160.0, 45.0]).view(4, 1, 1, 1)
    deep = ellipsoid(plain.shape, (34, 35, 37), (4, 5, 6))
    rod = torch.zeros_like(deep)
    rod[33:36, :, 36:38] = True
    image = painted(BreastVolume(bright)).image
    reference = measure_reference(bright)
    linear = to_linear(image, reference)
    shown = linear[:, deep & rod].mean(1) - linear[:, deep & ~rod].mean(1)
    before = to_linear(bright, reference)
    lay = before[:, deep & rod].mean(1) - before[:, deep & ~rod].mean(1)
    assert (shown.abs()[1:] < 0.1 * lay[1:]).all()


@pytest.mark.parametrize("kind", ["null", "removal"])
def test_ordinary_tissue_is_ordinary_in_every_phase(kind: str) -> None:
    volume = series()
    texture = Flat()
    texture.inside = texture.outside
    result = painter(texture)(volume, seed=3, tumor_mask=MASK, kind=kind)
    assert result.painted
    linear = to_linear(result.image, measure_reference(volume.image))
    means = linear[:, INNER].mean(1).tolist()
    assert means[2:] == pytest.approx([means[1]] * 2, abs=0.12)


def test_nothing_is_painted_below_a_further_phase_s_own_smallest_value() -> None:
    volume = series()
    texture = Flat()
    texture.inside = (-3.0, 2.6)
    result = painted(volume, texture, curve="washout")
    assert (result.image.flatten(1).amin(1) >= volume.image.flatten(1).amin(1)).all()


def test_a_thick_slice_grid_is_painted_in_every_phase() -> None:
    spacing = (0.8, 0.8, 3.0)
    volume = series(spacing)
    result = painter(Flat())(volume, seed=4, diameter_mm=16.0, curve="washout")
    assert result.painted
    reference = measure_reference(volume.image)
    found = measure_course(to_linear(result.image, reference), result.tumor)[1:]
    assert found == pytest.approx(fractions(result), abs=0.08)


def test_integers_stay_integers_in_every_phase() -> None:
    volume = BreastVolume((series_image() * 4).to(torch.int16))
    result = painted(volume)
    assert result.image.dtype == torch.int16 and result.image.shape == volume.image.shape
    assert course(volume, result) == pytest.approx(fractions(result), abs=0.03)


def test_references_of_a_pair_are_carried_over_to_further_phases() -> None:
    volume = series()
    reference = measure_reference(volume.image[:2])
    host = Host.of(volume, reference)
    assert host.reference.pair == reference
    for gain, low, high in zip(GAINS, host.reference.low[2:], host.reference.high[2:], strict=True):
        assert high - low == pytest.approx(gain * (reference.high[1] - reference.low[1]), rel=0.02)


def test_references_of_more_channels_than_there_are_are_refused() -> None:
    reference = measure_reference(series().image)
    with pytest.raises(SynBTError, match="are of 4 channels, the volume has 2.*reference.pair"):
        Host.of(series().pair, reference)


def test_an_order_of_time_that_there_is_not_is_refused() -> None:
    with pytest.raises(SynBTError, match="earlier is how many of the 2 further scans .*, got 3"):
        replace(series(), earlier=3)


def test_a_further_phase_without_signal_is_refused_by_its_number() -> None:
    image = series_image()
    image[3] = 7.0
    with pytest.raises(SynBTError, match="the further phase 2 channel is constant"):
        BreastVolume(image)
