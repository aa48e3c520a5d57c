"""The promises of the design, a group of tests a row.

They hold for any texture, so most are tested with one whose paint is known exactly; where networks
matter they are tiny and random. Trained weights have their own file.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import distance
from torch import Tensor

from analytic import (
    MM,
    NOISE,
    FlatTexture,
    axis_orders,
    breast,
    breast_image,
    diffusion_painter,
    digest,
    ellipsoid,
    examples,
    ground_of,
    paint_each,
    painter,
    positions_mm,
    reorder,
    seeded,
    small_bank,
    tiny_weights,
    with_image,
)
from synbt_aug.data.nifti import read_pair, write_painted
from synbt_aug.decide.decide import decide, plan_of_recipe
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import sphere_voxels
from synbt_aug.host import Host
from synbt_aug.injector import SynBTInjector
from synbt_aug.networks import VQVAE, VQVAESettings
from synbt_aug.paint.cut import Cut
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.hole import fill_hole
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob, TumorInpainter, join
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.shape import Raster, rasterized
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Synthesis

spacings = st.tuples(*[st.floats(0.5, 3.0)] * 3)
SMALL_MM = (44, 52, 48)
seeds = st.integers(0, 10_000)
DTYPES = [torch.uint8, torch.int16, torch.float16, torch.float32, torch.float64]


def of_type(volume: BreastVolume, dtype: torch.dtype) -> BreastVolume:
    image = volume.image if dtype.is_floating_point else volume.image.round()
    return with_image(volume, image.to(dtype))


def painted(results: Iterator[Synthesis]) -> Synthesis:
    """The first that was painted."""
    return next(r for r in results if r.painted)


def deep(spacing: tuple[float, float, float] = MM) -> Tensor:
    """Where a tumor may go in an analytic breast of which nothing else is to be known."""
    shape = breast(spacing).shape
    return ellipsoid(shape, (34, 36, 36), (12, 16, 16), spacing)


def gland_lump(spacing: tuple[float, float, float] = MM) -> Tensor:
    """A lopsided lump in the analytic breast's gland, about 15 mm long."""
    shape = breast(spacing).shape
    main = ellipsoid(shape, (36.3, 34.2, 37.6), (6, 5, 7), spacing)
    return main | ellipsoid(shape, (39.1, 37.8, 33.2), (4, 5, 4), spacing)


# ---------------------------------------------------------------------------------- background


def assert_background_is_kept(before: BreastVolume, result: Synthesis) -> None:
    assert result.painted, result.reason
    assert result.image.dtype == before.image.dtype
    outside = ~result.support
    assert torch.equal(result.image[:, outside], before.image[:, outside])
    assert bool((result.image != before.image).any())
    label, support = result.tumor.numpy(), result.support.numpy()
    assert label.any() and not (label & ~support).any()
    near = ndimage.distance_transform_edt(~label, sampling=before.spacing) <= 2 + 1e-4
    beside = ndimage.binary_dilation(label, np.ones((3, 3, 3)))
    assert not (support & ~near & ~beside).any()


@given(spacing=spacings, dtype=st.sampled_from(DTYPES), seed=seeds)
@examples(8)
def test_background_is_bitwise_the_input_at_any_spacing_and_type(
    spacing: tuple[float, float, float], dtype: torch.dtype, seed: int
) -> None:
    volume = of_type(BreastVolume(breast_image(spacing), spacing), dtype)
    mask = gland_lump(spacing)
    assert_background_is_kept(volume, painter()(volume, seed=seed, tumor_mask=mask))


@pytest.mark.parametrize("dtype", DTYPES)
def test_background_is_bitwise_the_input_around_a_placed_tumor(dtype: torch.dtype) -> None:
    volume = of_type(breast(), dtype)
    assert_background_is_kept(volume, painter()(volume, seed=3, diameter_mm=11.0))


def test_background_is_bitwise_the_input_with_the_diffusion_texture() -> None:
    tries = (diffusion_painter()(breast(), seed=k, diameter_mm=10.0) for k in range(20))
    assert_background_is_kept(breast(), painted(tries))


@pytest.mark.parametrize("dtype, most", [(torch.uint8, 255), (torch.int16, 32767)])
def test_integers_are_rounded_and_saturated_inside_the_support(
    dtype: torch.dtype, most: int
) -> None:
    volume = of_type(with_image(breast(), breast().image / 145 * most * 0.9), dtype)
    exact = of_type(volume, torch.float64)
    a, b = (
        painter(FlatTexture((0.5, 3.0)))(v, seed=2, tumor_mask=gland_lump())
        for v in (volume, exact)
    )
    wanted = b.image.round().clamp(torch.iinfo(dtype).min, most)
    assert (a.image.double() - wanted).abs().max() <= 1
    assert ((a.image.double() - wanted).abs() > 0).double().mean() < 1e-4
    assert bool((a.image[1][a.tumor] == most).any())


