"""A device is not waited for while it paints: counted on a pretend accelerator."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import breast, ellipsoid, ground_of, seeded, small_bank, tiny_weights
from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.support.device import sent
from synbt_aug.texture import TumorInpainter
from synbt_aug.tumor.wish import Wish
from synbt_aug.write import write


def hosts_and_plans(count: int) -> tuple[list[Host], list[Plan]]:
    # Copies: their images are moved.
    hosts = [Host.of(replace(breast(seed=k))) for k in range(count)]
    plans = []
    for k, host in enumerate(hosts):
        mask = ellipsoid(host.volume.shape, (34, 35, 37), (5, 6, 5))
        plan = decide(ground_of(host), Wish(mask=mask), small_bank(), 2.0, seeded(k))
        assert isinstance(plan, Plan)
        plans.append(plan)
    return hosts, plans


def painted_there(count: int) -> tuple[PretendAccelerator, int, list[Tensor]]:
    """Paint and write a batch on a pretend accelerator.

    Returns:
        What was counted, how many launches were the networks', and the images.
    """
    weights = tiny_weights()
    codec, denoiser = copy.deepcopy(weights.autoencoder), copy.deepcopy(weights.denoiser)
    hosts, plans = hosts_and_plans(count)
    # What is made once and kept is not counted.
    write(Cut.of(hosts, plans), Cut.of(hosts, plans).linear, replaces=True)
    with PretendAccelerator() as there:
        texture = TumorInpainter(
            there.put_module(codec),  # type: ignore[arg-type]
            there.put_module(denoiser),  # type: ignore[arg-type]
            weights.schedule,
            hole_margin_mm=2.0,
            steps=4,
        )
        for host in hosts:
            object.__setattr__(host.volume, "image", there.put(host.volume.image))
            vars(host).pop("floor", None)
        networks = Counter[str]()
        for part in (codec.encoder, codec.decoder, denoiser):
            part.register_forward_pre_hook(lambda *_: networks.subtract(it=there.launches))
            part.register_forward_hook(lambda *_: networks.update(it=there.launches))
        there.reset()
        windows = Cut.of(hosts, plans)
        written = write(windows, texture(windows.job(2.0)), replaces=True)
        stands = written.verdict.stands
        images = [written.image(k, stands[k]) for k in range(count)]
        return there, networks["it"], [there.get(image) for image in images]


def test_nothing_is_waited_for_and_nothing_comes_back() -> None:
    there, _, _ = painted_there(2)
    assert there.waits == [] and there.to_host == 0


def test_the_launches_are_as_many_for_a_larger_batch() -> None:
    two, four = painted_there(2)[0], painted_there(4)[0]
    # Cutting and storing are a few operations a host; all else is done at once.
    assert four.launches - two.launches <= 2 * 60


def test_networks_apart_a_batch_of_two_takes_no_more_than_1400_launches() -> None:
    there, networks, _ = painted_there(2)
    assert networks > 300
    assert there.launches - networks <= 1400


def test_what_is_painted_there_is_what_is_painted_here() -> None:
    weights = tiny_weights()
    hosts, plans = hosts_and_plans(2)
    texture = TumorInpainter(
        weights.autoencoder, weights.denoiser, weights.schedule, hole_margin_mm=2.0, steps=4
    )
    windows = Cut.of(hosts, plans)
    here = write(windows, texture(windows.job(2.0)), replaces=True)
    for k, image in enumerate(painted_there(2)[2]):
        # Codes may tip over where two are equally near; hardly any do.
        off = (here.image(k, here.verdict.stands[k]) - image).abs()
        assert (off < 1e-2).float().mean() > 0.999


def test_what_would_wait_is_counted() -> None:
    with PretendAccelerator() as there:
        x = there.put(torch.arange(6.0))
        assert there.waits == [] and there.launches == 0
        y = (x * 2).view(2, 3)
        assert there.launches == 1
        assert float(y[1, 2]) == 10
        assert len(there.waits) == 1
        assert y[y > 3].shape == (4,) and len(there.waits) == 2
        assert torch.equal(y.cpu(), torch.arange(0.0, 12, 2).view(2, 3))
        assert len(there.waits) == 3 and there.to_host == 24


@pytest.mark.parametrize(
    ("copy_there", "waits"),
    [
        (lambda x, there: x.to(FAR), 1),
        (lambda x, there: x.to(FAR, non_blocking=True), 0),
        (lambda x, there: sent(x, FAR), 0),
        (lambda x, there: torch.tensor([1.0, 2.0], device=FAR), 1),
        (lambda x, there: there.copy_(x), 1),
        (lambda x, there: there.copy_(x, non_blocking=True), 0),
        (lambda x, there: there[torch.tensor([1, 0])], 1),
        (lambda x, there: there[[1, 0]], 1),
        (lambda x, there: there[1:], 0),
    ],
)
def test_a_copy_to_the_device_waits_unless_it_is_told_not_to(
    copy_there: Callable[[Tensor, Tensor], Tensor], waits: int
) -> None:
    with PretendAccelerator() as there:
        old = there.put(torch.zeros(2))
        there.reset()
        assert copy_there(torch.ones(2), old).device == FAR
        assert len(there.waits) == waits


def test_what_cuda_would_refuse_is_refused() -> None:
    with PretendAccelerator() as there, pytest.raises(RuntimeError, match="mixes devices"):
        there.put(torch.ones(3)) + torch.ones(3)
