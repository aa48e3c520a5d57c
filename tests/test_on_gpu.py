"""What holds on a GPU as on a CPU; skipped without one.

`GPU_TESTS_ON=cpu` runs the same tests on the CPU, to see that they can be run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

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
from synbt_aug.support.graphs import Graphs
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


def painter(device: str, precision: str = "fp32", graphs: bool = False) -> TumorSynthesizer:
    return TumorSynthesizer(
        tiny_weights(),
        tissue=find_tissue,
        steps=2,
        device=device,
        precision=precision,
        graphs=graphs,
    )


def decided(synthesizer: TumorSynthesizer, seed: int) -> Plan:
    host = Host.of(breast(seed=seed))
    plan = decide(ground_of(host), Wish(diameter_mm=14.0), synthesizer.bank, 2.0, seeded(seed))
    assert isinstance(plan, Plan)
    return plan


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
    first, second = (painter(PLACE)(there(), seed=7, diameter_mm=14.0) for _ in range(2))
    assert first.painted and torch.equal(first.image, second.image)


@pytest.mark.parametrize("graphs", [False, True])
def test_painting_a_decided_plan_never_waits(graphs: bool) -> None:
    synthesizer, host = painter(PLACE, graphs=graphs), Host.of(there())
    plan = decided(synthesizer, 0)
    # What is made once and kept is made here.
    for _ in range(2):
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
        # Both show far enough beyond the share at which a tumor is left out.
        done[place] = injector(images.to(place), labels.to(place), generator=seeded(5))
        assert done[place].images.device.type == place
    assert bool(done["cpu"].labels.flatten(1).any(1).all())
    assert torch.equal(done[PLACE].labels.cpu(), done["cpu"].labels)


@pytest.mark.parametrize("graphs", [False, True])
def test_looking_ahead_there_paints_the_same_tumors(graphs: bool) -> None:
    images = torch.stack([breast(seed=k).image for k in range(2)]).to(PLACE)
    labels = torch.zeros((2, 1, *images.shape[2:]), dtype=torch.int16, device=PLACE)
    injector = SynBTInjector(
        InjectionSettings(probability=1.0, diameter_mm=14.0, steps=2),
        painter(PLACE, graphs=graphs),
    )

    def inject(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        done = injector(images, labels, generator=seeded(seed))
        return done.images, done.labels

    # What is recorded is so by the third time.
    plain = [[inject(seed) for seed in range(3)] for _ in range(3 if graphs else 1)][-1]
    ahead = Lookahead(range(3), inject, torch.device(PLACE))
    for one, other in zip(plain, ahead, strict=True):
        # A step of training that lasts.
        (images @ images.transpose(-1, -2)).sum()
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_graphs_there_paint_what_launches_paint() -> None:
    plain, graphed = painter(PLACE), painter(PLACE, graphs=True)
    hosts = [Host.of(replace(there(), image=breast(seed=k).image.to(PLACE))) for k in range(4)]
    plan = decided(plain, 0)
    for k, host in enumerate(hosts):
        # Of one window shape: the first is launched, the second recorded, the others replayed.
        one = replace(plan, recipe=plan.recipe.with_noise(k))
        found, wanted = (s.painter.paint([host], [one]).result(0) for s in (graphed, plain))
        assert torch.equal(found.tumor, wanted.tumor)
        off = (found.image - wanted.image).abs() / (host.reference.high[1] - host.reference.low[1])
        # Codes may tip over where two are equally near; hardly any do.
        assert float((off[:, wanted.support] < 1e-3).float().mean()) > 0.99
    assert isinstance(graphed.runs, Graphs) and graphed.runs.failed is None
    assert len(graphed.runs) == (2 if PLACE == "cuda" else 0)


@pytest.mark.skipif(PLACE != "cuda", reason="nothing is recorded on a CPU")
# The last one synchronises, which no watched pass can tell: what was begun is given up.
@pytest.mark.parametrize("way", ["number", "mask", "synchronises"])
def test_a_recording_that_fails_there_is_told_once_and_launched(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    def stage(x: torch.Tensor) -> torch.Tensor:
        if way == "synchronises":
            torch.cuda.current_stream().synchronize()
        if way == "mask":
            return x[x > 0]
        return x * float(x.sum()) if way == "number" else x + 1

    runs, x = Graphs(), torch.arange(4.0, device=PLACE)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert torch.equal(runs(stage, (x,), x.device), stage(x))
    assert len(runs) == 0 and runs.failed is not None
    assert [record.getMessage() for record in caplog.records if "graphs" in record.message] == [
        f"CUDA graphs: a recording failed ({runs.failed}). What was not recorded before is "
        f"painted launch by launch, which takes longer; nothing else changes."
    ]
    # The device goes on, on the stream that it was on.
    assert float((x + 1).sum()) == 10
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