def test_stored_values_and_scaling_of_a_nifti_are_kept_outside_the_support(tmp_path: Path) -> None:
    paths = []
    for name, channel in zip(("pre", "post"), breast_image(), strict=True):
        stored = (channel * 4 - 100).round().to(torch.int16).permute(2, 1, 0).numpy()
        image = nib.Nifti1Image(stored, np.diag([0.9, 1.1, 1.3, 1.0]))
        image.header.set_slope_inter(0.25, 25.0)
        nib.save(image, tmp_path / f"{name}.nii.gz")
        paths.append(tmp_path / f"{name}.nii.gz")
    pair = read_pair(*paths)
    result = painter()(pair.volume, seed=1, tumor_mask=gland_lump())
    assert result.painted
    outside = ~result.support.numpy()
    for scan, path, values in zip((pair.pre, pair.post), paths, result.image, strict=True):
        out = nib.load(write_painted(tmp_path / f"new_{path.name}", scan, values, result.support))
        new, old = (np.asanyarray(f.dataobj.get_unscaled()).T for f in (out, nib.load(path)))
        assert new.dtype == np.int16 and np.array_equal(new[outside], old[outside])
        assert (out.dataobj.slope, out.dataobj.inter) == (0.25, 25.0)
        # Read back, what was painted is right to half a step of the file.
        inside = result.support.numpy()
        read = out.get_fdata().T
        assert np.abs(read[inside] - values.numpy()[inside]).max() <= 0.125 + 1e-3


# --------------------------------------------------------------------------------------- label


def test_the_label_is_where_the_blend_weighs_at_least_half() -> None:
    texture = FlatTexture((0.0, 1.5), grain=0.0)
    result = painter(texture)(breast(), seed=1, tumor_mask=gland_lump())
    reference = measure_reference(breast().image)
    full = 1.5 / 2 * (reference.high[1] - reference.low[1])
    weight = (result.image - breast().image)[1] / full
    assert bool((weight[result.tumor] >= 0.5 - 1e-3).all())
    assert bool((weight[~result.tumor] < 0.5 + 1e-3).all())
    # Whole from a millimetre inside on, and nothing a millimetre outside.
    depth = ndimage.distance_transform_edt(result.tumor.numpy())
    assert weight[torch.from_numpy(depth >= 3)].numpy() == pytest.approx(1.0, abs=1e-3)


def test_strands_are_not_labelled_where_a_change_is_added_to_the_host() -> None:
    strand = torch.zeros(breast().shape, dtype=torch.bool)
    strand[36:38, 36:38, 20:52] = True
    result = painter()(breast(), seed=1, tumor_mask=gland_lump() | strand)
    assert result.painted
    far = strand & ~ellipsoid(breast().shape, (36, 36, 36), (14, 14, 12))
    assert int(far.sum()) > 20
    assert not bool((result.tumor & far).any())


class InPlace(FlatTexture):
    """Takes the host's place, as the diffusion does."""

    replaces = True


