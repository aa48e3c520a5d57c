"""Site maps of the whole case reach the transform after crops, turns, caches and loaders."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import DataLoader, MetaTensor, PersistentDataset
from monai.transforms import (
    Compose,
    RandAffined,
    RandFlipd,
    RandRotate90d,
    RandSpatialCropd,
    RandZoomd,
    SpatialCropd,
)

from analytic import breast
from synbt_aug.errors import SynBTError
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.site_lookup import grid_voxels, looked_up
from synbt_aug.transform import RecordedSites
from synbt_aug_monai import RecordSitesD, RecordSitesd, RecordSitesDict, SynBTTumord

Sample = Callable[..., dict[str, Any]]

BOTH = ["image", "label"]
ALL = [*BOTH, "places"]
CROP = SpatialCropd(ALL, roi_start=(8, 8, 8), roi_end=(56, 64, 64))
LINEAR = ["bilinear", "nearest", "nearest"]


def never(*_: Any) -> Any:
    raise AssertionError("tissues are looked for in a crop")


def tumor(seed: int = 1) -> SynBTTumord:
    return SynBTTumord(prob=1.0, diameter_mm=9.0).set_random_state(seed)


def with_places(sample: dict[str, Any]) -> dict[str, Any]:
    """With an entry that says where in the case each voxel is, and goes through every step."""
    axes = [torch.arange(n, dtype=torch.float32) for n in sample["image"].shape[1:]]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return {**sample, "places": MetaTensor(places, affine=sample["image"].affine)}


@pytest.mark.parametrize(
    "steps",
    [
        [CROP],
        [RandFlipd(ALL, 1.0, (0, 2)), RandRotate90d(ALL, 1.0, 1, (0, 1)), CROP],
        [RandZoomd(ALL, 1.0, 1.2, 1.25, mode=["trilinear", "nearest", "nearest"]), CROP],
        [RandAffined(ALL, (48, 56, 56), 1.0, (0.3, 0.2, 0.3), None, (4, 4, 4), 0.1, LINEAR)],
    ],
    ids=["crop", "flip and turn", "zoom", "affine"],
)
def test_a_tumor_goes_where_the_whole_case_s_map_lets_it(
    steps: list[Any], sample: Sample, flat: TumorSynthesizer
) -> None:
    recorded = RecordSitesd()(with_places(sample()))
    sites = RecordedSites.from_bytes(recorded["synbt_sites"]).sites
    flat.segmenter = never
    prepared = Compose(steps).set_random_state(2)(recorded)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*site map.*")
        painted = tumor()(prepared)
    assert painted["synbt_outcome"] == "painted"
    assert not {"synbt_sites", "synbt_sites_affine"} & set(painted)
    came_from = torch.as_tensor(painted["places"])[:, torch.as_tensor(painted["label"])[0] == 1]
    allowed, known = looked_up(sites.allowed, grid_voxels(sites, came_from))
    # The label is finer than the map: its surface may reach a voxel beyond.
    assert known.all() and allowed.float().mean() > 0.95


def test_the_map_is_that_of_the_whole_case_in_some_kilobytes(sample: Sample, flat: Any) -> None:
    packed = RecordSitesd()(sample())["synbt_sites"]
    assert type(packed) is bytes and len(packed) < 200_000
    whole = flat.segmenter(breast().image[0], (1.0, 1.0, 1.0))
    found = RecordedSites.from_bytes(packed)
    assert found.sites.weight.shape == whole.probability.shape[1:]
    assert found.shape == breast().shape and bool(found.sites.allowed.any())


@pytest.mark.parametrize("change", ["flipped", "shifted", "elsewhere"])
def test_an_image_changed_otherwise_is_noticed(change: str, sample: Sample, flat: Any) -> None:
    prepared = CROP(with_places(RecordSitesd()(sample())))
    if change == "elsewhere":
        # Its affine says that it lies beside the case.
        prepared["image"].affine[:3, 3] += 500
        prepared["label"].affine[:3, 3] += 500
    else:
        other = prepared["image"].flip(1)
        if change == "of another case":
            other = CROP(with_places(sample(seed=3)))["image"]
        prepared["image"] = MetaTensor(other, meta=prepared["image"].meta)
    with pytest.warns(UserWarning, match="not of this image as it is now"):
        painted = tumor()(prepared)
    assert painted["synbt_outcome"] == "painted"


def test_a_map_found_with_other_settings_is_not_used(sample: Sample, flat: Any) -> None:
    prepared = RecordSitesd(paint_over=(3,))(sample())
    with pytest.warns(UserWarning, match="Give both transforms the same"):
        tumor()(prepared)


def test_an_image_without_metadata_says_where_it_is_not_known(sample: Sample, flat: Any) -> None:
    prepared = CROP(with_places(RecordSitesd()(sample())))
    plain = {**prepared, **{k: prepared[k].as_tensor() for k in BOTH}}
    with pytest.warns(UserWarning, match="where the image lies in the case .* is not known"):
        assert tumor()(plain)["synbt_outcome"] == "painted"


def test_something_else_under_the_key_is_refused(sample: Sample, flat: Any) -> None:
    with pytest.raises(SynBTError, match="site map of this sample cannot be read"):
        tumor()({**sample(), "synbt_sites": b"nothing"})


def test_the_aliases_are_one_class_that_pickles() -> None:
    assert RecordSitesD is RecordSitesDict is RecordSitesd
    again = pickle.loads(pickle.dumps(RecordSitesd(("pre", "post"))))
    assert repr(again) == "RecordSitesd(keys=('pre', 'post'), label_key='label')"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_maps_go_through_a_cache_and_a_loader_with_two_workers(
    sample: Sample, flat: TumorSynthesizer, tmp_path: Any
) -> None:
    steps = [RecordSitesd(), RandSpatialCropd(BOTH, (48, 56, 56), random_size=False)]
    cases = [sample(seed) for seed in range(3)]
    # The first pass fills the cache.
    for case in PersistentDataset(cases, Compose(steps), tmp_path):
        assert "synbt_sites" in case
    flat.segmenter = never
    with_tumors = PersistentDataset(cases, Compose([*steps, tumor()]), tmp_path)
    batches = list(DataLoader(with_tumors, batch_size=3, num_workers=2))
    assert batches[0]["synbt_outcome"] == ["painted"] * 3
    seldom = SynBTTumord(prob=0.0)
    not_drawn = PersistentDataset(cases, Compose([*steps, seldom]), tmp_path)
    (batch,) = DataLoader(not_drawn, batch_size=3)
    assert batch["synbt_outcome"] == ["not drawn"] * 3 and "synbt_sites" not in batch
