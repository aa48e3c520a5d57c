"""Where images lie and how large their voxels are, also where a cache dropped the metadata."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, PersistentDataset
from monai.transforms import (
    Compose,
    EnsureTyped,
    Flipd,
    RandFlipd,
    RandRotate90d,
    RandSpatialCropd,
    RandZoomd,
    Rotate90d,
    Spacingd,
    SpatialPadd,
)

from analytic import breast
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug_monai import RecordIntensityd, SynBTTumor, SynBTTumord

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]

BOTH = ["image", "label"]
MM = (0.8, 0.9, 1.3)
CROP = RandSpatialCropd(BOTH, (64, 64, 40), random_size=False)


def tumor(**settings: Any) -> SynBTTumord:
    given = {"prob": 1.0, "diameter_mm": 9.0, **settings}
    return SynBTTumord(**given).set_random_state(1)


def forget(sample: dict[str, Any]) -> dict[str, Any]:
    """What a cache gives back."""
    found: dict[str, Any] = EnsureTyped(BOTH, track_meta=False)(sample)
    return found


def recipe_of(painted: dict[str, Any]) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(painted["synbt_recipe"])
    return recipe


def diameter_of(painted: dict[str, Any], spacing: tuple[float, float, float]) -> float:
    return equivalent_diameter_mm(int(painted["label"].sum()), spacing)


@pytest.fixture
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


# --- voxel size ---


@pytest.mark.usefixtures("quiet")
def test_a_cache_that_drops_metadata_keeps_the_voxel_size(sample: Sample, tmp_path: Path) -> None:
    steps = Compose([RecordIntensityd(), CROP, tumor()]).set_random_state(3)
    dataset = PersistentDataset([sample(spacing=MM)], steps, cache_dir=tmp_path)
    for _ in range(3):  # the first access is not from the cache
        painted = dataset[0]
        assert recipe_of(painted)["spacing"] == list(MM)
        assert abs(diameter_of(painted, MM) - 9.0) < 0.3


@pytest.mark.usefixtures("quiet")
def test_the_voxel_size_and_references_outlive_the_affine(sample: Sample) -> None:
    recorded = RecordIntensityd()(sample(spacing=MM))
    with_affine, without = tumor()(recorded), tumor()(forget(recorded))
    assert recipe_of(without) == recipe_of(with_affine)
    assert torch.equal(without["image"], with_affine["image"].as_tensor())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "turn, expected",
    [
        (RandRotate90d(BOTH, prob=1.0, max_k=1, spatial_axes=(0, 2)), (1.3, 0.9, 0.8)),
        (RandFlipd(BOTH, prob=1.0, spatial_axis=1), MM),
        (RandZoomd(BOTH, prob=1.0, min_zoom=1.05, max_zoom=1.05, mode="nearest"), None),
    ],
)
def test_what_is_turned_after_the_loss_has_the_size_of_its_axes(
    sample: Sample, turn: Any, expected: tuple[float, ...] | None
) -> None:
    painted = tumor()(turn(forget(RecordIntensityd()(sample(spacing=MM)))))
    found = recipe_of(painted)["spacing"]
    assert found == pytest.approx(expected or [mm / 1.05 for mm in MM], rel=0.02)


def test_a_crop_before_the_loss_is_told_and_painted_at_the_recorded_size(sample: Sample) -> None:
    cropped = forget(CROP(RecordIntensityd()(sample(spacing=MM))))
    with pytest.warns(UserWarning, match="lost its affine after RecordIntensityd.*0.8 x 0.9 x 1.3"):
        painted = tumor()(cropped)
    assert recipe_of(painted)["spacing"] == list(MM)


@pytest.mark.parametrize(
    "between",
    [
        SpatialPadd(BOTH, (100, 100, 80)),
        Rotate90d(BOTH, spatial_axes=(0, 2)),
        Spacingd(BOTH, (0.8, 0.9, 1.1)),
    ],
    ids=["padded", "turned", "resampled"],
)
def test_what_cannot_be_a_crop_voids_the_record(sample: Sample, between: Any) -> None:
    changed = forget(between(RecordIntensityd()(sample(spacing=MM))))
    with pytest.warns(UserWarning, match="more than the .* there: it was turned, padded or resam"):
        painted = tumor()(changed)
    assert recipe_of(painted)["spacing"] == [1.0, 1.0, 1.0]
    own = tumor()({k: v for k, v in changed.items() if k in BOTH})
    assert recipe_of(painted)["reference"] == recipe_of(own)["reference"]


@pytest.mark.parametrize("size", [(1.3, 1.3, 1.3), (0.8, 0.9, 1.8)])
def test_a_resampling_after_the_record_voids_the_references(
    sample: Sample, size: tuple[float, float, float]
) -> None:
    recorded = RecordIntensityd()(sample(spacing=MM))
    changed = Spacingd(BOTH, size, mode=("bilinear", "nearest"))(recorded)
    with pytest.warns(UserWarning, match="resampled in between.*Put RecordIntensityd after the"):
        painted = tumor()(changed)
    assert recipe_of(painted)["spacing"] == list(size)
    again = tumor()(RecordIntensityd()(changed))
    assert recipe_of(painted)["reference"] == recipe_of(again)["reference"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "between",
    [
        Rotate90d(BOTH, spatial_axes=(0, 2)),
        RandZoomd(BOTH, prob=1.0, min_zoom=1.05, max_zoom=1.05, mode="nearest"),
    ],
)
def test_a_turn_and_a_small_zoom_keep_the_references(sample: Sample, between: Any) -> None:
    recorded = RecordIntensityd()(sample(spacing=MM))
    painted = tumor()(between(recorded))
    assert recipe_of(painted)["reference"] == recipe_of(tumor()(recorded))["reference"]


def test_without_a_record_a_lost_voxel_size_is_told_once_a_pipeline(sample: Sample) -> None:
    for _ in range(2):  # two pipelines of one process
        transform = tumor()
        with pytest.warns(UserWarning, match="takes 1 mm voxels.*RecordIntensityd before a cache"):
            transform(forget(sample(spacing=MM)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            transform(forget(sample(spacing=MM)))


def test_a_crop_of_an_array_knows_no_voxel_size(sample: Sample) -> None:
    # MONAI turns it into a MetaTensor whose affine begins as the identity.
    with pytest.warns(UserWarning, match="takes 1 mm voxels"):
        tumor()(CROP(forget(sample(spacing=MM))))


@pytest.mark.usefixtures("quiet")
def test_spacing_by_name_goes_before_what_is_recorded(sample: Sample) -> None:
    recorded = RecordIntensityd()(sample(spacing=MM))
    painted = tumor(spacing=(1.0, 1.0, 2.0))(forget(recorded))
    assert recipe_of(painted)["spacing"] == [1.0, 1.0, 2.0]


def test_a_record_without_a_voxel_size_is_nan_so_that_batches_collate(sample: Sample) -> None:
    assert bool(RecordIntensityd()(forget(sample()))["synbt_grid"].isnan().all())
    found = RecordIntensityd()(sample(spacing=MM))["synbt_grid"]
    assert found.tolist() == [list(MM), list(breast(MM).shape)]


def test_the_record_of_a_batch_is_refused(sample: Sample) -> None:
    given = {**sample(), "synbt_grid": torch.ones(4, 2, 3)}
    with pytest.raises(SynBTError, match=r"grid of one sample needs shape \(2, 3\), got \(4, 2, 3"):
        tumor()(given)
    given = {**sample(), "synbt_intensity": torch.ones(4, 2, 2)}
    with pytest.raises(SynBTError, match=r"of one case need .*\(2, 2\), got \(4, 2, 2\)"):
        tumor()(given)


def test_what_is_recorded_leaves_the_given_image_alone(sample: Sample) -> None:
    given = sample(spacing=MM)
    before = dict(given["image"].meta)
    RecordIntensityd()(given)
    assert given["image"].meta.keys() == before.keys() and "synbt_grid" not in given


# --- one grid ---


def moved(array: MetaTensor, mm: float) -> MetaTensor:
    affine = array.affine.clone()
    affine[1, 3] += mm
    return MetaTensor(array.as_tensor(), affine=affine, meta={"filename_or_obj": "moved.nii.gz"})


@pytest.fixture
def three(sample: Sample) -> dict[str, Any]:
    made = sample(spacing=MM)
    label = made["label"]
    return {"pre": made["image"][:1], "post": made["image"][1:], "label": label, "roi": label + 1}


def paint_three(given: dict[str, Any]) -> dict[str, Any]:
    transform = SynBTTumord(("pre", "post"), prob=0.0, roi_key="roi")
    return transform(given)


@pytest.mark.parametrize("name", ["post", "label", "roi"])
def test_pre_and_another_mirrored_to_each_other_are_refused(
    three: dict[str, Any], name: str
) -> None:
    with pytest.raises(
        SynBTError,
        match=f"needs '{name}' on the grid of 'pre', but it has another affine.*axes point to LAS, "
        f"not RAS.*ResampleToMatchd",
    ):
        paint_three(Flipd(name, 0)(three))


@pytest.mark.parametrize("name", ["post", "label", "roi"])
def test_another_40_mm_off_is_refused_and_rounding_is_not(three: dict[str, Any], name: str) -> None:
    with pytest.raises(SynBTError, match=f"'{name}' on the grid of 'pre'.*up to 40.00 mm apart"):
        paint_three({**three, name: moved(three[name], 40)})
    paint_three({**three, name: moved(three[name], 0.05)})


def test_arrays_that_were_turned_apart_are_refused(three: dict[str, Any]) -> None:
    arrays = {k: v.as_tensor() for k, v in three.items()}
    together = Flipd(["pre", "post", "label", "roi"], 0)(arrays)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*1 mm voxels")
        paint_three(together)
        with pytest.raises(SynBTError, match="'post' on the grid of 'pre'"):
            paint_three({**together, "post": Flipd("post", 1)(arrays)["post"]})


def test_an_array_beside_images_that_know_their_place_is_taken_as_it_lies(
    three: dict[str, Any],
) -> None:
    cropped = RandSpatialCropd(["pre", "post"], (40, 40, 40), random_size=False)(three)
    for label in (torch.zeros(1, 40, 40, 40), np.zeros((1, 40, 40, 40), np.uint8)):
        paint_three({**cropped, "label": label, "roi": label})


def test_the_array_transform_looks_at_its_label_too(sample: Sample) -> None:
    given = sample(spacing=MM)
    with pytest.raises(SynBTError, match="needs 'the label' on the grid of 'the image'"):
        SynBTTumor(prob=0.0)(given["image"], moved(given["label"], 40))


@pytest.mark.parametrize("name", ["pre", "label"])
def test_an_affine_that_spans_no_volume_is_refused(three: dict[str, Any], name: str) -> None:
    flat = torch.diag(torch.tensor([1.0, 0.0, 1.0, 1.0]))
    three[name] = MetaTensor(three[name].as_tensor(), affine=flat)
    with pytest.raises(SynBTError, match=f"'{name}' needs three axes with a voxel size each"):
        paint_three(three)
    with pytest.raises(SynBTError, match=f"'{name}' needs three axes with a voxel size each"):
        RecordIntensityd((name, "post"))(three)
