"""References of the whole case reach the transform after a crop, through everything between."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import CacheDataset, DataLoader, PersistentDataset, list_data_collate
from monai.transforms import (
    Compose,
    CropForegroundd,
    RandCropByPosNegLabeld,
    Randomizable,
    RandSpatialCropd,
    ScaleIntensityd,
    SpatialCropd,
    ToTensord,
)

from analytic import breast, ellipsoid
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import measure_reference
from synbt_aug_monai import (
    RecordIntensityD,
    RecordIntensityd,
    RecordIntensityDict,
    SynBTTumord,
    reference_of,
)

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]

BOTH = ["image", "label"]
#: The inner part of the breast, without air.
CROP = SpatialCropd(BOTH, roi_start=(8, 8, 8), roi_end=(56, 64, 64))


def tumor() -> SynBTTumord:
    return SynBTTumord(prob=1.0, diameter_mm=9.0).set_random_state(1)


def reference_in(painted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(painted["synbt_recipe"])["reference"]
    return found


def test_what_is_stored_is_the_measured_reference_as_a_plain_tensor(sample: Sample) -> None:
    found = RecordIntensityd()(sample())["synbt_intensity"]
    assert type(found) is torch.Tensor and found.dtype == torch.float64
    assert reference_of(found) == measure_reference(breast().image)


def test_the_aliases_are_one_class_without_chance() -> None:
    assert RecordIntensityD is RecordIntensityDict is RecordIntensityd
    assert not issubclass(RecordIntensityd, Randomizable)
    assert repr(RecordIntensityd(("pre", "post"))) == "RecordIntensityd(keys=('pre', 'post'))"
    assert pickle.loads(pickle.dumps(RecordIntensityd("x"))).keys == ("x",)


def test_pre_and_post_may_be_two_entries_or_other_channels(sample: Sample) -> None:
    image = sample()["image"]
    expected = RecordIntensityd()(sample())["synbt_intensity"]
    two = RecordIntensityd(("pre", "post"))({"pre": image[:1], "post": image[1:]})
    turned = RecordIntensityd(pre_channel=1, post_channel=0)({"image": image.flip(0)})
    assert torch.equal(two["synbt_intensity"], expected)
    assert torch.equal(turned["synbt_intensity"], expected)


def test_a_crop_is_painted_with_the_references_of_its_case(sample: Sample) -> None:
    whole = measure_reference(breast().image).to_dict()
    with_record = Compose([RecordIntensityd(), CROP])(sample())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        painted = tumor()(with_record)
    assert reference_in(painted) == whole
    with pytest.warns(UserWarning, match="measured on the crop. Put RecordIntensityd before"):
        without = tumor()(CROP(sample()))
    assert reference_in(without) != whole


def test_a_crop_to_the_foreground_is_still_the_whole_case(sample: Sample) -> None:
    cropped = CropForegroundd(BOTH, source_key="image", select_fn=lambda x: x > 50)(sample())
    assert cropped["image"].shape != sample()["image"].shape
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tumor()(cropped)


@pytest.mark.usefixtures("untracked")
def test_the_references_need_no_metadata(sample: Sample) -> None:
    pipeline = Compose([RecordIntensityd(), CROP, ToTensord(BOTH)])
    given = {k: v.as_tensor() for k, v in sample().items()}
    with pytest.warns(UserWarning, match="1 mm voxels"):
        painted = tumor()(pipeline(given))
    assert reference_in(painted) == measure_reference(breast().image).to_dict()


def test_every_patch_of_a_case_has_its_references_and_they_collate(sample: Sample) -> None:
    given = sample()
    given["label"][0][ellipsoid(breast().shape, (34, 30, 40), (5, 5, 5))] = 1
    patches = Compose(
        [RecordIntensityd(), RandCropByPosNegLabeld(BOTH, "label", (32, 32, 32), num_samples=3)]
    )(given)
    batch = list_data_collate(patches)
    assert batch["synbt_intensity"].shape == (3, 2, 2)
    expected = measure_reference(breast().image)
    assert [reference_of(values) for values in batch["synbt_intensity"]] == [expected] * 3


@pytest.mark.parametrize("kind", [CacheDataset, PersistentDataset])
def test_caches_and_loaders_carry_them_along(sample: Sample, kind: Any, tmp_path: Any) -> None:
    steps = Compose([RecordIntensityd(), RandSpatialCropd(BOTH, (48, 56, 56), random_size=False)])
    more = {"progress": False} if kind is CacheDataset else {"cache_dir": tmp_path}
    dataset = kind([sample(k) for k in range(2)], steps, **more)
    for _ in range(2):
        (batch,) = DataLoader(dataset, batch_size=2, num_workers=0)
        for k, values in enumerate(batch["synbt_intensity"]):
            assert reference_of(values) == measure_reference(breast(seed=k).image)


def test_references_of_another_signal_are_told_and_not_used(sample: Sample) -> None:
    changed = Compose([RecordIntensityd(), ScaleIntensityd("image"), CROP])(sample())
    with pytest.warns(UserWarning, match="of another signal.*RecordIntensityd after normalisation"):
        painted = tumor()(changed)
    assert reference_in(painted) == measure_reference(changed["image"].as_tensor()).to_dict()


@pytest.mark.parametrize("bad", [3.0, float("nan")])
def test_a_case_that_cannot_be_measured_keeps_the_shape_and_is_not_used(
    sample: Sample, bad: float
) -> None:
    given = sample()
    given["image"][:] = bad
    with pytest.warns(UserWarning, match="a case without intensity references"):
        found = RecordIntensityd()(given)["synbt_intensity"]
    assert found.shape == (2, 2) and found.isnan().all()
    assert reference_of(found) is None


def test_a_missing_image_is_an_error_unless_allowed(sample: Sample) -> None:
    with pytest.raises(KeyError, match="pre"):
        RecordIntensityd(("pre", "post"))(sample())
    given = sample()
    assert RecordIntensityd(("pre", "post"), allow_missing_keys=True)(given) == given


def test_an_image_of_one_channel_is_refused(sample: Sample) -> None:
    with pytest.raises(SynBTError, match=r"channels 0 \(pre\) and 1 \(post\), got shape \(1, "):
        RecordIntensityd()({"image": sample()["image"][:1]})
