"""Images and dictionaries with further phases, a subtraction and other sequences."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from analytic import MM, breast, painter, seeded
from breast_series import Flat, series_image
from synbt_aug import injector
from synbt_aug.errors import SynBTError
from synbt_aug_monai import PaintTumor, PaintTumord, RecordIntensityd, SynBTTumor, SynBTTumord

PRE, POST, SECOND, THIRD = series_image()
T2 = torch.rand(breast().shape, generator=seeded(8)) * 70
KEYS = ("pre", "post", "post3", "sub", "post2", "T2")
SERIES: dict[str, Any] = {"post_channels": (0, 3, 4), "subtraction_channels": (5,)}


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    synthesizer = painter(Flat())
    monkeypatch.setattr(injector, "shared_synthesizer", lambda *_: synthesizer)


def sample() -> dict[str, Any]:
    images = {"pre": PRE, "post": POST, "post2": SECOND, "post3": THIRD, "T2": T2}
    images["sub"] = POST - PRE
    made: dict[str, Any] = {k: MetaTensor(v[None].clone(), affine=torch.eye(4)) for k, v in
                            images.items()}  # fmt: skip
    return {**made, "label": torch.zeros((1, *breast().shape), dtype=torch.uint8)}


def image_of() -> Tensor:
    return torch.stack([POST, T2, PRE, SECOND, THIRD, POST - PRE])


def painted(given: dict[str, Any] | None = None, keys: Any = KEYS, **settings: Any) -> Any:
    transform = SynBTTumord(keys, prob=1.0, diameter_mm=12.0, **settings)
    found = transform.set_random_state(1)(given or sample())
    assert found["synbt_outcome"] == "painted"
    return found


def test_every_key_of_the_series_is_painted_and_other_sequences_stay() -> None:
    before, after = sample(), painted(curve="washout")
    tumor = after["label"][0] > 0
    assert torch.equal(after["T2"], before["T2"]) and isinstance(after["post2"], MetaTensor)
    for key in ("pre", "post", "post2", "post3", "sub"):
        changed = (after[key] != before[key])[0]
        assert changed[tumor].float().mean() > 0.9 and changed.sum() < 4 * tumor.sum(), key
    expected = (after["post"] - after["pre"])[0]
    assert torch.allclose(after["sub"][0][tumor], expected[tumor], atol=1e-3)
    curve = json.loads(after["synbt_recipe"])["tumors"][0]["curve"]
    assert curve["kind"] == "washout" and 1 > curve["fractions"][0] > curve["fractions"][1]


def test_a_recipe_replays_every_key_bitwise() -> None:
    after = painted()
    again = PaintTumord(KEYS)({**sample(), "synbt_recipe": after["synbt_recipe"]})
    for key in (*KEYS, "label"):
        assert torch.equal(again[key], after[key]), key


def test_the_channels_of_one_image_are_painted_as_the_keys_are() -> None:
    several = painted()
    transform = SynBTTumor(
        prob=1.0, diameter_mm=12.0, spacing=MM, pre_channel=2, post_channel=0,
        unpainted_channels="allow", **SERIES,
    )  # fmt: skip
    label = torch.zeros((1, *breast().shape), dtype=torch.uint8)
    with pytest.warns(UserWarning, match="not painted: channel 1; they contradict"):
        image, new = transform.set_random_state(1)(image_of(), label)
    order = ("post", "T2", "pre", "post2", "post3", "sub")
    for channel, key in enumerate(order):
        assert torch.equal(image[channel], several[key].as_tensor()[0]), key
    replay = PaintTumor(spacing=MM, pre_channel=2, post_channel=0, **SERIES)
    with pytest.warns(UserWarning, match="contradict"):
        again, again_label = replay(image_of(), label, transform.outcome["recipe"])
    assert torch.equal(again, image) and torch.equal(again_label, new)


def test_a_later_phase_that_is_no_key_is_refused() -> None:
    with pytest.raises(SynBTError, match="missing in 2: post2, 3: post3"):
        painted({k: v for k, v in sample().items() if k != "sub"}, ("pre", "post"))


def test_a_phase_of_another_shape_is_refused() -> None:
    given = sample()
    given["post2"] = given["post2"][:, ::2]
    with pytest.raises(SynBTError, match="all channels of a series on one grid|needs 'post2'"):
        painted(given)


def test_references_that_were_recorded_of_the_pair_serve_the_whole_series() -> None:
    whole = RecordIntensityd(KEYS)(sample())
    assert whole["synbt_intensity"].shape == (2, 2)
    after = painted(whole)
    assert (after["post3"] != sample()["post3"]).any()
    recipe = json.loads(after["synbt_recipe"])
    assert len(recipe["reference"]["low"]) == 4
