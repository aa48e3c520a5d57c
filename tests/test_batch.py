"""A batch with all channels of a series: what is painted, what is computed again, what stays."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import painter, seeded
from breast_series import Flat, series, series_image
from pretend_accelerator import PretendAccelerator
from synbt_aug.batch import Batch
from synbt_aug.errors import SynBTError
from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.settings.injection import InjectionSettings

#: post 1, T2, pre, post 2, post 3, and their subtraction less a constant.
SERIES = InjectionSettings(
    probability=1.0,
    diameter_mm=12.0,
    pre_channel=2,
    post_channel=0,
    post_channels=(0, 3, 4),
    subtraction_channels=(5,),
)
T2 = torch.rand(series().shape, generator=seeded(8)) * 70


def batch_of(count: int = 1) -> tuple[Tensor, Tensor]:
    samples = []
    for k in range(count):
        pre, post, second, third = series_image(seed=k)
        samples.append(torch.stack([post, T2, pre, second, third, 0.5 * (post - pre) - 3]))
    return torch.stack(samples), torch.zeros((count, 1, *series().shape), dtype=torch.int16)


def injected(settings: InjectionSettings = SERIES, **more: Any) -> tuple[Tensor, Injected]:
    images, labels = batch_of()
    given = images.clone()
    done = SynBTInjector(settings, painter(Flat()))(images, labels, generator=seeded(2), **more)
    assert torch.equal(images, given)
    assert done.painted == (True,)
    return images, done


def test_a_batch_is_painted_as_the_volume_of_its_scans_is() -> None:
    images, done = injected()
    (result,) = done.results
    assert result is not None and result.recipe is not None
    scans = images[0, [2, 0, 3, 4]]
    core = painter(Flat()).replay(dataclasses.replace(series(), image=scans), result.recipe)
    assert torch.equal(done.images[0, [2, 0, 3, 4]], core.image)
    assert torch.equal(done.labels[0, 0] == 1, core.tumor)


def test_other_sequences_stay_bitwise_and_so_does_everything_outside_the_support() -> None:
    images, done = injected()
    (result,) = done.results
    assert result is not None
    assert torch.equal(done.images[:, 1], images[:, 1])
    assert torch.equal(done.images[0][:, ~result.support], images[0][:, ~result.support])


def test_a_subtraction_is_that_of_the_painted_scans() -> None:
    images, done = injected()
    (result,) = done.results
    assert result is not None
    post, _, pre, _, _, subtraction = done.images[0]
    expected = 0.5 * (post - pre) - 3
    assert torch.allclose(subtraction[result.tumor], expected[result.tumor], atol=1e-3)
    assert (subtraction - images[0, 5])[result.tumor].mean() > 20


def test_padding_does_not_disturb_a_subtraction() -> None:
    images, labels = batch_of()
    images[:, :, :, :6], labels[:, :, :, :6] = 0, -1
    done = SynBTInjector(SERIES, painter(Flat()))(images, labels, generator=seeded(2))
    (result,) = done.results
    assert result is not None and result.painted
    post, _, pre, _, _, subtraction = done.images[0]
    expected = 0.5 * (post - pre) - 3
    assert torch.allclose(subtraction[result.tumor], expected[result.tumor], atol=1e-3)


def test_a_recipe_replays_every_channel_bitwise() -> None:
    images, done = injected()
    recipes = [json.loads(json.dumps(one.recipe)) for one in done.results if one is not None]
    _, labels = batch_of()
    again = SynBTInjector(SERIES, painter(Flat())).replay(images, labels, recipes)
    assert torch.equal(again.images, done.images) and torch.equal(again.labels, done.labels)


def test_the_curve_that_a_setting_asks_for_is_painted() -> None:
    for curve in ("washout", "persistent"):
        _, done = injected(dataclasses.replace(SERIES, curve=curve))
        (result,) = done.results
        assert result is not None and result.recipe is not None
        assert result.recipe["tumors"][0]["curve"]["kind"] == curve


def test_subtractions_are_not_waited_for() -> None:
    images, labels = batch_of()
    batch = Batch(SERIES, images, labels, (1.0, 1.0, 1.0))
    with PretendAccelerator() as there:
        far = dataclasses.replace(batch, images=there.put(images), labels=there.put(labels))
        there.reset()
        far.put(0, far.scans(0) * 2, there.put(images))
    assert there.waits == []


def test_channels_that_a_batch_lacks_are_told() -> None:
    images, labels = batch_of()
    with pytest.raises(SynBTError, match=r"all of post_channels \(0, 3, 4\) and subtraction_chan"):
        SynBTInjector(SERIES, painter(Flat()))(images[:, :5], labels)
    with pytest.raises(SynBTError, match=r"channels 2 \(pre\) and 0 \(post\), got"):
        SynBTInjector(SERIES, painter(Flat()))(images[:, :2], labels)