def ragged(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    """A lump with a strand of 2 mm, teeth, notches and a nodule beside it."""
    x, y, z = positions_mm(breast(spacing).shape, spacing)
    mask = gland_lump(spacing)
    strand = ((x - 36).abs() <= 1) & ((y - 36).abs() <= 1) & ((z - 36).abs() <= 17)
    teeth = ((x - 36).abs() <= 12) & ((y - 36).abs() <= 1) & ((z - 36).abs() <= 3)
    notch = ((x - 36).abs() <= 1) & (y > 38) & ((z - 36).abs() <= 1)
    nodule = (x - 36) ** 2 + (y - 36) ** 2 + (z - 58) ** 2 <= 9
    return (mask | strand | teeth | nodule) & ~notch


def test_a_given_mask_is_the_label_strands_included() -> None:
    result = painter(InPlace())(breast(), seed=1, tumor_mask=ragged())
    assert result.painted, result.reason
    assert torch.equal(result.tumor, ragged())
    shown = (result.image - breast().image)[1] > 0.2
    beyond = result.tumor & ~gland_lump()
    assert int(beyond.sum()) > 150 and float(shown[beyond].float().mean()) > 0.9
    again = painter(InPlace()).replay(breast(), result.recipe)
    assert digest(again) == digest(result)


@given(spacing=spacings, seed=seeds)
@examples(8)
def test_a_given_mask_is_the_label_as_far_as_voxels_tell(
    spacing: tuple[float, float, float], seed: int
) -> None:
    volume, mask = BreastVolume(breast_image(spacing), spacing), ragged(spacing)
    result = painter(InPlace())(volume, seed=seed, tumor_mask=mask)
    assert result.painted, result.reason
    assert abs(int(result.tumor.sum()) / int(mask.sum()) - 1) < 0.06
    both = 2 * int((result.tumor & mask).sum()) / int(result.tumor.sum() + mask.sum())
    assert both > 0.8
    assert_background_is_kept(volume, result)


class Half(FlatTexture):
    """Paints one half of each tumor."""

    def __call__(self, job: PaintingJob) -> Tensor:
        shown = job.mask.clone()
        middle = int(shown.flatten(2).any(2)[0].nonzero().float().mean())
        shown[:, :middle] = False
        return super().__call__(replace(job, mask=shown))


def test_a_label_of_which_half_shows_is_redrawn_and_then_dropped() -> None:
    texture = Half((0.0, 3.0))
    result = painter(texture)(breast(), seed=1, diameter_mm=12.0)
    assert len(texture.batches) == 3
    assert not result.painted and not result.tumor.any()
    assert torch.equal(result.image, breast().image)
    # Nor does a wish for a certain contrast excuse it.
    wish = Appearance(enhancement=1.5)
    again = painter(texture)(breast(), seed=1, diameter_mm=12.0, appearance=wish)
    assert "not visible enough" in str(again.reason)


class Rim(FlatTexture):
    """Leaves the core of each tumor as dark as the tissue around."""

    def __call__(self, job: PaintingJob) -> Tensor:
        core = torch.from_numpy(ndimage.binary_erosion(job.mask[0].numpy(), iterations=3))
        return super().__call__(replace(job, mask=job.mask & ~core))


def test_a_necrotic_core_keeps_its_label() -> None:
    texture = Rim((0.0, 3.0))
    result = painter(texture)(breast(), seed=1, diameter_mm=16.0)
    assert len(texture.batches) == 1 and result.painted
    (measured,) = result.measured["tumors"]
    assert measured["visible_share"] >= 0.9
    assert measured["appearance"]["category"] == "rim"
    # The label is the whole tumor, core included.
    assert ndimage.binary_fill_holes(result.tumor.numpy()).sum() == int(result.tumor.sum())


def test_the_answer_for_a_dropped_tumor_is_the_host_as_it_was() -> None:
    faint = painter(FlatTexture((0.0, 0.01)))
    hosts = [Host.of(BreastVolume(breast_image(with_gland=False), roi=deep()))]
    (result,) = paint_each(faint, hosts, [Wish(diameter_mm=12.0)], [1])
    assert not result.painted and result.image is hosts[0].volume.image
    assert not result.tumor.any() and not result.support.any()


@pytest.mark.parametrize("asked", [False, True])
def test_a_contrast_below_the_noise_needs_to_be_asked_for(asked: bool) -> None:
    wish = Appearance(enhancement=0.0) if asked else Appearance()
    texture = FlatTexture((0.0, 0.01))
    even = BreastVolume(breast_image(with_gland=False), roi=deep())
    result = painter(texture)(even, seed=1, diameter_mm=12.0, appearance=wish)
    assert result.painted is asked
    assert bool(result.tumor.any()) is asked
    assert len(texture.batches) == (1 if asked else 3)


# --------------------------------------------------------------------------------------- scale


def scaled(volume: BreastVolume, scale: list[float], offset: list[float]) -> BreastVolume:
    factor, shift = (torch.tensor(v, dtype=torch.float64).view(2, 1, 1, 1) for v in (scale, offset))
    return with_image(volume, (volume.image.double() * factor + shift).float())


powers = st.tuples(*[st.integers(-15, 15)] * 2)


@given(power=powers, seed=seeds)
@examples(5)
def test_powers_of_two_come_through_bitwise(power: tuple[int, int], seed: int) -> None:
    factors = [2.0**k for k in power]
    volume = scaled(breast(), factors, [0.0, 0.0])
    plain, other = (painter()(v, seed=seed, diameter_mm=9.0) for v in (breast(), volume))
    assert plain.painted == other.painted
    assert torch.equal(plain.tumor, other.tumor)
    assert torch.equal(plain.image * torch.tensor(factors).view(2, 1, 1, 1), other.image)


def test_powers_of_two_come_through_bitwise_with_the_diffusion_texture() -> None:
    volume = scaled(breast(), [0.125, 64.0], [0.0, 0.0])
    for seed in range(2):
        plain, other = (
            diffusion_painter()(v, seed=seed, diameter_mm=9.0, appearance=Appearance(0.0))
            for v in (breast(), volume)
        )
        factors = torch.tensor([0.125, 64.0]).view(2, 1, 1, 1)
        assert torch.equal(plain.image * factors, other.image)


def assert_same_but_for_scale(
    make: Callable[[], TumorSynthesizer], scale: list[float], offset: list[float], **wish: Any
) -> None:
    volume = scaled(breast(), scale, offset)
    plain, other = (make()(v, **wish) for v in (breast(), volume))
    assert plain.painted and torch.equal(plain.tumor, other.tumor)
    factor, shift = (torch.tensor(v, dtype=torch.float64).view(2, 1, 1, 1) for v in (scale, offset))
    back = (other.image.double() - shift) / factor
    reference = measure_reference(breast().image)
    off = (back - plain.image.double()).abs() / reference.range(plain.image)
    assert (off[:, plain.support] < 1e-3).double().mean() >= 0.999


factors = st.tuples(*[st.floats(1e-3, 1e3)] * 2)
offsets = st.tuples(*[st.floats(-3.0, 3.0)] * 2)


@given(scale=factors, offset=offsets, seed=seeds)
@examples(5)
def test_an_affine_change_of_the_signal_changes_the_tumor_alike(
    scale: tuple[float, float], offset: tuple[float, float], seed: int
) -> None:
    # Offsets of up to 3 ranges: single floats hold no more of a scan far off zero.
    shift = [a * b * 260 for a, b in zip(scale, offset, strict=True)]
    assert_same_but_for_scale(painter, list(scale), shift, seed=seed, diameter_mm=9.0)


def test_an_affine_change_changes_the_tumor_alike_with_the_diffusion_texture() -> None:
    wish = {"seed": 1, "diameter_mm": 9.0, "appearance": Appearance(enhancement=0.0)}
    for scale, offset in (([0.37, 11.0], [0.0, 0.0]), ([3.3, 0.02], [500.0, -4.0])):
        assert_same_but_for_scale(diffusion_painter, scale, offset, **wish)


# ------------------------------------------------------------------------------------ geometry


@given(spacing=spacings, diameter=st.floats(6.0, 15.0), seed=seeds)
@examples(40)
def test_the_diameter_is_met_to_a_voxel_at_any_spacing(
    spacing: tuple[float, float, float], diameter: float, seed: int
) -> None:
    image = breast_image(spacing, extent_mm=SMALL_MM, with_gland=False)
    roi = ellipsoid(image.shape[1:], (22, 26, 24), (14, 18, 18), spacing)
    result = painter()(BreastVolume(image, spacing, roi=roi), seed=seed, diameter_mm=diameter)
    assert result.painted, result.reason
    # The shape is met to a voxel of its 1 mm window, and the label to one of the host.
    shape = sphere_voxels(diameter) / math.prod(spacing)
    assert abs(int(result.tumor.sum()) - shape) <= 1.5 + 1 / math.prod(spacing)
    (measured,) = result.measured["tumors"]
    volume_mm3 = int(result.tumor.sum()) * math.prod(spacing)
    assert measured["diameter_mm"] == pytest.approx((6 / math.pi * volume_mm3) ** (1 / 3))


def test_the_diameter_is_met_to_a_voxel_in_any_axis_order() -> None:
    image = breast_image(extent_mm=SMALL_MM)
    # All 48 are painted below, in a given shape; these cover each permutation and each flip.
    for seed, (order, flip) in enumerate(axis_orders()[::3]):
        volume = BreastVolume(reorder(image, order, flip))
        result = painter()(volume, seed=seed, diameter_mm=8.0)
        assert result.painted, (order, flip, result.reason)
        assert int(result.tumor.sum()) == sphere_voxels(8.0)
        assert torch.equal(result.image[:, ~result.support], volume.image[:, ~result.support])


def test_a_given_shape_is_painted_alike_in_all_48_axis_orders() -> None:
    texture = FlatTexture((0.3, 1.5), grain=0.0)
    image = breast_image(extent_mm=SMALL_MM)
    # The axis order decides which of two voxels of equal depth, within 3 um, is in.
    mask = ellipsoid(image.shape[1:], (28.2, 25.6, 24.3), (6.4, 5.1, 4.3))
    mask |= ellipsoid(image.shape[1:], (30.6, 28.3, 21.8), (4.2, 3.9, 4.6))
    straight = painter(texture)(BreastVolume(image), seed=0, tumor_mask=mask)
    assert straight.painted
    for order, flip in axis_orders():
        turned = BreastVolume(reorder(image, order, flip))
        result = painter(texture)(turned, seed=0, tumor_mask=reorder(mask, order, flip))
        expected = reorder(straight.image, order, flip)
        assert int(result.tumor.sum()) == int(mask.sum())
        assert (result.tumor != reorder(straight.tumor, order, flip)).sum() <= 8
        # 1 is a hundredth of the contrast painted here.
        assert ((result.image - expected).abs().amax(0) > 1.0).sum() <= 8


def test_the_longest_diameter_is_reported() -> None:
    rod = ellipsoid(breast().shape, (36, 36, 36), (4, 4, 12))
    result = painter()(breast(), seed=0, tumor_mask=rod)
    (measured,) = result.measured["tumors"]
    apart = distance.pdist(result.tumor.nonzero().numpy()).max()
    assert measured["longest_mm"] == pytest.approx(apart + 1, rel=0.006)
    assert 20 < measured["longest_mm"] < 26
    # A sphere of 4 * 4 * 12 mm^3: twice the cube root.
    assert measured["diameter_mm"] == pytest.approx(2 * 192 ** (1 / 3), abs=0.3)


def test_six_millimetres_is_the_least() -> None:
    result = painter()(breast(), seed=0, diameter_mm=6.0)
    assert result.painted and int(result.tumor.sum()) == sphere_voxels(6.0) == 113
    with pytest.raises(SynBTError, match="diameter_mm needs a number from 6 to 90, got 5.99"):
        painter()(breast(), seed=0, diameter_mm=5.99)


# -------------------------------------------------------------------------------------- replay


def test_a_recipe_is_json_with_all_that_a_tumor_depends_on() -> None:
    result = painted(diffusion_painter()(breast(), seed=k, diameter_mm=9.0) for k in range(20))
    recipe = json.loads(json.dumps(result.recipe))
    assert recipe == result.recipe
    (tumor,) = recipe["tumors"]
    # seed, weights hash, bank hash, texture, sampler, steps, guidance, precision, references,
    # spacing, version; site, pose with template, appearance, window.
    assert {"seed", "weights", "bank", "texture", "reference", "spacing", "synbt_aug"} <= set(
        recipe
    )
    assert {"name", "sampler", "steps", "guidance", "precision"} <= set(recipe["texture"])
    assert {"site", "pose", "appearance", "window_mm", "noise_seed", "diameter_mm"} <= set(tumor)
    assert set(tumor["pose"]) == {
        "template", "quaternion", "flip", "elastic_mm", "elastic_seed",
    }  # fmt: skip


@given(seed=seeds, diameter=st.floats(6.0, 14.0), spacing=st.sampled_from([MM, (0.8, 1.2, 2.0)]))
@examples(6)
def test_a_replay_gives_the_same_voxels(
    seed: int, diameter: float, spacing: tuple[float, float, float]
) -> None:
    first = painter()(breast(spacing), seed=seed, diameter_mm=diameter)
    if first.painted:
        recipe = json.loads(json.dumps(first.recipe))
        assert digest(painter().replay(breast(spacing), recipe)) == digest(first)


def test_a_replay_with_the_diffusion_texture_gives_the_same_voxels() -> None:
    first = painted(diffusion_painter()(breast(), seed=k, diameter_mm=9.0) for k in range(20))
    recipe = json.loads(json.dumps(first.recipe))
    assert digest(diffusion_painter().replay(breast(), recipe)) == digest(first)


def test_another_process_gives_the_same_voxels(tmp_path: Path) -> None:
    first = painted(diffusion_painter()(breast(), seed=k, diameter_mm=9.0) for k in range(20))
    (tmp_path / "recipe.json").write_text(json.dumps(first.recipe))
    code = (
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from analytic import breast, diffusion_painter, digest\n"
        "recipe = json.load(open(sys.argv[1]))\n"
        "print(digest(diffusion_painter().replay(breast(), recipe)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment["PYTHONHASHSEED"] = "123"
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "recipe.json")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env=environment,
    )
    assert there.stdout.split()[-1] == digest(first)


