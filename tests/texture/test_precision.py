"""The networks' arithmetic: chosen by the device, checked against float32, kept in recipes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import breast, find_tissue, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.networks import Denoiser, precision
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TumorInpainter
from synbt_aug.texture.choice import texture_of_recipe
from synbt_aug.texture.precision import small_window


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    precision._say.cache_clear()
    precision._warn.cache_clear()
    yield


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with units for bfloat16; where it has none, torch emulates it."""
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: True)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without."""
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: False)


class Straying(Denoiser):
    """Adds something to what it predicts in bfloat16, and in nothing else."""

    adds = 0.0

    def forward(self, *inputs: Tensor) -> Tensor:
        predicted: Tensor = super().forward(*inputs)
        return predicted + self.adds if torch.is_autocast_enabled("cpu") else predicted


def straying(adds: float) -> Straying:
    network = Straying(tiny_weights().denoiser.settings)
    network.load_state_dict(tiny_weights().denoiser.state_dict())
    network.adds = adds
    return network


def inpainter(name: str = "auto", denoiser: Denoiser | None = None) -> TumorInpainter:
    w = tiny_weights()
    return TumorInpainter(
        w.autoencoder,
        denoiser or w.denoiser,
        w.schedule,
        hole_margin_mm=2.0,
        steps=2,
        precision=name,
    )


def painted(name: str) -> TumorSynthesizer:
    return TumorSynthesizer(tiny_weights(), tissue=find_tissue, steps=2, precision=name)


def paint(painter: TumorSynthesizer) -> Any:
    return painter(breast(), seed=3, diameter_mm=14.0)


def test_every_host_leaves_the_choice_to_the_device() -> None:
    assert InjectionSettings().precision == "auto"
    assert TumorSynthesizer(tiny_weights(), tissue=find_tissue).texture.recipe()["precision"] in (
        "bf16",
        "fp32",
    )


@pytest.mark.usefixtures("fast")
def test_a_device_that_is_fast_at_bfloat16_gets_it() -> None:
    assert inpainter().recipe()["precision"] == "bf16"


@pytest.mark.usefixtures("slow")
def test_any_other_device_gets_float32() -> None:
    assert inpainter().recipe()["precision"] == "fp32"


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
@pytest.mark.usefixtures("slow")
def test_what_was_named_is_taken(name: str) -> None:
    assert inpainter(name).recipe()["precision"] == name


@pytest.mark.parametrize("name", ["fp8", "Auto", None, ["bf16"]])
def test_other_names_are_refused(name: Any) -> None:
    with pytest.raises(SynBTError, match="precision needs (one of 'auto', 'fp32'|a word)"):
        InjectionSettings(precision=name)
    with pytest.raises(SynBTError, match="precision needs one of 'auto', 'fp32', 'bf16', 'fp16'"):
        inpainter(name)


def test_the_difference_is_that_of_the_worst_network() -> None:
    w = tiny_weights()

    def apart(denoiser: Denoiser, name: str) -> float:
        exact = small_window(w.autoencoder, denoiser, "fp32")
        return precision.difference(small_window(w.autoencoder, denoiser, name), exact)

    assert apart(w.denoiser, "fp32") == 0
    assert 0 < apart(w.denoiser, "bf16") < precision.TOLERANCE
    assert apart(straying(100.0), "bf16") > 10  # a hundred, over the SD of a prediction


@pytest.mark.parametrize("adds", [10.0, float("inf"), float("nan")])
@pytest.mark.usefixtures("fast")
def test_a_wrong_bfloat16_gives_way_to_float32_with_one_warning(
    adds: float, caplog: pytest.LogCaptureFixture
) -> None:
    network = straying(adds)
    for _ in range(2):
        assert inpainter(denoiser=network).precision == "fp32"
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 1 and "the networks that paint run in float32" in warned[0]


@pytest.mark.parametrize(("there", "says"), [(True, "run in bfloat16 on cpu"), (False, "float32")])
def test_the_choice_is_said_once(
    there: bool, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: there)
    with caplog.at_level(logging.INFO, precision.logger.name):
        for _ in range(2):
            inpainter()
    assert len(caplog.records) == 1 and says in caplog.text


@pytest.mark.usefixtures("fast")
def test_the_check_draws_from_no_generator_of_the_callers_and_leaves_autocast() -> None:
    before = torch.get_rng_state()
    with torch.autocast("cpu", torch.bfloat16):
        inpainter()
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("recorded", ["bf16", "fp32"])
@pytest.mark.parametrize("here", [True, False])
def test_a_replay_on_another_machine_takes_the_recipes_precision(
    recorded: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = paint(painted(recorded))
    assert original.painted and original.recipe["texture"]["precision"] == recorded
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: here)
    painter = painted("auto")
    again = painter.replay(breast(), original.recipe)
    assert torch.equal(again.image, original.image) and again.recipe == original.recipe
    assert painter.texture.recipe()["precision"] == ("bf16" if here else "fp32")


def test_a_precision_that_was_named_is_not_given_up_for_a_recipe() -> None:
    recipe = paint(painted("bf16")).recipe
    with pytest.raises(SynBTError, match="made with texture settings"):
        painted("fp32").replay(breast(), recipe)


@pytest.mark.usefixtures("slow")
def test_an_injector_replays_in_the_recipes_precision() -> None:
    original = paint(painted("bf16"))
    volume = breast()
    label = torch.zeros((1, 1, *volume.shape), dtype=torch.int16)
    injector = SynBTInjector(InjectionSettings(steps=2), painted("auto"))
    done = injector.replay(volume.image[None], label, [original.recipe], volume.spacing)
    assert torch.equal(done.images[0], original.image)


@pytest.mark.parametrize("recorded", [None, {}, {"precision": "fp8"}, {"precision": ["bf16"]}, "x"])
def test_a_recipe_without_a_precision_that_is_known_changes_nothing(recorded: Any) -> None:
    texture = inpainter()
    assert texture_of_recipe(texture, {"texture": recorded}) is texture
    assert texture_of_recipe(texture, None) is texture


def test_networks_are_prepared_in_a_copy_that_gives_what_autocast_gives() -> None:
    w = tiny_weights()
    before = {k: v.clone() for k, v in w.autoencoder.state_dict().items()}
    ready = precision.prepared(w.autoencoder, "bf16")
    x = torch.randn(1, 2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), precision.autocast("bf16", x.device):
        cast, plain = ready.encode(x), w.autoencoder.encode(x)
    # The same values are multiplied; oneDNN may add them in another order.
    assert torch.allclose(cast, plain, atol=0.02 * float(plain.std()))
    assert all(torch.equal(v, before[k]) for k, v in w.autoencoder.state_dict().items())
    assert precision.prepared(w.autoencoder, "fp32") is w.autoencoder
    assert torch.equal(ready.codebook.vectors, w.autoencoder.codebook.vectors)
