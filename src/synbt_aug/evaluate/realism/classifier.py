"""Real or synthetic? A small 3D network tries to tell, and says how well it can.

It sees signal alone, never the label: a real label is as ragged as its drawer made it, a painted
one is smooth, and that would be the answer. It is given the signal's grain as channels of their
own, so that it needs no thousands of windows to discover it. Whether it is any good is shown by
two controls: crude tumors that it must find, and real ones against real ones that it must not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.auc import Area, area_under_curve
from synbt_aug.evaluate.realism.training import TrainingSettings, balanced, train, turned
from synbt_aug.evaluate.realism.windows import Windows, split_cases
from synbt_aug.grid.mask import gaussian
from synbt_aug.loop.training_loop import fresh_weights

#: What varies within this many mm is grain; it is shown to the network this many times stronger.
_GRAIN_SIGMA_MM = 0.8
_GRAIN_GAIN = 4.0

#: Width of the Gaussian by which the middle of the window counts more, in voxels of 4 mm.
_MIDDLE_CELLS = 1.75


#: The defaults of its training (ours).
CLASSIFIER_TRAINING = TrainingSettings(steps=1000, batch=16, learning_rate=2e-3)


class WindowClassifier(nn.Module):
    """Four convolutions, two of them strided; pooled over the window and over its middle.

    Args:
        channels: Widths at 2 mm, at 4 mm and of the last layer (ours).
    """

    def __init__(self, channels: tuple[int, int, int] = (16, 48, 64)) -> None:
        super().__init__()
        a, b, c = channels
        self.layers = nn.Sequential(
            *_layer(4, a, 2), *_layer(a, b, 2), *_layer(b, b, 1), *_layer(b, c, 1)
        )
        self.last = nn.Linear(3 * c, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Logits of "synthetic".

        Args:
            signal: Mapped pre and post, shape `(B, 2, n, n, n)`; sides that divide by 4.

        Returns:
            Shape `(B,)`.
        """
        smooth = gaussian(signal, _GRAIN_SIGMA_MM) / gaussian(
            torch.ones_like(signal[:1, :1]), _GRAIN_SIGMA_MM
        )
        seen = self.layers(torch.cat([signal, _GRAIN_GAIN * (signal - smooth)], dim=1))
        weight = _middle(seen)
        pooled = (seen.mean((2, 3, 4)), (seen * weight).sum((2, 3, 4)), seen.amax((2, 3, 4)))
        logits: Tensor = self.last(torch.cat(pooled, dim=1))[:, 0]
        return logits


