"""The random transform: what it writes, what it leaves, and that it behaves like TorchIO's own."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchio as tio
from torch import Tensor

from analytic import FlatTexture, breast, breast_image, ellipsoid, reorder
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob
from synbt_aug.torchio import SynBTTumor
from synbt_aug.volume import BreastVolume, Spacing, unchanged
from torchio_subjects import affine_of, empty_label, pair_of, subject_of

pytestmark = pytest.mark.usefixtures("flat")

REAL = ellipsoid(breast().shape, (34, 30, 40), (5, 5, 5))
ALWAYS: dict[str, Any] = {"p": 1, "diameter_mm": 9.0}


def paint(subject: tio.Subject | None = None, seed: int = 0, **settings: Any) -> tio.Subject:
    torch.manual_seed(seed)
    transformed: tio.Subject = SynBTTumor(**{**ALWAYS, **settings})(subject or subject_of())
    return transformed


def recipe_of(subject: tio.Subject) -> dict[str, Any]:
    ((name, arguments),) = subject.applied_transforms
    assert name == "PaintTumor"
    recipe: dict[str, Any] = arguments["recipe"]
    return recipe


# --- what comes out ---


def test_a_tumor_and_its_label_are_written_and_nothing_else_changes() -> None:
    before = subject_of(label=empty_label())
    after = paint(before)
    label = after["tumor"].data[0]
    assert int(label.sum()) == 382  # round(pi / 6 * 9^3)
    changed = (pair_of(after) != pair_of(before)).any(0)
    # The support ends at most 2 mm beyond the label.
    far = ~torch.nn.functional.max_pool3d(label[None].float(), 5, 1, 2)[0].bool()
    assert bool(changed[label > 0].any()) and not bool(changed[far].any())
    assert after.synbt_outcome["painted"] and after.synbt_outcome["reason"] is None
    assert after.synbt_outcome["measured"]["tumors"][0]["diameter_mm"] == pytest.approx(9, abs=0.1)


def test_the_input_stays_as_it_is() -> None:
    subject = subject_of(label=empty_label())
    before = copy.deepcopy(subject)
    paint(subject)
    assert torch.equal(pair_of(subject), pair_of(before))
    assert not subject["tumor"].data.any()
    assert subject.applied_transforms == [] and not hasattr(subject, "synbt_outcome")


def test_without_copy_the_subject_is_painted_in_place_but_its_tensors_are_not() -> None:
    subject = subject_of()
    tensor = subject["post"].data
    before = tensor.clone()
    after = paint(subject, copy=False)
    assert after is subject
    assert torch.equal(tensor, before) and not torch.equal(after["post"].data, before)


@pytest.mark.parametrize(
    "spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 2.0), (2.0, 0.7, 0.7)], ids=["1 mm", "0.7", "sagittal"]
)
def test_the_voxels_are_those_of_the_core_for_the_same_array_and_recipe(
    spacing: Spacing, flat: TumorSynthesizer
) -> None:
    before = subject_of(spacing=spacing, label=empty_label(spacing))
    after = paint(before)
    volume = BreastVolume(pair_of(before), spacing)
    core = flat.replay(volume, json.loads(json.dumps(recipe_of(after))))
    assert torch.equal(pair_of(after), core.image)
    assert torch.equal(after["tumor"].data[0].bool(), core.tumor)
    mm3 = int(core.tumor.sum()) * spacing[0] * spacing[1] * spacing[2]
    assert (6 * mm3 / np.pi) ** (1 / 3) == pytest.approx(9, abs=0.3)


def test_any_axis_order_is_painted_where_its_label_says() -> None:
    image = reorder(breast_image((0.7, 0.7, 2.0)), (2, 0, 1), (0, 2))
    subject = subject_of(image, spacing=(2.0, 0.7, 0.7))
    after = paint(subject)
    label = after["label"].data[0].bool()
    change = (pair_of(after) - pair_of(subject))[1]
    reference = measure_reference(image)
    # FlatTexture adds 1.5 half ranges in post; less within a millimetre of the surface.
    assert float(change[label].quantile(0.9)) == pytest.approx(
        0.75 * (reference.high[1] - reference.low[1]), rel=0.05
    )


@pytest.mark.parametrize("dtype", [torch.int16, torch.float16, torch.float64, torch.uint8])
def test_types_are_kept_and_the_background_is_bitwise(dtype: torch.dtype) -> None:
    before = subject_of(breast_image().to(dtype), empty_label(dtype=torch.int16))
    after = paint(before)
    assert after["pre"].data.dtype == after["post"].data.dtype == dtype
    assert after["tumor"].data.dtype == torch.int16 and bool(after["tumor"].data.any())
    changed = (pair_of(after) != pair_of(before)).any(0)
    assert int(changed.sum()) < 1500 and bool(changed.any())


def test_pre_and_post_may_be_of_two_types() -> None:
    whole = breast_image().round()
    mixed = subject_of(whole)
    mixed["pre"].set_data(whole[:1].to(torch.int16))
    plain, mixed = paint(subject_of(whole)), paint(mixed)
    assert mixed["pre"].data.dtype == torch.int16 and mixed["post"].data.dtype == torch.float32
    assert torch.equal(mixed["post"].data, plain["post"].data)
    assert torch.equal(mixed["pre"].data.float(), plain["pre"].data.round())


def test_one_image_with_two_channels_is_painted_in_both() -> None:
    image = breast_image()
    extra = torch.rand(1, *image.shape[1:])
    two = tio.Subject(dce=tio.ScalarImage(tensor=image))
    four = tio.Subject(dce=tio.ScalarImage(tensor=torch.cat([extra, image[1:], extra, image[:1]])))
    plain = pair_of(paint())
    assert torch.equal(paint(two)["dce"].data, plain)
    channels = {"pre": "dce", "post": "dce", "pre_channel": 3, "post_channel": 1}
    with pytest.warns(UserWarning, match=r"not painted: 0: dce\[0\], 2: dce\[2\]; they contradict"):
        found = paint(four, **channels, unpainted_channels="allow")["dce"].data
    assert torch.equal(found[[3, 1]], plain)
    assert torch.equal(found[[0, 2]], torch.cat([extra, extra]))


@pytest.mark.parametrize("name", ["mip", "dce_late", "ktrans"])
@pytest.mark.parametrize("p", [0, 1])
def test_further_images_that_would_show_the_tumor_are_refused(name: str, p: float) -> None:
    subject = subject_of(**{name: tio.ScalarImage(tensor=breast_image(seed=7)[1:])})
    with pytest.raises(
        SynBTError, match=f"paints 0: pre, 1: post alone.*missing in 2: {name}.*unpainted_channels"
    ):
        paint(subject, p=p)
    with pytest.warns(UserWarning, match=f"not painted: 2: {name}; they contradict the label"):
        assert paint(subject, p=1, unpainted_channels="allow").synbt_outcome["painted"]


def test_other_sequences_and_the_roi_are_no_such_channels(
    caplog: pytest.LogCaptureFixture,
) -> None:
    more = {name: tio.ScalarImage(tensor=torch.rand(1, 56, 72, 72)) for name in ("t2", "where")}
    caplog.set_level("INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paint(subject_of(**more), roi="where")
    assert "not painted: 2: t2." in caplog.text


def test_real_tumors_stay_and_other_labels_are_left_alone() -> None:
    label = empty_label()
    label[:, :30] = 3
    label[REAL] = 2
    before = subject_of(label=label)
    after = paint(before, tumor_label=2)
    new = after["tumor"].data[0]
    assert torch.equal(new == 3, label == 3)
    assert bool((new[REAL] == 2).all()) and int((new == 2).sum()) == int(REAL.sum()) + 382
    blocked = label > 0
    assert torch.equal(pair_of(after)[:, blocked], pair_of(before)[:, blocked])


def test_a_label_named_in_paint_over_is_painted_over() -> None:
    label = torch.full_like(empty_label(), 3)
    assert "no site" in paint(subject_of(label=label)).synbt_outcome["reason"]
    after = paint(subject_of(label=label), paint_over=[3])
    assert after.synbt_outcome["painted"]
    assert int((after["tumor"].data == 1).sum()) == 382
    assert torch.equal(pair_of(replay(after, subject_of(label=label))), pair_of(after))


def replay(painted: tio.Subject, original: tio.Subject) -> tio.Subject:
    again: tio.Subject = painted.get_composed_history()(original)
    return again


def test_several_tumors_are_one_recipe() -> None:
    counts = set()
    for seed in range(3):
        after = paint(seed=seed, tumors=(1, 3), diameter_mm=7.0)
        counts.add(len(recipe_of(after)["tumors"]))
        assert int(after["label"].data.sum()) == len(recipe_of(after)["tumors"]) * 180
    assert len(counts) > 1 and counts <= {1, 2, 3}


def test_null_paints_change_the_image_and_leave_the_label_empty() -> None:
    before = subject_of()
    after = paint(before, null_paint=1.0)
    assert not after["label"].data.any()
    assert not torch.equal(pair_of(after), pair_of(before))
    assert recipe_of(after)["tumors"][0]["kind"] == "null"


# --- who gets one ---


def test_a_subject_that_is_not_drawn_gets_a_label_of_zeros_and_no_history() -> None:
    before = subject_of()
    after = paint(before, p=0)
    assert torch.equal(pair_of(after), pair_of(before))
    assert after["label"].shape == before["pre"].shape and not after["label"].data.any()
    assert after.applied_transforms == []
    assert after.synbt_outcome["reason"] == "not drawn"


def test_images_that_are_not_loaded_yet_are_painted_as_loaded_ones(tmp_path: Path) -> None:
    subject = subject_of()
    for name in ("pre", "post"):
        subject[name].save(tmp_path / f"{name}.nii.gz")
        subject[name] = tio.ScalarImage(tmp_path / f"{name}.nii.gz")
    after = paint(subject)
    assert not subject["pre"]._loaded
    assert torch.equal(pair_of(after), pair_of(paint()))


def test_about_the_asked_share_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = unchanged(torch.zeros(2, 4, 4, 4), "tried")
    monkeypatch.setattr(SynBTTumor, "_painted", lambda *_: (None, tried))
    torch.manual_seed(3)
    subject = subject_of(torch.rand(2, 4, 4, 4))
    outcomes = [SynBTTumor(p=0.3)(subject).synbt_outcome["reason"] for _ in range(400)]
    # 3 SDs of a binomial: 3 sqrt(400 .3 .7) = 27.
    assert abs(outcomes.count("tried") - 120) <= 27
    assert set(outcomes) == {"tried", "not drawn"}


def test_without_p_half_of_the_subjects_are_drawn() -> None:
    assert SynBTTumor().settings == InjectionSettings()
    assert repr(SynBTTumor()) == "SynBTTumor(p=0.5)"


def test_cases_with_a_real_tumor_are_left_alone_where_asked() -> None:
    label = empty_label()
    label[REAL] = 1
    after = paint(subject_of(label=label), only_tumor_free=True)
    assert after.synbt_outcome["reason"] == "not drawn: it has a tumor"
    assert paint(subject_of(label=empty_label()), only_tumor_free=True).synbt_outcome["painted"]


# --- nothing to paint ---


@pytest.mark.parametrize("bad", [7.0, float("nan")])
def test_an_unusable_subject_stays_as_it_is_with_the_reason(bad: float) -> None:
    subject = subject_of(torch.full_like(breast_image(), bad))
    with pytest.warns(UserWarning, match="unusable sample: .* It stays as it is"):
        after = paint(subject)
    assert after.synbt_outcome["reason"].startswith("unusable sample: BreastVolume needs")
    assert after.applied_transforms == [] and not after["label"].data.any()


def test_nowhere_to_go_is_a_reason_and_no_error() -> None:
    full = subject_of(label=torch.full_like(empty_label(), 2))
    after = paint(full)
    assert after.synbt_outcome["reason"].startswith("no site")
    assert torch.equal(pair_of(after), pair_of(full)) and after.applied_transforms == []


@pytest.mark.parametrize(
    "error, reason",
    [(RuntimeError("no such place"), "error: no such place"), (MemoryError(), "out of memory")],
)
def test_a_failure_while_painting_costs_that_painting_only(
    error: Exception, reason: str, flat: TumorSynthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(FlatTexture):
        def __call__(self, job: PaintingJob) -> Tensor:
            raise error

    flat.texture = Failing()
    after = paint()
    assert after.synbt_outcome["reason"].startswith(reason)
    assert "an injection failed" in caplog.text and "the real sample stays" in caplog.text


# --- randomness ---


def test_torch_s_seed_rules_all_that_happens() -> None:
    first, again, other = (paint(seed=k) for k in (1, 1, 2))
    assert torch.equal(pair_of(first), pair_of(again))
    assert not torch.equal(pair_of(first), pair_of(other))


def test_painting_draws_as_much_of_torch_s_generator_as_not_painting() -> None:
    left = []
    for p in (0, 1):
        paint(p=p)
        left.append(torch.rand(1).item())
    assert left[0] == left[1]


# --- settings ---


def test_settings_by_name_go_before_those_of_the_object() -> None:
    settings = InjectionSettings(probability=0.2, steps=4, seed=7)
    found = SynBTTumor(settings=settings, steps=6).settings
    assert (found.probability, found.steps) == (0.2, 6)
    assert SynBTTumor(settings=settings, p=0.9).settings.probability == 0.9
    assert SynBTTumor(probability=0.9).settings.probability == 0.9


def test_settings_of_another_kind_are_refused() -> None:
    with pytest.raises(SynBTError, match=r"got dict. A dictionary is given as SynBTTumor\(\*\*"):
        SynBTTumor(settings={"tumors": 2})  # type: ignore[arg-type]
    assert SynBTTumor(**{"tumors": 2}).settings.tumors == 2


def test_a_misspelt_setting_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SynBTError, match="diametre_mm. Did you mean diameter_mm. There are: pre"):
        SynBTTumor(diametre_mm=9)  # type: ignore[call-arg]
    with pytest.raises(SynBTError, match="no setting called prob. TorchIO's name of it is p."):
        SynBTTumor(prob=0.5)  # type: ignore[call-arg]


def test_p_and_probability_must_agree() -> None:
    with pytest.raises(SynBTError, match="p and probability are one setting, got 0.1 and 0.2"):
        SynBTTumor(p=0.1, probability=0.2)


def test_a_seed_is_refused_with_what_rules_in_its_place() -> None:
    with pytest.raises(SynBTError, match="seed. Randomness is torch's: call torch.manual_seed"):
        SynBTTumor(seed=3)  # type: ignore[call-arg]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(SynBTError, match="probability needs a number from 0 to 1, got 1.5"):
        SynBTTumor(p=1.5)


def test_a_label_type_too_small_for_the_tumor_s_value_is_refused() -> None:
    with pytest.raises(SynBTError, match="tumor_label is 300, more than the type of 'tumor' holds"):
        paint(subject_of(label=empty_label()), tumor_label=300)
    assert paint(tumor_label=300)["label"].data.max() == 300


# --- as TorchIO's own ---


def test_the_repr_names_what_differs_from_the_defaults() -> None:
    transform = SynBTTumor(pre="t0", post="t1", p=0.3, diameter_mm=(10, 14), tumors=2)
    assert repr(transform) == (
        "SynBTTumor(pre=t0, post=t1, p=0.3, tumors=2, diameter_mm=(10.0, 14.0))"
    )


def test_it_pickles_as_its_settings_after_use_too() -> None:
    transform = SynBTTumor(**ALWAYS)
    torch.manual_seed(0)
    expected = transform(subject_of())
    assert len(pickle.dumps(transform)) < 2000
    for twin in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        torch.manual_seed(0)
        assert torch.equal(pair_of(twin(subject_of())), pair_of(expected))


def test_its_configuration_makes_it_again() -> None:
    transform = SynBTTumor(p=0.3, paint_over=(2,), label="tumor")
    config = transform.to_hydra_config()
    assert config.pop("_target_") == "synbt_aug_torchio.synbt_tumor.SynBTTumor"
    again = SynBTTumor(**json.loads(json.dumps(config)))
    assert again.settings == transform.settings and again.label == "tumor"


def test_a_dictionary_is_painted_as_the_subject_is() -> None:
    image = breast_image()
    keys = {"include": ("pre", "post", "tumor"), "label_keys": ("tumor",)}
    data = {"pre": image[:1], "post": image[1:], "tumor": empty_label()[None], "age": 40}
    with pytest.warns(UserWarning, match="takes 1 mm voxels, since a dictionary of arrays"):
        found = paint(data, **keys)  # type: ignore[arg-type]
    plain = paint(subject_of(label=empty_label()))
    assert torch.equal(torch.cat([found["pre"], found["post"]]), pair_of(plain))
    assert torch.equal(found["tumor"], plain["tumor"].data) and found["age"] == 40
    without = {"pre": image[:1].numpy(), "post": image[1:].numpy()}
    assert torch.equal(paint(without, include=("pre", "post"))["label"], plain["tumor"].data)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["tensor", "array", "image", "sitk", "nifti"])
def test_what_cannot_carry_a_label_is_refused(kind: str) -> None:
    image = tio.ScalarImage(tensor=breast_image())
    given = {
        "tensor": lambda: image.data,
        "array": lambda: image.data.numpy(),
        "image": lambda: image,
        "sitk": image.as_sitk,
        "nifti": lambda: __import__("nibabel").Nifti1Image(image.data[0].numpy(), affine_of()),
    }[kind]()
    with pytest.raises(SynBTError, match="Pass a torchio.Subject, or a dict with SynBTTumor"):
        SynBTTumor(p=1)(given)


def test_the_kept_image_is_the_one_before() -> None:
    subject = subject_of()
    after = paint(subject, keep={"post": "healthy"})
    assert torch.equal(after["healthy"].data, subject["post"].data)
    assert not torch.equal(after["post"].data, subject["post"].data)


def test_it_cannot_be_undone_and_is_left_out_of_the_inverse() -> None:
    flip = tio.Flip(axes=(0,))
    after = paint(flip(subject_of()))
    with pytest.warns(RuntimeWarning, match="Skipping PaintTumor as it is not invertible"):
        back = after.apply_inverse_transform()
    assert torch.equal(flip(back)["label"].data, after["label"].data)
    with pytest.raises(RuntimeError, match="not invertible"):
        SynBTTumor().inverse()


def test_one_of_and_compose_take_it() -> None:
    torch.manual_seed(0)
    choice = tio.OneOf({SynBTTumor(**ALWAYS): 1.0, tio.Flip(axes=(0,)): 0.0})
    after = tio.Compose([choice, tio.ZNormalization()])(subject_of())
    assert [t.name for t in after.history] == ["PaintTumor", "ZNormalization"]


def test_a_painted_subject_can_be_plotted() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    figure = paint().plot(return_fig=True, show=False)
    # Three images, three planes.
    assert len(figure.axes) == 9


def test_images_beside_pre_and_post_are_left_alone() -> None:
    other = torch.rand(1, 5, 5, 5)
    after = paint(subject_of(t2=tio.ScalarImage(tensor=other), age=41))
    assert torch.equal(after["t2"].data, other) and after["age"] == 41
