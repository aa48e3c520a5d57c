from __future__ import annotations

import pytest
import torch

from some_windows import some_windows
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.classifier import (
    WindowClassifier,
    real_against_real,
    score,
    tell_apart,
)
from synbt_aug.evaluate.realism.training import TrainingSettings

SHORT = TrainingSettings(steps=25, batch=8, learning_rate=5e-3)
SIDE = 16


def windows(count: int, name: str, seed: int, **changes: float):
    return some_windows(count, seed=seed, side=SIDE, radius=4, names=name, **changes)


def test_bright_and_faint_balls_are_told_apart() -> None:
    found = tell_apart(
        windows(12, "a", 0, gain=0.5),
        windows(12, "b", 1, gain=2.0),
        windows(10, "c", 2, gain=0.5),
        windows(10, "d", 3, gain=2.0),
        SHORT,
    )
    assert found.area.value == 1
    assert found.trained_on == (12, 12)
    assert found.tested_on == (10, 10)
    assert len(found.scores) == 20
    assert found.last_loss < 0.5
    assert max(found.scores[:10]) < min(found.scores[10:])


def test_grain_alone_tells_sets_apart() -> None:
    # The same mean signal; the tumor of one set is smooth, as a codec leaves it.
    def smooth(count: int, name: str, seed: int):
        w = windows(count, name, seed)
        w.signal[:, :, 4:12, 4:12, 4:12] *= 0.2
        return w

    found = tell_apart(
        windows(12, "a", 0, gain=0.0),
        smooth(12, "b", 1),
        windows(10, "c", 2, gain=0.0),
        smooth(10, "d", 3),
        TrainingSettings(steps=40, batch=8, learning_rate=5e-3),
    )
    assert found.area.value > 0.95


def test_draws_of_one_distribution_are_not_told_apart() -> None:
    found = real_against_real(windows(24, "a", 0), windows(60, "b", 1), SHORT)
    assert found.area.holds_half
    assert found.trained_on == (12, 12)
    assert found.tested_on == (30, 30)


def test_a_training_can_be_repeated_and_leaves_torchs_state() -> None:
    sets = [windows(4, name, k, gain=k / 2) for k, name in enumerate("abcd")]
    before = torch.get_rng_state()
    settings = TrainingSettings(steps=3, batch=4)
    first, second = (tell_apart(*sets, settings) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


def test_a_score_does_not_depend_on_mirroring_in_the_plane() -> None:
    network = WindowClassifier().eval()
    signal = windows(2, "a", 0).signal
    assert torch.allclose(score(network, signal), score(network, signal.flip((-1, -2))), atol=1e-5)


def test_a_case_in_training_and_test_is_refused() -> None:
    a = windows(4, "a", 0)
    with pytest.raises(SynBTError, match="4 are in both, such as a 0"):
        tell_apart(a, windows(4, "b", 1), a, windows(4, "c", 2), SHORT)


def test_an_empty_set_is_refused() -> None:
    a, b = windows(4, "a", 0), windows(4, "b", 1)
    with pytest.raises(SynBTError, match="4 real and 0 synthetic for training"):
        tell_apart(a, a.take([]), b, b, SHORT)