def test_site_pose_mask_and_noise_do_not_depend_on_threads() -> None:
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            wish = Wish(diameter_mm=13.0)
            host = Host.of(breast())
            result = decide(ground_of(host), wish, small_bank(), 2.0, seeded(5))
            assert not isinstance(result, str)
            found.append(
                (
                    result.recipe,
                    result.distance <= 0,
                    Cut.of([host], [result]).job(2.0).noise(8, (16, 16, 16)),
                )
            )
    finally:
        torch.set_num_threads(threads)
    (recipe, mask, noise), (other, mask_there, noise_there) = found
    assert recipe == other
    assert torch.equal(mask, mask_there) and torch.equal(noise, noise_there)


# ---------------------------------------------------------------------------------- null paint


def test_painting_nothing_leaves_the_mean_of_the_tissue_within_its_noise() -> None:
    texture = FlatTexture((0.3, 1.5))
    for seed in range(3):
        result = painter(texture)(breast(), seed=seed, kind="null", diameter_mm=14.0)
        assert result.painted and not result.tumor.any()
        change = (result.image - breast().image)[:, result.support].mean(1)
        assert change.abs().max() < NOISE
        # The same place with a tumor asked for changes by far more.
        (recipe,) = (result.recipe or {})["tumors"]
        thing = replace(TumorRecipe.from_dict(recipe, MM), kind="tumor")
        host = Host.of(breast())
        window = Cut.of([host], [plan_of_recipe(ground_of(host), thing, small_bank(), 2.0)])
        assert texture(window.job(2.0))[0, 1].max() > window.linear[0, 1].max() + 1


