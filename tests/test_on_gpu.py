"""What holds on a GPU as on a CPU; skipped without one.

`GPU_TESTS_ON=cpu` runs the same tests on the CPU, to see that they can be run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from analytic import breast, find_tissue, ground_of, seeded, tiny_weights
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.injector import SynBTInjector
from synbt_aug.lookahead import Lookahead
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.support.device import multiplies_bfloat16
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume

PLACE = os.environ.get("GPU_TESTS_ON", "cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        PLACE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU that torch can use"
    ),
]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """float32 as on a CPU: cuDNN's TF32 keeps 10 bits of each factor."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@contextmanager
def no_wait() -> Iterator[None]:
    """An error where the CPU would wait for the GPU."""
    if PLACE == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if PLACE == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def there() -> BreastVolume:
    volume = breast()
    return BreastVolume(volume.image.to(PLACE), volume.spacing)


def painter(device: str, precision: str = "fp32") -> TumorSynthesizer:
    return TumorSynthesizer(
        tiny_weights(), tissue=find_tissue, steps=2, device=device, precision=precision
    )


def test_a_recipe_paints_there_what_it_paints_here() -> None:
    here = painter("cpu")(breast(), seed=3, diameter_mm=14.0)
    again = painter(PLACE).replay(there(), here.recipe)
    assert again.image.device.type == PLACE
    # Site, pose and shape are decided on the CPU: the label is the same to the voxel.
    assert torch.equal(again.tumor.cpu(), here.tumor)
    # Codes may tip over where two are equally near; hardly any do.
    low, high = here.recipe["reference"]["low"][1], here.recipe["reference"]["high"][1]
    off = (again.image.cpu() - here.image)[1].abs() / (high - low)
    assert float((off[here.support] < 0.02).float().mean()) > 0.97
    assert torch.equal(again.image.cpu()[:, ~here.support], here.image[:, ~here.support])


def test_the_same_call_gives_the_same_voxels_there() -> None:
    first, second = (painter(PLACE)(there(), seed=5, diameter_mm=14.0) for _ in range(2))
    assert first.painted and torch.equal(first.image, second.image)


def test_painting_a_decided_plan_never_waits() -> None:
    synthesizer, host = painter(PLACE), Host.of(there())
    host_here = Host.of(breast())
    plan = decide(ground_of(host_here), Wish(diameter_mm=14.0), synthesizer.bank, 2.0, seeded(1))
    assert isinstance(plan, Plan)
    # What is made once and kept is made here.
    synthesizer.painter.paint([host], [plan])
    with no_wait():
        written = synthesizer.painter.paint([host], [plan])
        image = written.image(0, written.verdict.stands[0])
    assert image.device.type == PLACE and bool(image.isfinite().all())


def test_the_precision_is_what_the_gpu_is_fast_at() -> None:
    chosen = painter(PLACE, "auto").texture.recipe()["precision"]
    assert chosen == ("bf16" if multiplies_bfloat16(torch.device(PLACE)) else "fp32")


def test_a_batch_there_is_labelled_as_the_same_batch_here() -> None:
    images = torch.stack([breast(seed=k).image for k in range(2)])
    labels = torch.zeros((2, 1, *images.shape[2:]), dtype=torch.int16)
    done = {}
    for place in ("cpu", PLACE):
        injector = SynBTInjector(
            InjectionSettings(probability=1.0, diameter_mm=14.0, steps=2), painter(place)
        )
        done[place] = injector(images.to(place), labels.to(place), generator=seeded(7))
        assert done[place].images.device.type == place
    assert int(done["cpu"].labels.sum()) > 0
    assert torch.equal(done[PLACE].labels.cpu(), done["cpu"].labels)


def test_looking_ahead_there_paints_the_same_tumors() -> None:
    images = torch.stack([breast(seed=k).image for k in range(2)]).to(PLACE)
    labels = torch.zeros((2, 1, *images.shape[2:]), dtype=torch.int16, device=PLACE)
    injector = SynBTInjector(
        InjectionSettings(probability=1.0, diameter_mm=14.0, steps=2), painter(PLACE)
    )

    def inject(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        done = injector(images, labels, generator=seeded(seed))
        return done.images, done.labels

    plain = [inject(seed) for seed in range(3)]
    ahead = Lookahead(range(3), inject, torch.device(PLACE))
    for one, other in zip(plain, ahead, strict=True):
        # A step of training that lasts.
        (images @ images.transpose(-1, -2)).sum()
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