def _layer(before: int, after: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(before, after, 3, stride, padding=1, bias=False)
    return conv, nn.BatchNorm3d(after), nn.LeakyReLU(0.1, inplace=True)


def _middle(seen: Tensor) -> Tensor:
    """Gaussian weights around the middle, summing to 1, shape `(d, h, w)`."""
    weight = torch.ones((), device=seen.device, dtype=seen.dtype)
    for axis, n in enumerate(seen.shape[2:]):
        place = torch.arange(n, device=seen.device, dtype=seen.dtype) - (n - 1) / 2
        line = torch.exp(-0.5 * (place / _MIDDLE_CELLS) ** 2)
        weight = weight * line.view([-1 if k == axis else 1 for k in range(3)])
    return weight / weight.sum()


@dataclass(frozen=True)
class Verdict:
    """How well two sets of windows can be told apart.

    Args:
        area: On the test windows.
        trained_on: Windows of each set, (real, synthetic).
        tested_on: Likewise.
        last_loss: Mean training loss of the last tenth of the steps: .69 learns nothing.
        scores: Of the test windows, real ones first.
    """

    area: Area
    trained_on: tuple[int, int]
    tested_on: tuple[int, int]
    last_loss: float
    scores: tuple[float, ...] = ()


def tell_apart(
    real: Windows,
    synthetic: Windows,
    test_real: Windows,
    test_synthetic: Windows,
    settings: TrainingSettings = CLASSIFIER_TRAINING,
    *,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Train a classifier on two sets and test it on two others.

    Args:
        real: To learn from.
        synthetic: Likewise.
        test_real: To be told; of other cases.
        test_synthetic: Likewise.
        settings: Of the training.
        device: Where the network runs.
        on_step: Called with (steps done, all steps).

    Returns:
        The area under the curve with its interval.

    Raises:
        SynBTError: If a set is empty, or a case is in both training and test.
    """
    sizes = [len(w) for w in (real, synthetic, test_real, test_synthetic)]
    if min(sizes) < 1:
        raise SynBTError(
            f"A classifier needs windows to learn from and to be tested on, got {sizes[0]} real "
            f"and {sizes[1]} synthetic for training, {sizes[2]} and {sizes[3]} for test."
        )
    both = {*real.cases, *synthetic.cases} & {*test_real.cases, *test_synthetic.cases}
    if both:
        raise SynBTError(
            f"A classifier is tested on cases that it has not seen, but {len(both)} are in both, "
            f"such as {min(both)}. Split by case."
        )
    place = torch.device(device)
    with fresh_weights(settings.seed):
        network = WindowClassifier().to(place)
    signal = torch.cat([real.signal, synthetic.signal])
    truth = torch.cat([torch.zeros(len(real)), torch.ones(len(synthetic))])

    def loss_of(numbers: Tensor, generator: torch.Generator) -> Tensor:
        batch = turned(signal[numbers].to(place).float(), generator)
        return F.binary_cross_entropy_with_logits(network(batch), truth[numbers].to(place))

    draw = balanced(len(real), len(synthetic), settings.batch)
    losses = train(network, loss_of, draw, settings, on_step)
    ours, theirs = (score(network, w.signal, device=place) for w in (test_real, test_synthetic))
    area = area_under_curve(
        ours.numpy(),
        theirs.numpy(),
        test_real.cases,
        test_synthetic.cases,
        seed=settings.seed,
    )
    tail = losses[-max(1, len(losses) // 10) :]
    return Verdict(
        area,
        (sizes[0], sizes[1]),
        (sizes[2], sizes[3]),
        sum(tail) / len(tail),
        tuple(float(s) for s in torch.cat([ours, theirs])),
    )


@torch.no_grad()
def score(
    network: nn.Module, signal: Tensor, *, device: torch.device | str = "cpu", batch: int = 8
) -> Tensor:
    """Mean logit over four mirrorings, shape `(N,)`, on the CPU.

    Args:
        network: In eval mode, on `device`.
        signal: Shape `(N, 2, n, n, n)`.
        device: Where it runs.
        batch: Windows at once.
    """
    found = []
    for part in signal.split(batch):
        here = part.to(device).float()
        flips: tuple[list[int], ...] = ([], [-1, -2], [-1, -3], [-2, -3])
        logits = [network(here.flip(axes) if axes else here) for axes in flips]
        found.append(torch.stack(logits).mean(0).cpu())
    return torch.cat(found)


def real_against_real(
    train_windows: Windows,
    test_windows: Windows,
    settings: TrainingSettings = CLASSIFIER_TRAINING,
    *,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> Verdict:
    """The control that must fail: half of the real cases are called synthetic.

    Args:
        train_windows: Real ones, of two cases at least.
        test_windows: Likewise.
        settings: Of the training.
        device: Where the network runs.
        on_step: Called with (steps done, all steps).
    """
    first, second = split_cases(train_windows.cases, 0.5, settings.seed)
    third, fourth = split_cases(test_windows.cases, 0.5, settings.seed)
    return tell_apart(
        train_windows.of_cases(first),
        train_windows.of_cases(second),
        test_windows.of_cases(third),
        test_windows.of_cases(fourth),
        replace(settings, seed=settings.seed + 10),
        device=device,
        on_step=on_step,
    )
