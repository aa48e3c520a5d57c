from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from some_windows import some_windows
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.adherence import dice
from synbt_aug.evaluate.realism.segmenter import (
    WindowSegmenter,
    describe,
    segment,
    train_segmenter,
)
from synbt_aug.evaluate.realism.training import TrainingSettings


def test_bright_balls_are_found_and_nothing_else() -> None:
    settings = TrainingSettings(steps=40, batch=4, learning_rate=2e-2)
    small = {"side": 32, "radius": 6.0}
    healthy = some_windows(2, seed=5, gain=0.0, **small)
    healthy.label.zero_()
    network = train_segmenter(
        some_windows(4, gain=3.0, **small), settings, healthy=healthy, crop=24
    )
    unseen = some_windows(2, seed=9, gain=3.0, **small)
    assert float(dice(segment(network, unseen.signal), unseen.tumor).min()) > 0.8
    nothing = some_windows(1, seed=7, gain=0.0, **small)
    assert int(segment(network, nothing.signal).sum()) < 0.1 * int(unseen.tumor[0].sum())


def test_half_of_each_batch_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[int]] = []

    def spy(network: object, loss_of: object, draw: Callable, *rest: object) -> None:
        generator = torch.Generator().manual_seed(0)
        batches.extend(draw(generator).tolist() for _ in range(3))

    monkeypatch.setattr("synbt_aug.evaluate.realism.segmenter.train", spy)
    settings = TrainingSettings(steps=1, batch=4, learning_rate=1e-3)
    small = {"side": 32, "radius": 6.0}
    healthy = some_windows(3, seed=5, gain=0.0, **small)
    train_segmenter(some_windows(5, **small), settings, healthy=healthy, crop=24)
    # Numbers from 5 on are the healthy windows, which stand behind the five tumors.
    assert [sum(number >= 5 for number in batch) for batch in batches] == [2, 2, 2]
    assert all(len(batch) == 4 for batch in batches)


def test_logits_lie_on_the_windows_grid() -> None:
    network = WindowSegmenter().eval()
    signal = some_windows(1, side=32).signal.float()
    assert network(signal).shape == (1, 32, 32, 32)
    assert [tuple(level.shape[1:]) for level in network.levels(signal)] == [
        (16, 16, 16, 16),
        (32, 8, 8, 8),
        (48, 4, 4, 4),
    ]


def test_a_lesion_is_described_by_what_lies_in_and_near_it() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = WindowSegmenter().eval()
    windows = some_windows(2, side=32, radius=6)
    found = describe(network, windows)
    assert found.shape == (2, 96)
    assert found.dtype == torch.float64
    # The first level's features are means over the lesion and 3 mm around it.
    level = network.levels(windows.signal[:1].float())[0][0].detach()
    near = torch.nn.functional.max_pool3d(windows.lesion[:1].float()[None], 7, 1, 3)
    weight = torch.nn.functional.avg_pool3d(near, 2)[0, 0]
    expected = (level * weight).sum((1, 2, 3)) / weight.sum()
    assert torch.allclose(found[0, :16].float(), expected, atol=1e-5)


def test_a_training_can_be_repeated() -> None:
    settings = TrainingSettings(steps=2, batch=2)
    windows = some_windows(2, side=32)
    before = torch.get_rng_state()
    a, b = (train_segmenter(windows, settings, crop=24) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_windows_smaller_than_a_crop_are_refused() -> None:
    with pytest.raises(SynBTError, match="at least 48 mm, got 2 of 32 mm"):
        train_segmenter(some_windows(2, side=32))
