"""What every texture promises, asked of all three: small, each case painted once or twice."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from analytic import (
    NOISE,
    breast,
    copy_paste_painter,
    diffusion_painter,
    digest,
    ellipsoid,
    paint_each,
    painter,
    seeded,
    syntumor_painter,
    tiny_weights,
    voxel_bank,
    with_image,
)
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TEXTURES
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Synthesis

Make = Callable[[], TumorSynthesizer]
MAKERS: dict[str, Make] = {
    "diffusion": diffusion_painter,
    "syntumor": syntumor_painter,
    "copy_paste": copy_paste_painter,
}
WISH = Appearance(enhancement=1.0)


@pytest.fixture(params=TEXTURES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(name: str) -> Make:
    return MAKERS[name]


def lump() -> Tensor:
    """A lopsided lump in the analytic breast's gland, about 15 mm long."""
    shape = breast().shape
    main = ellipsoid(shape, (36.3, 34.2, 37.6), (6, 5, 7))
    return main | ellipsoid(shape, (39.1, 37.8, 33.2), (4, 5, 4))


@lru_cache(maxsize=8)
def first(name: str) -> Synthesis:
    """A tumor in the analytic breast, asked to be bright so that it is not redrawn."""
    return MAKERS[name]()(breast(), seed=1, tumor_mask=lump(), appearance=WISH)


def test_outside_the_support_every_voxel_is_bitwise_the_input(name: str) -> None:
    result, before = first(name), breast()
    assert result.painted, result.reason
    outside = ~result.support
    assert torch.equal(result.image[:, outside], before.image[:, outside])
    assert bool((result.image != before.image).any())
    far = ndimage.distance_transform_edt(~result.tumor.numpy()) > 2 + 1e-4
    assert not (far & result.support.numpy()).any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float64])
def test_the_type_is_kept(make: Make, dtype: torch.dtype) -> None:
    volume = with_image(breast(), breast().image.round().clamp(0, 255).to(dtype))
    result = make()(volume, seed=1, tumor_mask=lump(), appearance=WISH)
    assert result.painted and result.image.dtype == dtype
    assert torch.equal(result.image[:, ~result.support], volume.image[:, ~result.support])


def test_the_label_has_the_shape_s_volume_and_is_seen(name: str) -> None:
    result = first(name)
    assert int(result.tumor.sum()) == int(lump().sum())
    (measured,) = result.measured["tumors"]
    assert measured["visible_share"] >= 0.9 and measured["contrast_to_noise"] > 1.5


def test_scale_and_offset_of_the_signal_come_through(name: str, make: Make) -> None:
    plain = first(name)
    factor, shift = (torch.tensor(v).view(2, 1, 1, 1) for v in ((0.37, 11.0), (40.0, -300.0)))
    image = (breast().image.double() * factor + shift).float()
    other = make()(with_image(breast(), image), seed=1, tumor_mask=lump(), appearance=WISH)
    assert torch.equal(plain.tumor, other.tumor)
    back = (other.image.double() - shift) / factor
    off = (back - plain.image.double()).abs() / measure_reference(breast().image).range(plain.image)
    assert (off[:, plain.support] < 1e-3).double().mean() >= 0.999


def test_powers_of_two_come_through_bitwise(name: str, make: Make) -> None:
    factors = torch.tensor([0.125, 64.0]).view(2, 1, 1, 1)
    other = make()(
        with_image(breast(), breast().image * factors), seed=1, tumor_mask=lump(), appearance=WISH
    )
    assert torch.equal(first(name).image * factors, other.image)


def test_a_recipe_is_json_names_its_texture_and_paints_the_same(name: str, make: Make) -> None:
    recipe = json.loads(json.dumps(first(name).recipe))
    assert recipe["texture"]["name"] == name
    assert digest(make().replay(breast(), recipe)) == digest(first(name))


def test_a_placed_tumor_replays_too(make: Make) -> None:
    results = (make()(breast(), seed=k, diameter_mm=11.0, appearance=WISH) for k in range(20))
    result = next(r for r in results if r.painted)
    recipe = json.loads(json.dumps(result.recipe))
    assert digest(make().replay(breast(), recipe)) == digest(result)


@pytest.mark.parametrize("other", TEXTURES)
def test_a_recipe_of_another_texture_is_refused(name: str, other: str) -> None:
    if other == name:
        return
    with pytest.raises(SynBTError, match="with (texture settings|another tumor bank)"):
        MAKERS[other]().replay(breast(), first(name).recipe or {})


def test_another_seed_paints_another_tumor_of_the_same_shape(name: str, make: Make) -> None:
    other = make()(breast(), seed=2, tumor_mask=lump(), appearance=WISH)
    assert torch.equal(other.tumor, first(name).tumor)
    # What is pasted is the bank's: it is the same whatever the seed.
    assert torch.equal(other.image, first(name).image) is (name == "copy_paste")


