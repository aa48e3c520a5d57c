"""What the small networks of a comparison share: settings, batches, turns, and the descent.

Everything random follows from a seed; torch's global state is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synbt_aug.errors import SynBTError


@dataclass(frozen=True)
class TrainingSettings:
    """How a small network is trained (all ours).

    Args:
        steps: Of AdamW; the rate rises over the first tenth and falls as a cosine.
        batch: Windows a step.
        learning_rate: Its largest.
        weight_decay: Of AdamW.
        seed: Of weights and batches.

    Raises:
        SynBTError: If a number is not one to train with.
    """

    steps: int = 1000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not self.learning_rate > 0:
            raise SynBTError(
                f"A training needs steps, a batch and a learning rate above 0, got {self.steps}, "
                f"{self.batch} and {self.learning_rate}."
            )


#: (numbers of the batch's windows, generator) -> loss.
Loss = Callable[[Tensor, torch.Generator], Tensor]


def train(
    network: nn.Module,
    loss_of: Loss,
    draw: Callable[[torch.Generator], Tensor],
    settings: TrainingSettings,
    on_step: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Descend.

    Args:
        network: Trained in place, left in eval mode.
        loss_of: The loss of some windows.
        draw: Draws their numbers, from a generator on the CPU.
        settings: How long and how fast.
        on_step: Called with (steps done, all steps).

    Returns:
        The loss of each step.

    Raises:
        SynBTError: If the loss stops being a number.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    network.train()
    losses = []
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, settings.steps)
        loss = loss_of(draw(generator), generator)
        if not bool(torch.isfinite(loss)):
            raise SynBTError(
                f"The loss became {float(loss.detach())} at step {step} of {settings.steps}. Try a "
                f"learning rate below {settings.learning_rate:g}."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if on_step is not None:
            on_step(step + 1, settings.steps)
    network.eval()
    return losses


def _rate(step: int, steps: int) -> float:
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def drawer(count: int, batch: int) -> Callable[[torch.Generator], Tensor]:
    """Draws batches of numbers below `count`: in random order, each once before any twice."""
    waiting: list[int] = []

    def draw(generator: torch.Generator) -> Tensor:
        while len(waiting) < batch:
            waiting.extend(torch.randperm(count, generator=generator).tolist())
        chosen = torch.tensor(waiting[:batch])
        del waiting[:batch]
        return chosen

    return draw


def balanced(first: int, second: int, batch: int) -> Callable[[torch.Generator], Tensor]:
    """Draws batches, half of the first `first` numbers, half of the `second` ones after them."""
    ours, theirs = drawer(first, (batch + 1) // 2), drawer(second, (batch + 1) // 2)

    def draw(generator: torch.Generator) -> Tensor:
        return torch.cat([ours(generator), theirs(generator) + first])

    return draw


def turned(volumes: Tensor, generator: torch.Generator) -> Tensor:
    """A batch in one of the 48 axis orders, drawn; shape `(..., n, n, n)`, kept."""
    order = torch.randperm(3, generator=generator).tolist()
    flips = [axis for axis in (-3, -2, -1) if bool(torch.rand((), generator=generator) < 0.5)]
    lead = volumes.ndim - 3
    moved = volumes.permute(*range(lead), *(lead + axis for axis in order))
    return moved.flip(flips) if flips else moved