def test_nothing_is_asked_of_the_network_where_nothing_is_painted() -> None:
    seen: list[PaintingJob] = []

    class Watching(FlatTexture):
        def __call__(self, job: PaintingJob) -> Tensor:
            seen.append(job)
            return super().__call__(job)

    wish = Appearance(enhancement=2.0, category="rim")
    painter(Watching())(breast(), seed=1, kind="null", diameter_mm=12.0, appearance=wish)
    (job,) = seen
    assert not job.mask.any() and bool(job.hole.any())
    assert not job.appearance_inputs()[1].any()


# ------------------------------------------------------------------------------- nowhere to go


def nowhere() -> dict[str, tuple[BreastVolume, str]]:
    everywhere = torch.ones(breast().shape, dtype=torch.bool)
    air = (torch.randn((2, *breast().shape), generator=seeded()) * NOISE).abs()
    slab = air.clone()
    slab[:, 48:] += 100
    fringe = positions_mm(breast().shape)[0] > 12
    fat, crop = breast_image(with_gland=False), breast().image[:, 30:50, 26:46, 26:46]
    taken = "existing tumors and forbidden places leave no room"
    return {
        "a case full of tumors": (replace(breast(), tumor=everywhere), taken),
        "a case that is forbidden": (replace(breast(), forbidden=everywhere), taken),
        "a body without a breast": (BreastVolume(slab), "no breast is in view"),
        "a breast of only fat": (BreastVolume(fat), "the breast in view has no fibroglandular"),
        "a breast without signal": (
            replace(breast(), valid=~fringe),
            "the breast in view has no fibroglandular",
        ),
        "nothing but skin left free": (replace(breast(), forbidden=fringe), taken),
        "20 mm": (BreastVolume(crop), "the volume is only 20 x 20 x 20 mm"),
    }


