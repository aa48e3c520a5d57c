"""Distractors in every host: painted, never labelled, never under a later tumor, replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from analytic import (
    FlatTexture,
    breast,
    copy_paste_painter,
    diffusion_painter,
    digest,
    ellipsoid,
    painter,
    seeded,
    syntumor_painter,
)
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.appearance import Appearance

MAKERS = [painter, diffusion_painter, syntumor_painter, copy_paste_painter]


@pytest.mark.parametrize("make", MAKERS)
def test_a_distractor_changes_its_support_alone_and_no_label(
    make: Callable[[], TumorSynthesizer],
) -> None:
    result = make()(breast(), seed=3, kind="distractor")
    assert result.painted and not bool(result.tumor.any()), result.reason
    outside = ~result.support
    assert torch.equal(result.image[:, outside], breast().image[:, outside])
    assert bool((result.image != breast().image).any())
    (thing,) = (result.recipe or {})["tumors"]
    assert thing["kind"] == "distractor" and thing["distractor"]["shape"] in (
        "mass",
        "node",
        "vessel",
    )


def test_whatever_paints_the_tumors_the_distractor_is_the_same() -> None:
    flat, analytic = (make()(breast(), seed=3, kind="distractor") for make in MAKERS[::2])
    assert torch.equal(flat.image, analytic.image)


@pytest.mark.parametrize("make", MAKERS)
def test_a_recipe_with_distractors_paints_the_same(make: Callable[[], TumorSynthesizer]) -> None:
    bright = Appearance(enhancement=1.0)
    for seed in range(8):
        first = make()(breast(), seed=seed, diameter_mm=7.0, appearance=bright, distractors=2)
        if len((first.recipe or {}).get("tumors", ())) == 3:
            break
    recipe = json.loads(json.dumps(first.recipe))
    assert [t["kind"] for t in recipe["tumors"]] == ["tumor", "distractor", "distractor"]
    assert digest(make().replay(breast(), recipe)) == digest(first)


def test_tumors_are_painted_as_they_would_be_without() -> None:
    for seed in range(3):
        plain, more = (
            painter()(breast(), seed=seed, diameter_mm=9.0, distractors=n) for n in (0, 3)
        )
        assert plain.painted and torch.equal(plain.tumor, more.tumor)
        assert torch.equal(plain.image[:, plain.support], more.image[:, plain.support])
        assert plain.measured["tumors"] == more.measured["tumors"]


def test_distractors_keep_off_tumors_and_tumors_off_distractors() -> None:
    volume = breast()
    taken = replace(volume, tumor=ellipsoid(volume.shape, (36, 36, 36), (6, 6, 6)))
    for seed in range(6):
        result = painter()(taken, seed=seed, kind="distractor")
        assert not result.painted or not bool((result.support & taken.tumor).any())
    first = painter()(volume, seed=3, kind="distractor")
    after = replace(volume, image=first.image, forbidden=first.support)
    for seed in range(6):
        tumor = painter()(after, seed=seed, diameter_mm=8.0)
        assert not bool((tumor.support & first.support).any())


def test_a_recipe_without_its_distractor_is_refused() -> None:
    recipe = json.loads(json.dumps((painter()(breast(), seed=3, kind="distractor")).recipe))
    recipe["tumors"][0]["distractor"]["shape"] = "cube"
    with pytest.raises(SynBTError, match="cannot be read .ValueError: no distractor of shape 'cub"):
        painter().replay(breast(), recipe)


def test_no_distractor_comes_alone_where_no_tumor_can_be_painted() -> None:
    faint = painter(FlatTexture((0.0, 0.001)))
    result = faint(breast(), seed=1, diameter_mm=9.0, distractors=2)
    assert not result.painted and "not visible enough" in str(result.reason)


def test_an_injector_counts_them_and_labels_none() -> None:
    settings = InjectionSettings(probability=1.0, diameter_mm=8.0, distractors=1.0)
    injector = SynBTInjector(settings, painter())
    images = torch.stack([breast(seed=k).image for k in range(2)])
    labels = torch.zeros(2, 1, *breast().shape)
    injected = injector(images, labels, generator=seeded(3))
    plain = SynBTInjector(replace(settings, distractors=0.0), painter())(
        images, labels, generator=seeded(3)
    )
    assert injector.counts["injected"] == 2 and injector.counts["distractor"] >= 1
    assert torch.equal(injected.labels, plain.labels)
    assert not torch.equal(injected.images, plain.images)
    replayed = SynBTInjector(settings, painter()).replay(
        images, labels, [r.recipe for r in injected.results if r is not None]
    )
    assert torch.equal(replayed.images, injected.images)
    assert torch.equal(replayed.labels, injected.labels)


def test_null_paints_take_distractors_too() -> None:
    settings = InjectionSettings(probability=1.0, null_paint=1.0, diameter_mm=8.0, distractors=1.0)
    injector = SynBTInjector(settings, painter())
    images, labels = breast().image[None], torch.zeros(1, 1, *breast().shape)
    injected = injector(images, labels, generator=seeded(3))
    assert injector.counts == {"null": 1, "distractor": 1}
    assert not bool(injected.labels.any())


def test_their_number_has_limits() -> None:
    for wrong in (-0.1, 8.5):
        with pytest.raises(SynBTError, match="distractors needs a number from 0 to 8"):
            InjectionSettings(distractors=wrong)
    assert InjectionSettings.gather(environment={"SYNBT_DISTRACTORS": "0.5"}).distractors == 0.5
