"""The dictionary transform: keys, pipelines, what it leaves in a sample."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import (
    Compose,
    EnsureTyped,
    Flipd,
    MapTransform,
    OneOf,
    RandAdjustContrastd,
    Randomizable,
    Rotate90d,
    Spacingd,
)
from monai.transforms.traits import LazyTrait

from analytic import MM, breast
from synbt_aug import monai as door
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug_monai import PaintTumord, SynBTTumor, SynBTTumorD, SynBTTumord, SynBTTumorDict

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]


def always(*keys: Any, **settings: Any) -> SynBTTumord:
    given: dict[str, Any] = {"prob": 1.0, "diameter_mm": 9.0, **settings}
    return SynBTTumord(*keys, **given).set_random_state(3)


def test_the_door_and_the_aliases_lead_to_one_class() -> None:
    assert SynBTTumorD is SynBTTumorDict is SynBTTumord is door.SynBTTumord
    assert issubclass(SynBTTumord, MapTransform) and issubclass(SynBTTumord, Randomizable)
    assert not issubclass(SynBTTumord, LazyTrait)


def test_it_paints_what_the_array_transform_of_the_same_seed_paints(sample: Sample) -> None:
    given = sample()
    found = always()(given)
    array = SynBTTumor(prob=1.0, diameter_mm=9.0).set_random_state(3)
    image, label = array(given["image"], given["label"])
    assert torch.equal(found["image"], image) and torch.equal(found["label"], label)
    assert json.loads(found["synbt_recipe"]) == array.outcome["recipe"]
    assert found["synbt_outcome"] == "painted"


def test_array_and_dictionary_agree_over_many_calls() -> None:
    dictionary, array = SynBTTumord(prob=0.4), SynBTTumor(prob=0.4)
    for transform in (dictionary, array):
        transform.set_random_state(8)
    for _ in range(50):
        dictionary.randomize()
        array.randomize()
        assert dictionary._do_transform == array._do_transform
        assert dictionary.painter._seed == array._seed


def test_the_sample_is_unchanged_and_other_entries_pass(sample: Sample) -> None:
    given = sample() | {"case": "a"}
    image, label = given["image"].clone(), given["label"].clone()
    found = always()(given)
    assert set(given) == {"image", "label", "case"}
    assert torch.equal(given["image"], image) and torch.equal(given["label"], label)
    assert set(found) == {"image", "label", "case", "synbt_recipe", "synbt_outcome"}
    assert found["case"] == "a"


def test_pre_and_post_may_be_two_entries(sample: Sample) -> None:
    given = sample()
    pair = {"pre": given["image"][:1], "post": given["image"][1:], "label": given["label"]}
    found, expected = always(("pre", "post"))(pair), always()(given)
    assert torch.equal(found["pre"], expected["image"][:1])
    assert torch.equal(found["post"], expected["image"][1:])
    assert torch.equal(found["label"], expected["label"])
    for key in pair:
        assert isinstance(found[key], MetaTensor) and found[key].shape == pair[key].shape


def test_the_label_among_the_keys_is_no_image(sample: Sample) -> None:
    given = sample()
    found, expected = always(["image", "label"])(given), always("image")(given)
    assert torch.equal(found["image"], expected["image"])


def test_names_of_what_it_leaves_may_be_changed_or_left_out(sample: Sample) -> None:
    found = always(recipe_key="first", outcome_key=None)(sample())
    assert set(found) == {"image", "label", "first"}
    assert json.loads(found["first"])["tumors"]


@pytest.mark.parametrize("missing", ["image", "label"])
def test_a_missing_key_is_an_error_unless_allowed(sample: Sample, missing: str) -> None:
    given = sample()
    del given[missing]
    with pytest.raises(KeyError, match=missing):
        always()(given)
    found = always(allow_missing_keys=True)(given)
    assert set(found) == set(given) | {"synbt_recipe", "synbt_outcome"}
    assert found["synbt_outcome"] == f"{missing} is missing" and found["synbt_recipe"] == ""
    (kept,) = given
    assert found[kept] is given[kept]


@pytest.mark.parametrize(
    "keys, settings, message",
    [
        (("a", "b", "a"), {}, r"keys needs one image with two channels.*\('a', 'b', 'a'\)"),
        (("label",), {}, r"keys needs one image"),
        (("pre", "post"), {"post_channel": 2}, r"for one image that holds both"),
        ("image", {"prop": 0.5}, r"SynBTTumord has no setting called prop.*label_key.*rim"),
    ],
)
def test_keys_and_settings_that_do_not_fit_are_refused(
    keys: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        SynBTTumord(keys, **settings)


def test_pre_and_post_of_different_shape_are_refused(sample: Sample) -> None:
    given = sample()
    pair = {"pre": given["image"][:1], "post": given["image"][1:, 2:], "label": given["label"]}
    with pytest.raises(SynBTError, match=r"pre and post of one shape.*ResampleToMatchd"):
        always(("pre", "post"))(pair)


def test_probability_can_be_changed_during_training(sample: Sample) -> None:
    transform = always()
    transform.prob = 0.0
    assert transform(sample())["synbt_outcome"] == "not drawn"
    assert transform.counts == {"not drawn": 1}


# --- as MONAI checks its own ---


def test_repr_names_keys_and_settings() -> None:
    transform = SynBTTumord(("pre", "post"), "mask", prob=0.3, rim=2.0)
    assert eval(repr(transform)).painter.settings == transform.painter.settings
    assert repr(transform) == (
        "SynBTTumord(keys=('pre', 'post'), label_key='mask', prob=0.3, rim=2.0)"
    )


def test_a_pickled_and_a_copied_transform_go_on_alike(sample: Sample) -> None:
    transform = always()
    transform(sample())
    content = pickle.dumps(transform)
    # Two random states of 5 kB and the last recipe; networks would be megabytes.
    assert len(content) < 20_000
    copies = pickle.loads(content), copy.deepcopy(transform)
    expected = transform(sample())
    for other in copies:
        assert torch.equal(other(sample())["image"], expected["image"])


def test_a_compose_seeds_it_and_two_runs_are_alike(sample: Sample) -> None:
    def run() -> dict[str, Any]:
        pipeline = Compose(
            [
                Flipd(["image", "label"], 0),
                SynBTTumord(prob=1.0, diameter_mm=9.0),
                RandAdjustContrastd("image", prob=1.0),
            ]
        )
        return pipeline.set_random_state(5)(sample())

    first, again = run(), run()
    assert first["label"].sum() > 300
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["label"], again["label"])


def test_one_of_chooses_among_transforms(sample: Sample) -> None:
    either = OneOf([SynBTTumord(prob=0.0, outcome_key=name) for name in ("one", "other")])
    either.set_random_state(0)
    chosen = {name for _ in range(20) for name in either(sample())}
    assert {"one", "other"} <= chosen


def test_spatial_transforms_around_it_can_be_inverted_and_the_tumor_stays(sample: Sample) -> None:
    both = ["image", "label"]
    pipeline = Compose([Flipd(both, 1), always(), Rotate90d(both, 1)])
    painted = pipeline(sample())
    back = pipeline.inverse(painted)
    assert back["image"].shape == sample()["image"].shape
    again = PaintTumord()(Flipd(both, 1)(sample()) | {"synbt_recipe": painted["synbt_recipe"]})
    assert again["label"].any()
    assert torch.equal(back["image"], again["image"].flip(2))
    assert torch.equal(back["label"], again["label"].flip(2))


def test_pending_operations_are_applied_before_it(sample: Sample) -> None:
    both = ["image", "label"]

    def steps() -> list[Any]:
        spacing = Spacingd(both, (1.5, 1.5, 1.5), mode=("bilinear", "nearest"))
        return [Flipd(both, 0), spacing, always()]

    eager, lazy = Compose(steps())(sample()), Compose(steps(), lazy=True)(sample())
    for found in (eager, lazy):
        recipe = json.loads(found["synbt_recipe"])
        assert recipe["spacing"] == [1.5, 1.5, 1.5]
        assert recipe["shape"] == list(found["image"].shape[1:])
        assert not found["image"].pending_operations
        diameter = equivalent_diameter_mm(int((found["label"] == 1).sum()), (1.5, 1.5, 1.5))
        assert abs(diameter - 9.0) < 0.5
    assert len(lazy["image"].applied_operations) == 2


@pytest.mark.usefixtures("untracked")
def test_without_tracking_a_pipeline_of_plain_tensors_works() -> None:
    pipeline = Compose([EnsureTyped(["image", "label"]), always(spacing=MM)])
    given = {
        "image": breast().image.numpy().copy(),
        "label": np.zeros((1, *breast().shape), np.uint8),
    }
    found = pipeline(given)
    assert type(found["image"]) is torch.Tensor and type(found["label"]) is torch.Tensor
    assert found["synbt_outcome"] == "painted"


def test_painted_and_unpainted_samples_collate(sample: Sample) -> None:
    batch = list_data_collate([always()(sample()), always(prob=0.0)(sample(1))])
    assert batch["image"].shape == (2, 2, *breast().shape)
    assert batch["synbt_outcome"] == ["painted", "not drawn"]
    assert [bool(recipe) for recipe in batch["synbt_recipe"]] == [True, False]


def test_a_repainted_healthy_place_leaves_no_label_and_a_recipe(sample: Sample) -> None:
    given = sample()
    found = always(null_paint=1.0)(given)
    assert not found["label"].any()
    assert found["synbt_outcome"] == "painted"
    assert json.loads(found["synbt_recipe"])["tumors"][0]["kind"] == "null"
    assert not torch.equal(found["image"], given["image"])
