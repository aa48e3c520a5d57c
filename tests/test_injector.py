"""Injection into batches: settings, who gets a tumor, and that failures cost themselves only."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import FlatTexture, breast, breast_image, ellipsoid, painter, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob

BATCH = 3
ALWAYS = InjectionSettings(probability=1.0, diameter_mm=9.0)
REAL = ellipsoid(breast().shape, (34, 30, 40), (5, 5, 5))


def batch(count: int = BATCH, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    images = torch.stack([breast(seed=k).image for k in range(count)]).to(dtype)
    return images, torch.zeros((count, 1, *breast().shape), dtype=torch.int16)


def inject(
    settings: InjectionSettings = ALWAYS,
    seed: int = 0,
    texture: FlatTexture | None = None,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    **more: Any,
) -> tuple[SynBTInjector, Injected]:
    given = batch()
    injector = SynBTInjector(settings, painter(texture))
    images = given[0] if images is None else images
    labels = given[1][: len(images)] if labels is None else labels
    return injector, injector(images, labels, generator=seeded(seed), **more)


class OutOfMemory(FlatTexture):
    """Runs out of memory in batches larger than it bears."""

    def __init__(self, bears: int) -> None:
        super().__init__()
        self.bears = bears

    def __call__(self, job: PaintingJob) -> Tensor:
        if len(job) > self.bears:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().__call__(job)


# --- settings ---


@pytest.mark.parametrize(
    "values, message",
    [
        ({"probability": 1.1}, "probability needs a number from 0 to 1, got 1.1"),
        ({"null_paint": -0.1}, "null_paint needs a number from 0 to 1, got -0.1"),
        ({"multifocal": 1.5}, "multifocal needs a number from 0 to 1, got 1.5"),
        ({"tumors": 0}, "tumors needs a number from 1 to 8, got 0"),
        ({"tumors": 9}, "tumors needs a number from 1 to 8, got 9"),
        ({"pre_channel": 1}, "need two channels, got 1 for both"),
        ({"category": "cyst"}, "category needs one of .*'mass', 'rim', 'non-mass'.*got 'cyst'"),
        ({"pre_channel": -1}, "pre_channel needs a number from 0 on, got -1"),
        ({"steps": 0}, "steps needs a number from 1 to 1000, got 0"),
        ({"precision": "int8"}, "precision needs one of .*'bf16'.*got 'int8'"),
        ({"tumor_label": 0}, "tumor_label needs a number from 1 to 2147483647, got 0"),
        ({"diameter_mm": 5.0}, "diameter_mm needs a number from 6 to 90, got 5"),
        ({"rim": 0.0}, "rim needs a number from 0.05 to 20, got 0"),
        ({"diameter_mm": (30, 10)}, "diameter_mm needs the smaller .* first, got 30:10. Type 10:3"),
        ({"diameter_mm": (10, 95)}, "diameter_mm needs a number from 6 to 90, got 95"),
        ({"rim": (1.0, 2.0, 3.0)}, r"rim needs one number, or two as a range such as \(10, 30\)"),
        ({"tumors": (1, 2.5)}, "tumors needs a whole number from 1 to 8, got 2.5"),
        ({"tumors": (0, 2)}, "tumors needs a number from 1 to 8, got 0"),
        ({"enhancement": "0.8:1.6"}, "enhancement needs a number from -0.9 to 20, got '0.8:1.6'"),
        ({"unpainted_channels": "ignore"}, "needs one of 'refuse', 'allow', got 'ignore'"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_name(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        InjectionSettings(**values)


NUMBERS = (
    "probability", "tumors", "multifocal", "diameter_mm", "enhancement", "rim", "heterogeneity",
    "pre_contrast", "guidance", "steps", "pre_channel", "post_channel", "tumor_label",
    "null_paint", "distractors", "seed",
)  # fmt: skip
OPTIONAL = {"diameter_mm", "enhancement", "rim", "heterogeneity", "pre_contrast"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, "1", None, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused_by_the_setting_s_name(name: str, value: Any) -> None:
    if value is None and name in OPTIONAL:
        return
    if value == 1e30 and name in ("pre_channel", "post_channel"):
        return  # The images that come say how large these may be.
    with pytest.raises(SynBTError, match=rf"^{name} needs a (whole )?number"):
        InjectionSettings(**{name: value})


@pytest.mark.parametrize("name", ["tumors", "steps", "seed", "tumor_label", "pre_channel"])
def test_half_a_thing_is_refused_by_the_setting_s_name(name: str) -> None:
    with pytest.raises(SynBTError, match=rf"^{name} needs a whole number .* got 2.5"):
        InjectionSettings(**{name: 2.5})


@pytest.mark.parametrize(
    "name, value",
    [
        ("texture", None), ("precision", 32), ("generator_device", None), ("weights", None),
        ("tissue", 3), ("bank", 3), ("only_tumor_free", "no"), ("only_free_side", 1),
        ("paint_over", 3), ("roi_labels", "23"),
    ],
)  # fmt: skip
def test_a_setting_of_another_kind_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(SynBTError, match=rf"^{name} needs "):
        InjectionSettings(**{name: value})


def test_label_values_are_whole_numbers_from_zero_on() -> None:
    assert InjectionSettings(paint_over=(2.0, 3)).paint_over == (2, 3)  # type: ignore[arg-type]
    for bad in (-1, 2.5, "3", None):
        with pytest.raises(SynBTError, match="Each value of roi_labels needs a"):
            InjectionSettings(roi_labels=(bad,))  # type: ignore[arg-type]


def test_the_wish_is_what_the_settings_ask_for() -> None:
    asked: dict[str, Any] = {"enhancement": 0.5, "rim": 1.5, "category": "rim"}
    asked |= {"pre_contrast": 0.2, "heterogeneity": 0.1}
    settings = InjectionSettings(diameter_mm=20.0, **asked)
    (wish,) = settings.wishes(0.5, seeded())
    assert (wish.kind, wish.diameter_mm) == ("tumor", 20.0)
    assert wish.appearance.to_dict() == asked
    (null,) = dataclasses.replace(settings, null_paint=1.0).wishes(0.5, seeded())
    assert (null.kind, null.diameter_mm) == ("null", 20.0)
    assert null.appearance.to_dict() == dict.fromkeys(asked)


def test_variables_win_over_the_dataset_and_that_over_defaults() -> None:
    section = {"probability": 0.7, "tumors": 2}
    settings = InjectionSettings.gather(section, {"SYNBT_TUMORS": "3", "HOME": "/"})
    assert settings == InjectionSettings(probability=0.7, tumors=3)


@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(InjectionSettings)], ids=lambda name: name
)
def test_every_setting_can_come_from_the_environment(field: str) -> None:
    values: dict[str, Any] = {
        "probability": 0.25, "tumors": 4, "multifocal": 0.4, "diameter_mm": 22.5,
        "enhancement": 0.4, "rim": 1.25, "heterogeneity": 0.3, "pre_contrast": 0.1,
        "category": "rim", "guidance": 2.5, "curve": "washout",
        "post_channels": (1, 2, 4), "subtraction_channels": (5,),
        "steps": 4, "weights": "w",
        "bank": "b.npz", "pre_channel": 3, "post_channel": 2, "tumor_label": 7,
        "paint_over": (2, 3), "roi_labels": (4, 5), "only_free_side": True, "texture": "syntumor",
        "only_tumor_free": True, "null_paint": 0.1, "precision": "bf16",
        "generator_device": "cpu", "seed": 11, "distractors": 1.5, "tissue": "t",
        "unpainted_channels": "allow",
    }  # fmt: skip
    value = values[field]
    settings = InjectionSettings.gather({}, {f"SYNBT_{field.upper()}": str(value)})
    assert getattr(settings, field) == value
    assert type(getattr(settings, field)) is type(value)
    assert InjectionSettings.gather({field: value}, {}) == settings


RANGES: dict[str, Any] = {
    "tumors": (1, 3), "diameter_mm": (10.0, 30.0), "enhancement": (0.8, 1.6), "rim": (1.0, 2.0),
    "heterogeneity": (0.1, 0.3), "pre_contrast": (-0.5, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_a_range_is_the_same_from_a_variable_from_json_and_in_python(name: str) -> None:
    low, high = RANGES[name]
    typed = InjectionSettings.gather({}, {f"SYNBT_{name.upper()}": f"{low}:{high}"})
    assert typed == InjectionSettings(**{name: RANGES[name]})
    assert typed == InjectionSettings(**{name: [low, high]})
    assert getattr(typed, name) == RANGES[name]
    assert InjectionSettings.gather(json.loads(json.dumps(typed.to_dict())), {}) == typed


def test_each_tumor_draws_its_own_numbers_from_the_ranges() -> None:
    settings = InjectionSettings(tumors=3, enhancement=(0.8, 1.6), rim=1.2, pre_contrast=(0.0, 0.4))
    looks = [wish.appearance for seed in range(100) for wish in settings.wishes(0.5, seeded(seed))]
    assert len(looks) == 300 and len({look.enhancement for look in looks}) == 300
    for name, (low, high) in {"enhancement": (0.8, 1.6), "pre_contrast": (0.0, 0.4)}.items():
        drawn = torch.tensor([getattr(look, name) for look in looks])
        assert low <= float(drawn.min()) and float(drawn.max()) <= high
        # The mean of 300 even draws has an SD of (high - low) / 60.
        assert abs(float(drawn.mean()) - (low + high) / 2) < (high - low) / 15
    assert {(look.rim, look.heterogeneity) for look in looks} == {(1.2, None)}


def test_each_number_of_tumors_in_a_range_is_equally_likely() -> None:
    settings = InjectionSettings(tumors=(2, 4))
    counts = [len(settings.wishes(0.5, seeded(seed))) for seed in range(600)]
    # Of 600 draws a third each, 200 with an SD of 12.
    assert set(counts) == {2, 3, 4}
    assert all(abs(counts.count(number) - 200) < 48 for number in (2, 3, 4))


@pytest.mark.parametrize(
    "text, value", [("true", True), ("0", False), ("False", False), ("1", True)]
)
def test_yes_and_no_are_read_from_text(text: str, value: bool) -> None:
    settings = InjectionSettings.gather({}, {"SYNBT_ONLY_TUMOR_FREE": text})
    assert settings.only_tumor_free is value


def test_nothing_can_be_asked_for_where_nothing_is_a_choice() -> None:
    settings = InjectionSettings.gather({"diameter_mm": 20.0}, {"SYNBT_DIAMETER_MM": "none"})
    assert settings.diameter_mm is None


@pytest.mark.parametrize(
    "name, text",
    [
        ("TUMORS", "many"),
        ("PROBABILITY", ""),
        ("ONLY_TUMOR_FREE", "maybe"),
        ("STEPS", "2.5"),
        ("DIAMETER_MM", "10:"),
        ("DIAMETER_MM", "10:20:30"),
        ("TUMORS", "1:2.5"),
    ],
)
def test_a_variable_that_cannot_be_read_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(SynBTError, match=rf"{name.lower()} \(SYNBT_{name}\) needs .*got '{text}'"):
        InjectionSettings.gather({}, {f"SYNBT_{name}": text})


def test_a_misspelt_name_in_the_dataset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        SynBTError,
        match="no setting called probabilty. Did you mean probability. There are: .*probability",
    ):
        InjectionSettings.gather({"probabilty": 1.0}, {})


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("SYNBT_PROB", "no setting SYNBT_PROB. Did you mean SYNBT_PROBABILITY.*unset SYNBT_PROB`"),
        ("SYNBT_PROBABILTY", "Did you mean SYNBT_PROBABILITY?"),
        ("SYNBT_DIAMETER", "Did you mean SYNBT_DIAMETER_MM?"),
        ("SYNBT_NONSENSE", "no setting SYNBT_NONSENSE. There are: .*SYNBT_PROBABILITY, .*SYNBT_RI"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_name(
    variable: str, message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        InjectionSettings.gather({}, {variable: "1"})


def test_variables_that_are_no_settings_and_the_trainers_own_are_left_alone() -> None:
    others = {"SYNBT_NO_HOOK": "1", "SYNBT_TRACEBACK": "1", "SYNBT_REAL_DATA": "/"}
    assert InjectionSettings.gather({}, others | {"SYNBT_FIT_CASES": "3"}) == InjectionSettings()


def test_settings_are_typed_as_they_are_read() -> None:
    settings = InjectionSettings(
        tumors=(1, 3), diameter_mm=(7.5, 30.0), paint_over=(2, 3), only_tumor_free=True, rim=1.25
    )
    typed = settings.typed()
    assert (typed["tumors"], typed["diameter_mm"], typed["paint_over"]) == ("1:3", "7.5:30", "2,3")
    assert "enhancement" not in typed and "bank" not in typed
    variables = {f"SYNBT_{name.upper()}": text for name, text in typed.items()}
    assert InjectionSettings.gather({}, variables) == settings


def test_settings_survive_json() -> None:
    settings = InjectionSettings(probability=0.3, category="rim")
    assert InjectionSettings.gather(json.loads(json.dumps(settings.to_dict())), {}) == settings


# --- what comes out ---


def test_every_sample_gets_a_tumor_at_probability_one_and_none_at_zero() -> None:
    injector, injected = inject()
    assert injected.painted == (True,) * BATCH
    assert injector.counts == {"injected": BATCH}
    images, labels = batch()
    injector, injected = inject(InjectionSettings(probability=0.0), images=images, labels=labels)
    assert injected.painted == (False,) * BATCH and injected.results == (None,) * BATCH
    assert injector.counts == {"not drawn": BATCH}
    assert injected.images is images and injected.labels is labels


def test_labels_and_images_differ_where_the_results_say() -> None:
    images, labels = batch()
    before = images.clone()
    settings = dataclasses.replace(ALWAYS, tumor_label=5)
    _, injected = inject(settings, images=images, labels=labels)
    for k, result in enumerate(injected.results):
        assert result is not None
        assert torch.equal(injected.labels[k, 0] == 5, result.tumor)
        assert torch.equal(injected.images[k], result.image)
        assert torch.equal(injected.images[k][:, ~result.support], before[k][:, ~result.support])
    assert torch.equal(images, before) and not labels.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.int16, torch.float64])
def test_types_and_shapes_are_the_inputs_own(dtype: torch.dtype) -> None:
    images, labels = batch(1, dtype)
    _, injected = inject(images=images, labels=labels.float())
    assert injected.images.dtype == dtype and injected.labels.dtype == torch.float32
    assert injected.images.shape == images.shape and injected.labels.shape == labels.shape
    assert injected.painted == (True,)


def test_other_channels_are_left_alone_and_the_named_ones_are_painted() -> None:
    image = breast_image()
    extra = torch.rand(image.shape[1:], generator=seeded(1))
    images = torch.stack([image[1], extra, image[0]])[None]
    settings = dataclasses.replace(ALWAYS, pre_channel=2, post_channel=0)
    _, injected = inject(settings, images=images)
    plain = inject(images=image[None])[1]
    assert torch.equal(injected.images[0, 1], extra)
    assert torch.equal(injected.images[0, 2], plain.images[0, 0])
    assert torch.equal(injected.images[0, 0], plain.images[0, 1])


def test_the_same_generator_gives_the_same_batch() -> None:
    images, _ = batch(1)
    first, again, other = (inject(seed=k, images=images)[1] for k in (1, 1, 2))
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)


def test_without_a_generator_the_injector_s_own_goes_on() -> None:
    images, labels = batch(1)
    injector = SynBTInjector(ALWAYS, painter())
    first, second = injector(images, labels), injector(images, labels)
    assert not torch.equal(first.labels, second.labels)
    assert torch.equal(SynBTInjector(ALWAYS, painter())(images, labels).images, first.images)
    reseeded = dataclasses.replace(ALWAYS, seed=1)
    assert not torch.equal(SynBTInjector(reseeded, painter())(images, labels).labels, first.labels)


def test_the_fate_of_one_sample_does_not_change_the_next_one_s_tumor() -> None:
    images, labels = batch()
    plain = inject(images=images, labels=labels)[1]
    images[0] = 7.0
    labels[1, 0][REAL] = 1
    other = inject(dataclasses.replace(ALWAYS, only_tumor_free=True), images=images, labels=labels)[
        1
    ]
    assert other.painted == (False, False, True)
    assert torch.equal(other.images[2], plain.images[2])


def test_about_the_asked_share_is_injected() -> None:
    injector = SynBTInjector(dataclasses.replace(ALWAYS, probability=0.3), painter())
    # A full house makes no painting, so that a thousand draws cost nothing.
    labels = torch.full((1, 1, 8, 8, 8), 2)
    images = torch.rand(1, 2, 8, 8, 8, generator=seeded())
    generator = seeded(4)
    for _ in range(400):
        injector(images, labels, generator=generator)
    tried = 400 - injector.counts["not drawn"]
    # 3 SDs of a binomial: 3 sqrt(400 .3 .7) = 27.
    assert abs(tried - 120) <= 27


def test_real_tumors_stay_and_are_not_painted_on() -> None:
    images, labels = batch()
    labels[:, 0, REAL] = 1
    _, injected = inject(images=images, labels=labels)
    assert injected.painted == (True,) * BATCH
    for k, result in enumerate(injected.results):
        assert result is not None
        assert not bool((result.support & REAL).any())
        assert torch.equal(injected.images[k][:, REAL], images[k][:, REAL])
        assert torch.equal(injected.labels[k, 0] == 1, REAL | result.tumor)


def test_samples_with_a_real_tumor_are_left_alone_where_asked() -> None:
    images, labels = batch()
    labels[1, 0, REAL] = 1
    settings = dataclasses.replace(ALWAYS, only_tumor_free=True)
    injector, injected = inject(settings, images=images, labels=labels)
    assert injected.painted == (True, False, True)
    assert injector.counts == {"injected": 2, "holds a real tumor": 1}


def test_other_labels_are_forbidden_ground() -> None:
    images, labels = batch(1)
    organ = ellipsoid(breast().shape, (40, 36, 36), (16, 40, 12))
    labels[0, 0, organ] = 2
    for seed in range(3):
        (result,) = inject(images=images, labels=labels, seed=seed)[1].results
        assert result is not None
        assert not bool((result.support & organ).any())


def test_negative_labels_and_invalid_voxels_carry_no_signal() -> None:
    image = breast_image()
    padded = torch.zeros(1, 2, 56, 100, 72)
    padded[0, :, :, :72] = image
    labels = torch.zeros(1, 1, 56, 100, 72)
    labels[..., 72:, :] = -1
    valid = labels[:, 0] >= 0
    by_label = inject(images=padded, labels=labels)[1]
    by_mask = inject(images=padded, labels=labels.clamp_min(0), valid=valid)[1]
    for injected in (by_label, by_mask):
        (result,) = injected.results
        assert result is not None and result.painted
        assert bool((injected.images[:, :, ~valid[0]] == 0).all())
    assert torch.equal(by_label.images, by_mask.images)
    assert bool((by_label.labels[0, 0][~valid[0]] == -1).all())


@pytest.mark.parametrize(("tumors", "expected"), [((1, 3), {1, 2, 3}), (2, {2})])
def test_a_sample_gets_so_many_tumors_or_a_number_drawn_from_the_range(
    tumors: Any, expected: set[int]
) -> None:
    settings = InjectionSettings(probability=1.0, diameter_mm=7.0, tumors=tumors)
    counts = set()
    injector = SynBTInjector(settings, painter())
    images, labels = batch(1)
    for seed in (0, 4, 7):
        (result,) = injector(images, labels, generator=seeded(seed)).results
        assert result is not None and result.recipe is not None
        painted = len(result.recipe["tumors"])
        assert int(result.tumor.sum()) == painted * 180  # round(pi / 6 * 7^3)
        counts.add(painted)
    assert counts == expected


def test_null_paints_leave_no_label() -> None:
    settings = dataclasses.replace(ALWAYS, null_paint=1.0)
    injector, injected = inject(settings)
    assert injector.counts == {"null": BATCH}
    assert injected.painted == (True,) * BATCH
    assert not injected.labels.any()
    assert not torch.equal(injected.images, batch()[0])


def test_multifocal_groups_are_painted_into_every_sample() -> None:
    settings = dataclasses.replace(ALWAYS, diameter_mm=10.0, multifocal=1.0)
    injector, injected = inject(settings)
    assert injector.counts["injected"] == BATCH
    lesions = [len((r.recipe or {})["tumors"]) for r in injected.results if r is not None]
    assert sum(lesions) == BATCH + injector.counts["satellite"] > BATCH
    left_out = [len(r.measured.get("left_out", [])) for r in injected.results if r is not None]
    assert sum(left_out) == injector.counts["satellite left out"]


def test_a_group_in_one_sample_does_not_change_the_next_one_s_tumor() -> None:
    images, labels = batch()
    some = dataclasses.replace(ALWAYS, multifocal=0.5)
    plain = inject(some, images=images, labels=labels)[1]
    images[0] = 7.0
    other = inject(some, images=images, labels=labels)[1]
    assert not other.painted[0]
    assert torch.equal(other.images[1:], plain.images[1:])


def test_null_paints_are_no_groups() -> None:
    injector, _ = inject(dataclasses.replace(ALWAYS, null_paint=1.0, multifocal=1.0))
    assert injector.counts == {"null": BATCH}


def test_references_of_the_case_are_used_for_its_crop() -> None:
    images, labels = batch(1)
    own = measure_reference(images[0])
    wide = dataclasses.replace(own, high=(own.high[0] * 2, own.high[1] * 2))
    measured = inject(images=images, labels=labels)[1]
    given = inject(images=images, labels=labels, references=[own])[1]
    other = inject(images=images, labels=labels, references=[wide])[1]
    assert torch.equal(measured.images, given.images)
    assert not torch.equal(measured.images, other.images)


def test_references_may_be_the_tensor_that_a_loader_collates() -> None:
    images, labels = batch(2)
    wide = dataclasses.replace(own := measure_reference(images[0]), high=(999.0, 999.0))
    unknown = torch.full((2, 2), torch.nan)  # of a case that could not be measured
    for cases in ([own, wide], [wide, None]):
        rows = [unknown if case is None else case.to_tensor() for case in cases]
        plain = inject(images=images, labels=labels, references=cases)[1]
        for given in (torch.stack(rows), rows):
            found = inject(images=images, labels=labels, references=given)[1]
            assert torch.equal(found.images, plain.images)


# --- what does not fit ---


@pytest.mark.parametrize("shape", [(2, 8, 8, 8), (1, 1, 8, 8, 8)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        SynBTError, match=r"\(B, C, D, H, W\) with channels 0 \(pre\) and 1 \(post\)"
    ):
        inject(images=torch.rand(shape), labels=torch.zeros(1))


@pytest.mark.parametrize(
    "more, message",
    [
        (
            {"labels": torch.zeros(1, 8, 8, 8)},
            r"labels of shape \(1, 1, 8, 8, 8\), got \(1, 8, 8, 8\)",
        ),
        (
            {"valid": torch.ones(1, 8, 8, 9)},
            r"valid needs shape \(1, 8, 8, 8\), got \(1, 8, 8, 9\)",
        ),
        ({"references": []}, r"references needs one entry a sample, 1, got 0"),
        ({"references": torch.zeros(2, 2)}, r"of one case need .* \(2, 2\), got \(2,\)"),
        ({"references": torch.zeros(2, 2, 2)}, r"needs low < high in each channel, got low=0"),
    ],
)
def test_what_does_not_fit_the_images_is_refused(more: dict[str, Any], message: str) -> None:
    given = {"labels": torch.zeros(1, 1, 8, 8, 8), **more}
    with pytest.raises(SynBTError, match=message):
        inject(images=torch.rand(1, 2, 8, 8, 8), **given)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.complex64, torch.bool])
def test_images_of_a_type_without_arithmetic_are_refused_for_the_whole_batch(
    dtype: torch.dtype,
) -> None:
    images = torch.zeros(1, 2, 8, 8, 8).to(dtype)
    with pytest.raises(SynBTError, match=rf"SynBTInjector needs real-valued .* got {dtype}\. Conv"):
        inject(images=images, labels=torch.zeros(1, 1, 8, 8, 8))


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64, torch.complex64])
def test_labels_of_a_type_without_arithmetic_are_refused(dtype: torch.dtype) -> None:
    labels = torch.zeros(1, 1, 8, 8, 8).to(dtype)
    with pytest.raises(SynBTError, match=rf"SynBTInjector needs labels.* got {dtype}\. Convert"):
        inject(images=torch.rand(1, 2, 8, 8, 8), labels=labels)


@pytest.mark.parametrize(
    "dtype, value",
    [(torch.uint8, 300), (torch.int8, 128), (torch.bool, 2), (torch.float16, 70_000)],
)
def test_a_label_s_type_that_cannot_hold_the_tumor_s_value_is_refused(
    dtype: torch.dtype, value: int
) -> None:
    images, labels = batch(1)
    before = images.clone()
    settings = dataclasses.replace(ALWAYS, tumor_label=value)
    with pytest.raises(
        SynBTError, match=rf"hold tumor_label={value}, got {dtype}\. Convert them with labels.to"
    ):
        inject(settings, images=images, labels=labels.to(dtype))
    assert torch.equal(images, before)


def test_labels_of_booleans_are_masks_of_tumors() -> None:
    images, labels = batch(2)
    labels[0, 0, REAL] = 1
    plain = inject(images=images, labels=labels)[1]
    masks = inject(images=images, labels=labels.bool())[1]
    assert masks.labels.dtype == torch.bool
    assert torch.equal(masks.labels, plain.labels.bool())
    assert torch.equal(masks.images, plain.images)


def test_images_that_ask_for_gradients_are_painted_all_the_same() -> None:
    images, labels = batch(1)
    plain = inject(images=images, labels=labels)[1]
    asking = images.clone().requires_grad_()
    gland = ellipsoid(breast().shape, (34, 36, 36), (12, 12, 12))
    roi = (0.5 * gland[None]).requires_grad_()
    done = inject(images=asking, labels=labels.float().requires_grad_())[1]
    assert torch.equal(done.images, plain.images)
    assert not done.images.requires_grad and asking.requires_grad
    assert inject(images=asking, labels=labels, roi=roi)[1].painted == (True,)


# --- failures ---


@pytest.mark.parametrize("bad", [7.0, float("nan")])
def test_an_unusable_sample_costs_itself_only(bad: float) -> None:
    images, labels = batch()
    images[1] = bad
    before = images.clone()
    injector, injected = inject(images=images, labels=labels)
    assert injected.painted == (True, False, True)
    assert torch.equal(injected.images[1].nan_to_num(), before[1].nan_to_num())
    assert injector.counts["injected"] == 2
    assert injector.counts["unusable sample"] == 1


@pytest.mark.parametrize("error", [RuntimeError(), ValueError("no such place"), MemoryError()])
def test_whatever_fails_inside_costs_that_injection_only(error: Exception) -> None:
    class Failing(FlatTexture):
        def __call__(self, job: PaintingJob) -> Tensor:
            raise error

    images, _ = batch(1)
    injector, injected = inject(images=images, texture=Failing())
    assert injected.painted == (False,) and torch.equal(injected.images, images)
    assert injector.counts["injected"] == 0 and sum(injector.counts.values()) == 1


def test_out_of_memory_in_a_batch_is_gone_around_one_by_one() -> None:
    images, _ = batch(2)
    plain = inject(images=images)[1]
    tight = inject(images=images, texture=OutOfMemory(bears=1))[1]
    assert tight.painted == (True, True)
    assert torch.equal(plain.labels, tight.labels)
    assert torch.equal(plain.images, tight.images)


def test_out_of_memory_for_good_is_counted_and_the_real_sample_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "synbt_aug"):
        injector, injected = inject(texture=OutOfMemory(bears=0))
    assert injected.painted == (False,) * BATCH
    assert injector.counts == {"out of memory": BATCH}
    assert torch.equal(injected.images, batch()[0])
    assert "the real sample stays" in caplog.text


def test_nan_from_the_networks_is_counted_and_the_real_sample_stays() -> None:
    injector, injected = inject(texture=FlatTexture((float("nan"), 0.0)))
    assert injector.counts == {"the networks returned NaN or infinite numbers": BATCH}
    assert torch.equal(injected.images, batch()[0])
    assert not injected.labels.any()


def test_nowhere_to_go_is_counted_under_one_name() -> None:
    images, labels = batch()
    labels[:] = 2
    injector, injected = inject(images=images, labels=labels)
    assert injector.counts == {"no site": BATCH}
    assert injected.painted == (False,) * BATCH


def test_the_process_s_synthesizer_is_asked_for_at_the_first_injection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[InjectionSettings, torch.device]] = []

    def shared(settings: InjectionSettings, device: torch.device) -> TumorSynthesizer:
        asked.append((settings, device))
        return painter()

    monkeypatch.setattr("synbt_aug.injector.shared_synthesizer", shared)
    injector = SynBTInjector(ALWAYS)
    images, labels = batch(1)
    assert asked == []
    injected = injector(images, labels, generator=seeded(1))
    assert injected.painted == (True,)
    assert set(asked) == {(ALWAYS, torch.device("cpu"))}


def test_an_injector_pickles_without_networks_and_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("synbt_aug.injector.shared_synthesizer", lambda *_: painter())
    injector = SynBTInjector(ALWAYS)
    images, labels = batch(1)
    injector(images, labels)
    content = pickle.dumps(injector)
    # A generator's state alone is 5 kB; the smallest networks would be a hundred times that.
    assert len(content) < 10_000
    copies = (pickle.loads(content), copy.deepcopy(injector))
    expected = injector(images, labels)
    for other in copies:
        assert other.counts == {"injected": 1}
        assert torch.equal(other(images, labels).images, expected.images)


def test_labels_are_in_the_way_unless_they_may_be_painted_over() -> None:
    images, labels = batch(1)
    labels[:] = 4
    _, injected = inject(images=images, labels=labels)
    assert injected.painted == (False,)
    assert torch.equal(injected.labels, labels)
    over = dataclasses.replace(ALWAYS, paint_over=(3, 4))
    _, injected = inject(over, images=images, labels=labels)
    assert injected.painted == (True,)
    result = injected.results[0]
    assert result is not None
    assert torch.equal(injected.labels[0, 0] == 1, result.tumor)
    assert bool((injected.labels[0, 0][~result.tumor] == 4).all())


def test_replayed_recipes_give_the_same_batch() -> None:
    images, labels = batch(2)
    injector, injected = inject(images=images, labels=labels)
    recipes = [r.recipe if r is not None else None for r in injected.results]
    again = injector.replay(images, labels, [json.loads(json.dumps(recipes[0])), None])
    assert torch.equal(again.images[0], injected.images[0])
    assert torch.equal(again.labels[0], injected.labels[0])
    assert again.painted == (True, False)
    assert torch.equal(again.images[1], images[1]) and not again.labels[1].any()


def test_a_recipe_of_another_scan_is_refused() -> None:
    images, labels = batch(1)
    injector, injected = inject(images=images, labels=labels)
    (result,) = injected.results
    assert result is not None
    with pytest.raises(SynBTError, match=r"recipes needs one entry a sample, 1, got 2"):
        injector.replay(images, labels, [result.recipe] * 2)
    with pytest.raises(SynBTError, match="was made for a volume of shape"):
        injector.replay(images[..., 4:], labels[..., 4:], [result.recipe])


def test_the_result_of_an_unusable_sample_says_why() -> None:
    images, labels = batch(1)
    images[0, 1] = 3.0
    (result,) = inject(images=images, labels=labels)[1].results
    assert result is not None and not result.painted
    assert result.reason is not None and "post-contrast channel is constant" in result.reason
