"""Replay: from the history, from a recipe, with other transforms around."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchio as tio

from analytic import breast, breast_image, painter
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.torchio import PaintTumor, RecordIntensity, SynBTTumor
from synbt_aug.volume import BreastVolume
from torchio_subjects import empty_label, pair_of, subject_of

pytestmark = pytest.mark.usefixtures("flat")


def painted(subject: tio.Subject | None = None, **settings: Any) -> tio.Subject:
    torch.manual_seed(0)
    transform = SynBTTumor(**{"p": 1, "diameter_mm": 9.0, **settings})
    after: tio.Subject = transform(subject or subject_of())
    return after


def assert_same(first: tio.Subject, second: tio.Subject) -> None:
    assert first.keys() == second.keys()
    for name, image in first.get_images_dict(intensity_only=False).items():
        assert torch.equal(image.data, second[name].data), name


def test_the_history_paints_the_same_voxels_again() -> None:
    after = painted()
    assert_same(after.get_composed_history()(subject_of()), after)


def test_a_pickled_history_paints_the_same_voxels_again() -> None:
    after = painted()
    history = pickle.loads(pickle.dumps(after.get_composed_history()))
    assert_same(history(subject_of()), after)
    assert_same(pickle.loads(pickle.dumps(after)).get_composed_history()(subject_of()), after)


def test_a_recipe_from_json_paints_the_same_voxels_again() -> None:
    after = painted(subject_of(label=empty_label()), tumors=3)
    recipe = json.loads(json.dumps(after.history[0].recipe))
    assert_same(PaintTumor(recipe)(subject_of(label=empty_label())), after)


def test_the_history_is_small_and_holds_values_only() -> None:
    ((name, arguments),) = painted(tumors=3, diameter_mm=7.0).applied_transforms
    assert name == "PaintTumor"
    assert len(json.dumps(arguments)) < 4000


def test_replay_needs_no_seed_and_leaves_torch_s_generator_where_torchio_does() -> None:
    after = painted()
    paint, flip = after.history[0], tio.Flip(axes=(0,))
    left = []
    for transform in (paint, flip):
        torch.manual_seed(8)
        transform(subject_of())
        left.append(torch.rand(1).item())
    assert left[0] == left[1]


def test_replay_records_itself_and_can_be_replayed() -> None:
    after = painted()
    again = after.get_composed_history()(subject_of())
    assert [t.name for t in again.history] == ["PaintTumor"]
    assert again.synbt_outcome == after.synbt_outcome
    assert_same(again.get_composed_history()(subject_of()), after)


@pytest.mark.parametrize("settings", [{"null_paint": 1.0}, {"tumor_label": 4, "tumors": 2}])
def test_whatever_was_painted_is_replayed(settings: dict[str, Any]) -> None:
    subject = subject_of(label=empty_label())
    after = painted(subject, **settings)
    assert_same(after.get_composed_history()(subject), after)


def test_a_shape_given_to_the_core_is_replayed_from_its_recipe(flat: TumorSynthesizer) -> None:
    volume = breast()
    mask = torch.zeros(volume.shape, dtype=torch.bool)
    mask[26:34, 30:40, 30:40] = True
    core = flat(volume, seed=1, tumor_mask=mask)
    after = PaintTumor(core.recipe)(subject_of())
    assert torch.equal(pair_of(after), core.image)
    assert torch.equal(after["label"].data[0].bool(), core.tumor)


def test_replay_in_the_middle_of_other_transforms() -> None:
    chain = tio.Compose(
        [
            tio.ToCanonical(),
            tio.RandomFlip(axes=(0, 1, 2), flip_probability=0.5),
            tio.RandomAffine(degrees=5, translation=2),
            RecordIntensity(),
            tio.CropOrPad((52, 68, 68)),
            SynBTTumor(p=1, diameter_mm=9.0),
            tio.RandomGamma(),
            tio.RandomNoise(std=1),
            tio.ZNormalization(),
        ]
    )
    torch.manual_seed(3)
    before = subject_of()
    after = chain(before)
    names = [t.name for t in after.history]
    assert names.index("Affine") < names.index("Crop") < names.index("PaintTumor")
    assert names[-3:] == ["Gamma", "Noise", "ZNormalization"]
    assert_same(after.get_composed_history()(before), after)


def test_two_paintings_one_after_the_other_are_replayed() -> None:
    after = painted(painted())
    assert [t.name for t in after.history] == ["PaintTumor", "PaintTumor"]
    assert int(after["label"].data.sum()) == 2 * 382
    assert_same(after.get_composed_history()(subject_of()), after)


def test_the_settings_of_the_networks_come_from_the_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    mine, bank = tmp_path / "mine", tmp_path / "b.npz"
    mine.mkdir()
    for file in (mine / "manifest.json", bank):
        file.touch()

    def shared(settings: Any, device: Any) -> TumorSynthesizer:
        asked.append(settings)
        return painter()

    after = painted()
    recipe = copy.deepcopy(after.history[0].recipe)
    recipe["texture"] |= {"steps": 3, "guidance": 2.0, "precision": "bf16"}
    monkeypatch.setattr("synbt_aug.injector.shared_synthesizer", shared)
    with pytest.raises(SynBTError, match="texture settings .*'steps': 3"):
        PaintTumor(recipe, weights=str(mine), bank=str(bank))(subject_of())
    (found,) = asked
    assert (found.steps, found.guidance, found.precision) == (3, 2.0, "bf16")
    assert (found.weights, found.bank) == (str(mine), str(bank))


def test_another_scan_is_refused() -> None:
    recipe = painted().history[0].recipe
    small = subject_of(breast_image()[:, 2:])
    with pytest.raises(SynBTError, match="Replay needs the same scan in the same axis order"):
        PaintTumor(recipe)(small)


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(SynBTError, match="needs a recipe as a dictionary, got str. Read a file"):
        PaintTumor("recipe.json")  # type: ignore[arg-type]
    with pytest.raises(SynBTError, match="this one lacks format"):
        PaintTumor({})(subject_of())


def test_the_recipe_of_the_caller_is_not_held() -> None:
    recipe = painted().history[0].recipe
    transform = PaintTumor(recipe)
    recipe["tumors"].clear()
    assert len(transform.recipe["tumors"]) == 1


def test_the_core_paints_the_same_from_the_same_seed_and_references(
    flat: TumorSynthesizer,
) -> None:
    after = painted()
    recipe = after.history[0].recipe
    volume = BreastVolume(pair_of(subject_of()))
    core = flat(volume, seed=recipe["seed"], diameter_mm=9.0)
    assert core.recipe == recipe and torch.equal(core.image, pair_of(after))


def test_the_injector_replays_the_recipe_to_the_same_voxels(flat: TumorSynthesizer) -> None:
    before = subject_of(label=empty_label())
    after = painted(before, tumors=2)
    injected = SynBTInjector(synthesizer=flat).replay(
        pair_of(before)[None], before["tumor"].data[None], [after.history[0].recipe]
    )
    assert torch.equal(injected.images[0], pair_of(after))
    assert torch.equal(injected.labels[0], after["tumor"].data)
