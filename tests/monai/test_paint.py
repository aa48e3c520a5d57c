"""Replay: a recipe paints the same again, and only where it belongs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Compose, MapTransform, Randomizable

from analytic import MM, breast
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug_monai import PaintTumor, PaintTumorD, PaintTumord, PaintTumorDict, SynBTTumord

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]


def painted_from(given: dict[str, Any], seed: int = 0, **settings: Any) -> dict[str, Any]:
    transform = SynBTTumord(prob=1.0, diameter_mm=9.0, **settings)
    return transform.set_random_state(seed)(given)


def test_it_is_deterministic_as_monai_means_it() -> None:
    assert PaintTumorD is PaintTumorDict is PaintTumord
    assert issubclass(PaintTumord, MapTransform)
    assert not issubclass(PaintTumord, Randomizable) and not issubclass(PaintTumor, Randomizable)


@pytest.mark.parametrize("tumors", [1, 3])
def test_the_recipe_of_a_sample_paints_it_again(sample: Sample, tumors: int) -> None:
    painted = painted_from(sample(), tumors=tumors)
    again = PaintTumord()(sample() | {"synbt_recipe": painted["synbt_recipe"]})
    assert torch.equal(again["image"], painted["image"])
    assert torch.equal(again["label"], painted["label"])
    assert again["label"].any()


@pytest.mark.parametrize("form", [json.loads, str])
def test_a_recipe_may_be_a_dictionary_or_its_json(
    sample: Sample, form: Callable[[str], Any]
) -> None:
    painted = painted_from(sample())
    given = sample()
    by_call = PaintTumor()(given["image"], given["label"], form(painted["synbt_recipe"]))
    by_name = PaintTumor(form(painted["synbt_recipe"]))(given["image"], given["label"])
    for found in (by_call, by_name):
        assert torch.equal(found[0], painted["image"]) and torch.equal(found[1], painted["label"])


def test_arrays_come_back_as_arrays(sample: Sample) -> None:
    painted = painted_from(sample())
    image, label = PaintTumor(painted["synbt_recipe"], spacing=MM)(
        breast().image.numpy(), np.zeros((1, *breast().shape), np.int16)
    )
    assert isinstance(image, np.ndarray) and label.dtype == np.int16
    assert np.array_equal(image, painted["image"].numpy())


def test_an_empty_recipe_paints_nothing(sample: Sample) -> None:
    given = sample() | {"synbt_recipe": ""}
    found = PaintTumord()(given)
    assert found["image"] is given["image"] and found["label"] is given["label"]


def test_one_recipe_for_all_needs_no_entry(sample: Sample) -> None:
    painted = painted_from(sample())
    found = PaintTumord("image", recipe=painted["synbt_recipe"])(sample())
    assert torch.equal(found["image"], painted["image"])


def test_pre_and_post_may_be_two_entries(sample: Sample) -> None:
    painted, given = painted_from(sample()), sample()
    pair = {"pre": given["image"][:1], "post": given["image"][1:], "label": given["label"]}
    found = PaintTumord(("pre", "post"), recipe=painted["synbt_recipe"])(pair)
    assert torch.equal(torch.cat([found["pre"], found["post"]]), painted["image"])


@pytest.mark.parametrize("missing", ["image", "label", "synbt_recipe"])
def test_a_missing_key_is_an_error_unless_allowed(sample: Sample, missing: str) -> None:
    given = sample() | {"synbt_recipe": ""}
    del given[missing]
    with pytest.raises(KeyError, match=missing):
        PaintTumord()(given)
    assert PaintTumord(allow_missing_keys=True)(given) == given


def test_a_cache_keeps_what_it_painted(sample: Sample, flat: TumorSynthesizer) -> None:
    painted = painted_from(sample())
    given = sample() | {"synbt_recipe": painted["synbt_recipe"]}
    dataset = CacheDataset([given], Compose([PaintTumord()]), progress=False)
    calls = len(flat.texture.batches)  # type: ignore[attr-defined]
    for _ in range(2):
        assert torch.equal(dataset[0]["image"], painted["image"])
    assert len(flat.texture.batches) == calls  # type: ignore[attr-defined]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A weights folder by its name in the working folder; nothing reads what is in it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").touch()
    monkeypatch.chdir(tmp_path)
    return "mine"


def test_the_recipe_s_steps_are_used(
    monkeypatch: pytest.MonkeyPatch, sample: Sample, mine: str
) -> None:
    asked: list[InjectionSettings] = []

    def shared(settings: InjectionSettings, device: torch.device) -> TumorSynthesizer:
        asked.append(settings)
        raise SynBTError("far enough")

    painted = painted_from(sample())
    recipe = json.loads(painted["synbt_recipe"])
    recipe["texture"] = {"name": "diffusion", "steps": 4, "guidance": 2.0, "precision": "bf16"}
    monkeypatch.setattr("synbt_aug.injector.shared_synthesizer", shared)
    with pytest.raises(SynBTError, match="far enough"):
        PaintTumord(recipe=recipe, weights=mine)(sample())
    wanted = InjectionSettings(weights=mine, steps=4, guidance=2.0, precision="bf16")
    assert asked == [replace(wanted, unpainted_channels="allow")]


def test_what_is_no_recipe_is_refused(sample: Sample) -> None:
    given = sample()
    with pytest.raises(SynBTError, match=r"a dictionary or its JSON, got '\{nonsense'"):
        PaintTumor("{nonsense")
    with pytest.raises(SynBTError, match=r"a dictionary or its JSON, got list"):
        PaintTumor("[1, 2]")
    with pytest.raises(SynBTError, match=r"PaintTumor needs a recipe: pass recipe="):
        PaintTumor()(given["image"], given["label"])
    with pytest.raises(SynBTError, match=r"lacks format"):
        PaintTumor({})(given["image"], given["label"])


def test_a_recipe_of_another_grid_is_refused(sample: Sample) -> None:
    painted = painted_from(sample())
    other = sample(spacing=(0.9, 1.0, 1.0))
    with pytest.raises(SynBTError, match=r"was made for a volume of shape"):
        PaintTumord(recipe=painted["synbt_recipe"])(other)


def test_repr_names_what_differs_from_the_defaults(mine: str) -> None:
    assert repr(PaintTumor(weights=mine)) == "PaintTumor(weights='mine')"
    assert repr(PaintTumord()) == "PaintTumord(keys=('image',), label_key='label')"