@pytest.mark.parametrize("case", nowhere())
@pytest.mark.parametrize("kind", ["tumor", "null"])
def test_nowhere_to_go_is_the_case_unchanged_with_a_reason(case: str, kind: str) -> None:
    volume, reason = nowhere()[case]
    texture = FlatTexture()
    result = painter(texture)(volume, seed=0, kind=kind)
    assert not result.painted and result.recipe is None
    assert str(result.reason).startswith(f"no site: {reason}")
    assert result.image is volume.image
    assert not result.tumor.any() and not result.support.any()
    assert texture.batches == []


def test_a_window_full_of_tumor_is_unchanged_with_a_reason() -> None:
    volume = replace(breast(), tumor=torch.ones(breast().shape, dtype=torch.bool))
    result = painter()(volume, seed=0, tumor_mask=gland_lump())
    assert result.reason == "no free voxel is left under the tumor"
    assert result.image is volume.image


def test_retries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"shapes": 0}

    def count(*args: Any) -> Raster | None:
        counts["shapes"] += 1
        return rasterized(*args)

    monkeypatch.setattr("synbt_aug.tumor.placement.rasterized", count)
    painter()(breast(), seed=0)
    assert 1 <= counts["shapes"] <= 5
    counts["shapes"] = 0
    assert not painter()(breast(), seed=0, diameter_mm=45.0).painted
    assert counts["shapes"] <= 8
    texture = FlatTexture((0.0, 0.0))
    even = BreastVolume(breast_image(with_gland=False), roi=deep())
    assert not painter(texture)(even, seed=0, diameter_mm=9.0).painted
    assert len(texture.batches) == 3


@given(
    shape=st.tuples(*[st.integers(2, 24)] * 3),
    level=st.floats(0, 200),
    noise=st.floats(0.1, 100),
    seed=seeds,
    spacing=spacings,
)
@examples(12)
def test_whatever_comes_is_painted_or_told_why_not(
    shape: tuple[int, int, int],
    level: float,
    noise: float,
    seed: int,
    spacing: tuple[float, float, float],
) -> None:
    image = level + noise * torch.randn((1, 2, *shape), generator=seeded(seed))
    settings = InjectionSettings(probability=1.0)
    injector = SynBTInjector(settings, painter(FlatTexture((0.0, 30.0))))
    injected = injector(image, torch.zeros(1, 1, *shape), spacing, generator=seeded(seed))
    assert sum(injector.counts.values()) == 1
    # Not by catching what went wrong: that would cost the sample its tumor in silence.
    assert not any("error" in name for name in injector.counts)
    (result,) = injected.results
    if result is not None and result.painted:
        outside = ~result.support
        assert torch.equal(injected.images[0][:, outside], image[0][:, outside])
    else:
        assert torch.equal(injected.images, image)


# ----------------------------------------------------------------------------- no side effects


