"""Site maps of the whole case reach the transform after crops, turns, samplers and loaders."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pytest
import torch
import torchio as tio

from analytic import breast_image
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.site_lookup import grid_voxels, looked_up
from synbt_aug.torchio import SITES_KEY, RecordIntensity, RecordSites, SynBTTumor
from synbt_aug.transform import RecordedSites
from synbt_aug_torchio.whereabouts import WHEREABOUTS
from torchio_subjects import affine_of, empty_label, subject_of, subjects

CROP = tio.Crop((8, 0, 10, 6, 10, 6))


def never(*_: Any) -> Any:
    raise AssertionError("tissues are looked for in a crop")


def paint(subject: tio.Subject) -> tio.Subject:
    torch.manual_seed(0)
    after: tio.Subject = SynBTTumor(p=1, diameter_mm=9.0, label="tumor")(subject)
    return after


def recorded(seed: int = 0) -> tio.Subject:
    """With an image that says where in the case each voxel is, and goes through every step."""
    subject = subject_of(breast_image(seed=seed), empty_label())
    axes = [torch.arange(n, dtype=torch.float32) for n in subject.spatial_shape]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    subject.add_image(tio.LabelMap(tensor=places, affine=affine_of()), "places")
    found: tio.Subject = RecordSites(label="tumor")(subject)
    return found


@pytest.mark.parametrize(
    "steps",
    [
        [CROP],
        [tio.Flip((0, 2)), CROP],
        [tio.Affine((1.2, 1.1, 1.2), (15, -10, 20), (3, 0, -2)), CROP],
        [tio.RandomElasticDeformation(max_displacement=3), CROP],
    ],
    ids=["crop", "flip", "affine", "elastic"],
)
def test_a_tumor_goes_where_the_whole_case_s_map_lets_it(
    steps: list[Any], flat: TumorSynthesizer
) -> None:
    subject = recorded()
    sites = RecordedSites.from_bytes(subject[SITES_KEY]).sites
    flat.segmenter = never
    torch.manual_seed(4)
    prepared = tio.Compose(steps)(subject)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*site map.*")
        painted = paint(prepared)
    assert painted.synbt_outcome["painted"]
    assert SITES_KEY not in painted and WHEREABOUTS not in painted
    assert not hasattr(painted, WHEREABOUTS)
    came_from = painted["places"].data[:, painted["tumor"].data[0] == 1]
    allowed, known = looked_up(sites.allowed, grid_voxels(sites, came_from))
    # The label is finer than the map: its surface may reach a voxel beyond.
    assert known.all() and allowed.float().mean() > 0.95


def test_an_image_changed_otherwise_is_noticed(flat: Any) -> None:
    subject = CROP(recorded())
    for name in ("pre", "post"):
        subject[name].set_data(subject[name].data.flip(2))
    with pytest.warns(UserWarning, match="not of this image as it is now"):
        assert paint(subject).synbt_outcome["painted"]


def test_a_map_found_with_other_settings_is_not_used(flat: Any) -> None:
    subject = RecordSites(label="tumor", paint_over=(3,))(subject_of(label=empty_label()))
    with pytest.warns(UserWarning, match="Give both transforms the same"):
        paint(subject)


def test_the_whereabouts_are_no_label(flat: Any) -> None:
    # Without a name the only label map is the tumors': that of whereabouts does not count.
    subject = RecordIntensity()(RecordSites()(subject_of(label=empty_label())))
    torch.manual_seed(0)
    painted = SynBTTumor(p=1, diameter_mm=9.0)(subject)
    assert bool(painted["tumor"].data.any())
    bare = RecordSites()(subject_of())
    assert WHEREABOUTS in bare and "label" not in bare
    assert bool(SynBTTumor(p=1, diameter_mm=9.0)(bare)["label"].data.any())


def test_it_pickles_and_is_told_in_the_history(flat: Any) -> None:
    again = pickle.loads(pickle.dumps(RecordSites(label="tumor")))
    assert again.label == "tumor"
    assert [name for name, _ in RecordSites()(subject_of()).applied_transforms] == ["RecordSites"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_maps_go_through_a_loader_with_two_workers(flat: TumorSynthesizer) -> None:
    cases = [RecordSites()(subject) for subject in subjects(3)]
    flat.segmenter = never
    for p in (1, 0):
        steps = tio.Compose([tio.RandomFlip((0, 1, 2)), CROP, SynBTTumor(p=p, diameter_mm=9.0)])
        loader = tio.SubjectsLoader(tio.SubjectsDataset(cases, steps), batch_size=3, num_workers=2)
        (batch,) = loader
        assert batch["label"][tio.DATA].flatten(1).any(1).tolist() == [p == 1] * 3
        assert SITES_KEY not in batch and WHEREABOUTS not in batch
