from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.training import TrainingSettings, balanced, drawer, train, turned


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))


X = torch.linspace(-1, 1, 20)


def fit(steps: int = 300, rate: float = 0.1, seed: int = 0) -> tuple[Line, list[float]]:
    line = Line()

    def loss_of(numbers: Tensor, generator: torch.Generator) -> Tensor:
        return (line.slope * X[numbers] - 3 * X[numbers]).square().mean()

    settings = TrainingSettings(steps, 8, rate, weight_decay=0.0, seed=seed)
    return line, train(line, loss_of, drawer(20, 8), settings)


def test_descent_finds_the_slope() -> None:
    line, losses = fit()
    assert float(line.slope.detach()) == pytest.approx(3, abs=0.01)
    assert len(losses) == 300
    assert losses[-1] < 1e-4 < losses[0]
    assert not line.training


def test_a_seed_gives_the_same_training_and_torchs_own_state_is_left() -> None:
    before = torch.get_rng_state()
    first, second, other = fit(20)[1], fit(20)[1], fit(20, seed=1)[1]
    assert first == second != other
    assert torch.equal(torch.get_rng_state(), before)


def test_every_number_is_drawn_once_before_any_is_drawn_twice() -> None:
    draw, generator = drawer(7, 3), seeded()
    numbers = torch.cat([draw(generator) for _ in range(7)]).tolist()
    for start in range(0, 21, 7):
        assert sorted(numbers[start : start + 7]) == list(range(7))


def test_a_balanced_batch_is_half_of_either() -> None:
    draw, generator = balanced(3, 50, 8), seeded()
    for _ in range(5):
        numbers = draw(generator)
        assert int((numbers < 3).sum()) == int((numbers >= 3).sum()) == 4
        assert int(numbers.max()) < 53


def test_a_turned_batch_keeps_its_voxels_and_takes_all_48_orders() -> None:
    volume = torch.arange(8.0).view(1, 1, 2, 2, 2)
    generator = seeded()
    seen = set()
    for _ in range(1500):
        turned_volume = turned(volume, generator)
        assert sorted(turned_volume.flatten().tolist()) == list(range(8))
        seen.add(tuple(turned_volume.flatten().tolist()))
    assert len(seen) == 48


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    line = Line()
    settings = TrainingSettings(5, 2)
    with pytest.raises(SynBTError, match="became nan at step 0 of 5"):
        train(line, lambda n, g: line.slope * float("nan"), drawer(4, 2), settings)


def test_settings_that_train_nothing_are_refused() -> None:
    for wrong in ({"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}):
        with pytest.raises(SynBTError, match="above 0"):
            TrainingSettings(**wrong)