def global_state() -> list[Any]:
    return [
        hashlib.sha256(torch.random.get_rng_state().numpy().tobytes()).hexdigest(),
        hashlib.sha256(repr(np.random.get_state()).encode()).hexdigest(),  # noqa: NPY002
        random.getstate(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        np.geterr(),
        dict(os.environ),
    ]


def everything_at_once() -> None:
    """Painting, removal, replay and a batch, with the real texture."""
    synthesizer = diffusion_painter(steps=1)
    wish = Appearance(enhancement=0.0)
    result = synthesizer(breast(), seed=1, diameter_mm=8.0, appearance=wish)
    assert result.painted
    synthesizer.replay(breast(), result.recipe or {})
    synthesizer.remove(breast(), gland_lump(), seed=1)
    injector = SynBTInjector(InjectionSettings(probability=1.0, diameter_mm=8.0), synthesizer)
    shape = breast().shape
    injector(breast().image[None], torch.zeros(1, 1, *shape), generator=seeded())


def test_no_global_state_is_moved() -> None:
    before = global_state()
    everything_at_once()
    assert global_state() == before


def test_results_do_not_depend_on_global_state() -> None:
    first = painter()(breast(), seed=1, diameter_mm=9.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        second = painter()(breast(), seed=1, diameter_mm=9.0)
    assert digest(first) == digest(second)


def test_the_network_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", never)
    monkeypatch.setattr(socket, "create_connection", never)
    everything_at_once()


def test_inputs_are_untouched() -> None:
    mask = gland_lump()
    volume = BreastVolume(
        breast_image(), tumor=mask, forbidden=mask & False, valid=torch.ones_like(mask)
    )
    given = [volume.image, volume.tumor, volume.forbidden, volume.valid, mask]
    before = [t.clone() for t in given if t is not None]
    generator = seeded(3)
    painter()(volume, seed=1, diameter_mm=8.0)
    painter().remove(volume, mask, seed=1)
    images, labels = volume.image[None], mask[None, None].to(torch.uint8)
    SynBTInjector(InjectionSettings(probability=1.0), painter())(
        images, labels, generator=generator
    )
    assert all(torch.equal(a, b) for a, b in zip(before, given, strict=True) if b is not None)
    assert torch.equal(labels[0, 0], mask.to(torch.uint8))


FORBIDDEN_CALLS = {
    "torch.manual_seed",
    "torch.seed",
    "torch.random.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.set_default_dtype",
    "torch.set_default_device",
    "torch.set_grad_enabled",
    "torch.use_deterministic_algorithms",
    "torch.set_float32_matmul_precision",
    "np.random.seed",
    "numpy.random.seed",
    "np.seterr",
    "random.seed",
    "torch.load",
    "pickle.load",
    "pickle.loads",
}


def test_no_line_of_the_package_seeds_or_sets_anything_global() -> None:
    import synbt_aug

    found = []
    for file in Path(synbt_aug.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
                line = ast.unparse(node)
                if not (line.startswith("torch.load(") and "weights_only=True" in line):
                    found.append(f"{file.name}:{node.lineno} {line}")
    assert found == []


# -------------------------------------------------------------------------------------- window


@pytest.fixture(scope="module")
def codec() -> VQVAE:
    """The default shape, on which the reach of the decoder depends, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return VQVAE(VQVAESettings(codebook_size=64)).eval()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_decoded_latent_box_is_the_crop_of_the_whole(codec: VQVAE, axis: int) -> None:
    sides = [6, 6, 6]
    sides[axis] = 26
    box = [(1, 4), (2, 5), (1, 5)]
    box[axis] = (11, 14)
    codes = torch.randint(64, (1, *sides), generator=seeded(axis))
    z = codec.codebook.lookup(codes)
    with torch.no_grad():
        whole = codec.decode(z)
        part = codec.decode_window(z, tuple(box))  # type: ignore[arg-type]
        wide = [slice(lo - 1, hi + 1) for lo, hi in box]
        alone = codec.decode(z[:, :, wide[0], wide[1], wide[2]])[..., 4:-4, 4:-4, 4:-4]
    d, h, w = (slice(4 * a, 4 * b) for a, b in box)
    crop = whole[:, :, d, h, w]
    assert (part - crop).abs().max() < 1e-5
    # What lies around it shows: the test can fail.
    assert (alone - crop).abs().max() > 1e-4


# --------------------------------------------------------------------------------------- batch


def jobs(count: int = 3) -> list[PaintingJob]:
    found = []
    for k in range(count):
        look = Appearance(enhancement=0.2 * k, category="mass")
        wish = Wish(diameter_mm=8.0 + 2 * k, appearance=look)
        host = Host.of(breast(seed=k))
        plan = decide(ground_of(host), wish, small_bank(), 2.0, seeded(k))
        assert not isinstance(plan, str)
        found.append(Cut.of([host], [plan]).job(2.0))
    return found


def test_latents_and_codes_of_a_batch_are_those_of_its_members() -> None:
    texture = diffusion_painter(steps=4, guidance=1.5).texture
    assert isinstance(texture, TumorInpainter)
    codec = tiny_weights().autoencoder

    def latents(job: PaintingJob) -> Tensor:
        with torch.no_grad():
            return texture.sample(job, codec.encode(fill_hole(job.q, job.hole, job.known)))

    alone = torch.cat([latents(job) for job in jobs()])
    together = latents(join(jobs()))
    assert (alone - together).abs().max() <= 1e-4 * alone.abs().max().clamp_min(1)
    codes, other = (codec.quantize(z)[1] for z in (alone, together))
    assert codes.unique().numel() > 10
    assert (codes == other).float().mean() >= 0.999


@pytest.mark.parametrize("make", [painter, diffusion_painter])
def test_several_cases_at_once_are_painted_as_one_by_one(
    make: Callable[[], TumorSynthesizer],
) -> None:
    hosts = [Host.of(breast(seed=k)) for k in range(3)]
    wishes = [Wish(diameter_mm=8.0 + k, appearance=Appearance(enhancement=0.0)) for k in range(3)]
    together = paint_each(make(), hosts, wishes, range(3))
    for k, (host, wish) in enumerate(zip(hosts, wishes, strict=True)):
        (alone,) = paint_each(make(), [host], [wish], [k])
        assert alone.painted and torch.equal(alone.tumor, together[k].tumor)
        span = host.reference.range(alone.image)
        off = ((alone.image - together[k].image).abs() / span)[:, alone.support]
        assert (off < 1e-3).float().mean() >= 0.999


def test_the_noise_of_a_tumor_is_its_own() -> None:
    single = jobs(2)
    together = join(single)
    assert torch.equal(
        together.noise(8, (16, 16, 16)), torch.cat([j.noise(8, (16, 16, 16)) for j in single])
    )


# ---------------------------------------------------------------------------------- a real scan


@pytest.fixture(scope="module")
def real_volume(real_case: Path) -> BreastVolume:
    """The real case at 1 mm, with the mask that says about where its tumor is."""
    (folder,) = (real_case / "images").iterdir()
    scans = [folder / f"{folder.name.lower()}_000{k}.nii.gz" for k in (0, 1)]
    (mask,) = (real_case / "segmentations").rglob("*.nii.gz")
    return read_pair(*scans, existing=mask).volume


@pytest.mark.parametrize("seed", (0, 1, 3))
def test_on_a_real_scan_a_tumor_of_20_mm_is_added_and_nothing_else(
    real_volume: BreastVolume, seed: int
) -> None:
    result = painter()(real_volume, seed=seed, diameter_mm=20.0)
    assert_background_is_kept(real_volume, result)
    (measured,) = result.measured["tumors"]
    assert measured["diameter_mm"] == pytest.approx(20.0, abs=1.0)
    real = real_volume.tumor
    assert real is not None and bool(real.any())
    assert torch.equal(result.image[:, real], real_volume.image[:, real])
    assert not bool((result.support & real).any())


def test_on_a_real_scan_what_would_not_show_is_refused_and_the_scan_stays(
    real_volume: BreastVolume,
) -> None:
    # Of seed 2 the stand-in, which lifts no edge, shows 89 % of a label.
    result = painter()(real_volume, seed=2, diameter_mm=20.0)
    assert not result.painted and result.reason is not None
    assert "89% of the label shows" in result.reason
    assert torch.equal(result.image, real_volume.image)


def test_on_a_real_scan_a_recipe_gives_the_same_voxels(real_volume: BreastVolume) -> None:
    first = painter()(real_volume, seed=1, diameter_mm=20.0)
    recipe = json.loads(json.dumps(first.recipe))
    assert digest(painter().replay(real_volume, recipe)) == digest(first)


def test_on_a_real_scan_the_signal_s_scale_comes_through(real_volume: BreastVolume) -> None:
    assert real_volume.tumor is not None
    factors = torch.tensor([0.25, 8.0]).view(2, 1, 1, 1)
    # In floating point: in the file's own integers what is painted is rounded.
    image = real_volume.image.float()
    volumes = (with_image(real_volume, image * scale) for scale in (1.0, factors))
    a, b = (painter()(volume, seed=4, diameter_mm=16.0) for volume in volumes)
    assert a.painted and torch.equal(a.image * factors, b.image)


def test_on_a_real_scan_tumors_go_onto_tissue(real_volume: BreastVolume) -> None:
    for seed in range(3):
        result = painter()(real_volume, seed=10 + seed, diameter_mm=14.0)
        assert result.painted
        reference = measure_reference(real_volume.image)
        tissue = reference.low[0] + 0.1 * (reference.high[0] - reference.low[0])
        under = real_volume.image[0][result.tumor]
        assert (under > tissue).float().mean() > 0.9