@pytest.mark.parametrize("name", ["syntumor", "copy_paste"])
def test_rules_have_nothing_to_paint_where_there_is_no_tumor_and_say_so(name: str) -> None:
    result = MAKERS[name]()(breast(), seed=1, kind="null", diameter_mm=14.0)
    assert not result.painted and result.image is breast().image
    assert str(result.reason).startswith("nothing changed: ")


def test_a_removal_closes_the_hole(name: str) -> None:
    if name == "diffusion":
        pytest.skip("random networks paint noise; trained ones are asked in test_shipped_weights")
    bright = painter()(breast(), seed=1, tumor_mask=lump())
    volume = replace(with_image(breast(), bright.image), tumor=bright.tumor)
    result = MAKERS[name]().remove(volume, bright.tumor, seed=1)
    assert result.painted and not bool(result.tumor.any())
    left = (result.image - breast().image)[:, bright.tumor].mean(1).abs()
    was = (bright.image - breast().image)[1][bright.tumor].mean()
    assert was > 20 * NOISE and bool((left < NOISE).all())
    # Not a smooth spot: the tissue's own grain is there.
    grain = result.image[1] - torch.from_numpy(ndimage.gaussian_filter(result.image[1].numpy(), 1))
    assert grain[bright.tumor].std() > 0.5 * NOISE


def test_several_cases_at_once_are_painted_as_one_by_one(name: str, make: Make) -> None:
    hosts = [Host.of(breast(seed=k)) for k in range(3)]
    wishes = [Wish(appearance=WISH, mask=lump()) for _ in range(3)]
    together = paint_each(make(), hosts, wishes, range(3))
    for k, (host, wish) in enumerate(zip(hosts, wishes, strict=True)):
        (alone,) = paint_each(make(), [host], [wish], [k])
        assert alone.painted and torch.equal(alone.tumor, together[k].tumor)
        if name == "diffusion":
            off = (alone.image - together[k].image).abs() / host.reference.range(alone.image)
            assert (off[:, alone.support] < 1e-3).float().mean() >= 0.999
        else:
            assert torch.equal(alone.image, together[k].image)


def global_state() -> list[Any]:
    return [
        hashlib.sha256(torch.random.get_rng_state().numpy().tobytes()).hexdigest(),
        hashlib.sha256(repr(np.random.get_state()).encode()).hexdigest(),  # noqa: NPY002
        random.getstate(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    ]


def test_nothing_global_moves_and_inputs_stay_as_they_are(make: Make) -> None:
    before, mask = global_state(), lump()
    volume = BreastVolume(breast().image.clone())
    result = make()(volume, seed=1, tumor_mask=mask, appearance=WISH)
    make().replay(volume, result.recipe or {})
    make().remove(volume, mask, seed=1)
    assert global_state() == before
    assert torch.equal(volume.image, breast().image) and torch.equal(mask, lump())


def test_results_do_not_depend_on_the_global_generator(name: str, make: Make) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        again = make()(breast(), seed=1, tumor_mask=lump(), appearance=WISH)
    assert digest(again) == digest(first(name))


def test_an_injector_paints_with_each_and_changes_the_support_alone(name: str, make: Make) -> None:
    settings = InjectionSettings(probability=1.0, diameter_mm=9.0, texture=name, enhancement=1.0)
    injector = SynBTInjector(settings, make())
    images, labels = breast().image[None], torch.zeros(1, 1, *breast().shape)
    injected = injector(images, labels, generator=seeded(3))
    (result,) = injected.results
    assert result is not None and not any("error" in reason for reason in injector.counts)
    outside = ~result.support
    assert torch.equal(injected.images[0][:, outside], images[0][:, outside])
    assert torch.equal(injected.labels[0, 0] > 0, result.tumor)


# -------------------------------------------------------------------------------------- choice


def test_a_texture_that_is_not_there_is_told() -> None:
    with pytest.raises(SynBTError, match="texture needs one of 'diffusion', 'syntumor', 'copy_"):
        TumorSynthesizer(tiny_weights(), texture="crayon")
    with pytest.raises(SynBTError, match="'copy_paste', got 'crayon'"):
        InjectionSettings(texture="crayon")


def test_pasting_from_a_bank_of_shapes_is_refused_at_once() -> None:
    with pytest.raises(SynBTError, match="the bank 'shipped' holds shapes only.*synbt bank build"):
        TumorSynthesizer(tiny_weights(), texture="copy_paste")


def test_a_given_shape_takes_the_tumor_nearest_in_size_and_the_recipe_says_which() -> None:
    (tumor,) = (first("copy_paste").recipe or {})["tumors"]
    sizes = [int(t.mask.sum()) for t in voxel_bank().templates]
    ratio = [max(s / int(lump().sum()), int(lump().sum()) / s) for s in sizes]
    assert tumor["voxels_of"] == ratio.index(min(ratio))
    beyond = json.loads(json.dumps(first("copy_paste").recipe))
    beyond["tumors"][0]["voxels_of"] = len(sizes)
    with pytest.raises(SynBTError, match=f"needs template {len(sizes)}, the bank has {len(sizes)}"):
        copy_paste_painter().replay(breast(), beyond)
