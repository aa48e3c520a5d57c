"""Intensity references of the whole case: where they are kept, and when they are not used."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
import torchio as tio

from analytic import breast_image
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.torchio import INTENSITY_KEY, RecordIntensity, SynBTTumor, reference_of
from synbt_aug.volume import BreastVolume
from torchio_subjects import empty_label, pair_of, subject_of, subjects

pytestmark = pytest.mark.usefixtures("flat")

CROP = tio.Crop((8, 0, 10, 6, 10, 6))


def paint(*before: Any, subject: tio.Subject | None = None) -> tio.Subject:
    prepared = tio.Compose(before)(subject or subject_of())
    # Every transform of TorchIO draws a number: the tumor is to be the same whatever came before.
    torch.manual_seed(0)
    after: tio.Subject = SynBTTumor(p=1, diameter_mm=9.0)(prepared)
    return after


def used(subject: tio.Subject) -> dict[str, list[float]]:
    (arguments,) = [a for name, a in subject.applied_transforms if name == "PaintTumor"]
    found: dict[str, list[float]] = arguments["recipe"]["reference"]
    return found


@pytest.fixture
def no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def test_what_is_recorded_is_the_case_s_reference_and_one_plain_tensor() -> None:
    recorded = RecordIntensity()(subject_of())[INTENSITY_KEY]
    assert recorded.shape == (2, 2) and recorded.dtype == torch.float64
    assert reference_of(recorded) == measure_reference(breast_image())


@pytest.mark.usefixtures("no_warning")
def test_a_crop_is_painted_with_the_references_of_its_case() -> None:
    after = paint(RecordIntensity(), CROP)
    assert used(after) == measure_reference(breast_image()).to_dict()
    part = paint(subject=CROP(RecordIntensity()(subject_of())))
    assert torch.equal(pair_of(part), pair_of(after))


def test_a_crop_without_them_is_measured_by_itself_and_that_is_told_once_a_pipeline() -> None:
    for _ in range(2):  # two pipelines of one process
        pipeline = tio.Compose([CROP, SynBTTumor(p=1, diameter_mm=9.0)])
        with pytest.warns(UserWarning, match=r"on the crop. Put RecordIntensity\(\) before"):
            after = pipeline(subject_of())
        assert used(after) == measure_reference(pair_of(CROP(subject_of()))).to_dict()
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            pipeline(subject_of())


@pytest.mark.usefixtures("no_warning")
def test_a_whole_case_is_painted_alike_with_and_without() -> None:
    assert torch.equal(pair_of(paint(RecordIntensity())), pair_of(paint()))


@pytest.mark.parametrize("between", [tio.ZNormalization(), tio.RescaleIntensity((0, 1))])
def test_references_of_another_signal_are_not_used_and_that_is_told(between: Any) -> None:
    with pytest.warns(UserWarning, match=f"{between.name} came between RecordIntensity and the"):
        after = paint(RecordIntensity(), between)
    assert used(after) == used(paint(between))


@pytest.mark.usefixtures("no_warning")
def test_after_a_normalisation_they_are_used() -> None:
    whole = tio.ZNormalization()(subject_of())
    after = paint(RecordIntensity(), tio.ZNormalization(), RecordIntensity(), CROP)
    assert used(after) == measure_reference(pair_of(whole)).to_dict()


@pytest.mark.usefixtures("no_warning")
def test_an_intensity_transform_of_other_images_leaves_them_in_use() -> None:
    other = subject_of(t2=tio.ScalarImage(tensor=torch.rand(1, 56, 72, 72)))
    after = paint(RecordIntensity(), tio.RandomGamma(include=["t2"]), subject=other)
    assert used(after) == measure_reference(breast_image()).to_dict()


def test_they_survive_crops_samplers_copies_and_pickles() -> None:
    whole = RecordIntensity()(subject_of(label=empty_label()))
    expected = whole[INTENSITY_KEY]
    patch = next(iter(tio.UniformSampler(24)(whole, num_patches=1)))
    for twin in (CROP(whole), patch, copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert torch.equal(twin[INTENSITY_KEY], expected)
        assert torch.equal(twin.synbt_intensity, expected)


def test_batches_hold_one_for_each_subject() -> None:
    dataset = tio.SubjectsDataset(subjects(2), transform=RecordIntensity())
    (batch,) = tio.SubjectsLoader(dataset, batch_size=2)
    assert batch[INTENSITY_KEY].shape == (2, 2, 2)
    found = [reference_of(values) for values in batch[INTENSITY_KEY]]
    assert found == [measure_reference(breast_image(seed=k)) for k in range(2)]


def test_what_cannot_be_measured_is_nan_told_once_and_not_used() -> None:
    flat = subject_of(torch.ones_like(breast_image()))
    with pytest.warns(UserWarning, match="a case without intensity references: .*is constant"):
        recorded = RecordIntensity()(flat)[INTENSITY_KEY]
    assert recorded.shape == (2, 2) and bool(recorded.isnan().all())
    assert reference_of(recorded) is None


def test_the_channels_of_one_image_are_measured() -> None:
    image = breast_image()
    subject = tio.Subject(dce=tio.ScalarImage(tensor=image.flip(0)))
    found = RecordIntensity(pre="dce", post="dce", pre_channel=1, post_channel=0)(subject)
    assert reference_of(found[INTENSITY_KEY]) == measure_reference(image)


def test_several_label_maps_do_not_matter() -> None:
    more = tio.LabelMap(tensor=empty_label()[None])
    found = RecordIntensity()(subject_of(label=empty_label(), breast=more))
    assert INTENSITY_KEY in found and "label" not in found


def test_its_names_and_repr() -> None:
    assert repr(RecordIntensity()) == (
        "RecordIntensity(pre=None, post=None, pre_channel=0, post_channel=1)"
    )
    with pytest.raises(SynBTError, match=r"RecordIntensity needs ScalarImages called pre and post"):
        RecordIntensity()(tio.Subject(t1=tio.ScalarImage(tensor=breast_image()[:1])))
    with pytest.raises(SynBTError, match="a bare tensor, array or image cannot carry"):
        RecordIntensity()(breast_image())


def test_it_is_replayed_with_the_history() -> None:
    after = paint(RecordIntensity(), CROP)
    again = after.get_composed_history()(subject_of())
    assert torch.equal(pair_of(again), pair_of(after))
    assert torch.equal(again[INTENSITY_KEY], after[INTENSITY_KEY])


def test_the_crop_s_own_reference_would_be_another() -> None:
    whole, part = subject_of(), CROP(subject_of())
    references = [measure_reference(BreastVolume(pair_of(s)).image) for s in (whole, part)]
    assert references[0] != references[1]
