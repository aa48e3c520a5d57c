"""One step of a training: its rate, the descent, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def learning_rate(
    base: float,
    step: int,
    progress: float,
    *,
    warmup_steps: int = 100,
    decay_from: float = 0.55,
    floor: float = 0.03,
) -> float:
    """Linear warm-up, a plateau, then a half cosine that ends with the run.

    Args:
        base: Rate of the plateau.
        step: Steps done.
        progress: Share of the run that is over, in [0, 1].
        warmup_steps: Steps until the plateau.
        decay_from: Progress where the cosine starts; 1 for never.
        floor: Smallest share of `base`.
    """
    rate = base * min(1.0, (step + 1) / max(warmup_steps, 1))
    if progress > decay_from:
        phase = (progress - decay_from) / (1 - decay_from)
        rate *= max(floor, 0.5 * (1 + math.cos(math.pi * min(phase, 1.0))))
    return rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def descend(
    fabric: Fabric,
    loss: Tensor,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    max_norm: float = 1.0,
) -> bool:
    """One step down, with clipped gradients; none where they are not finite.

    Args:
        fabric: From `make_fabric`.
        loss: A scalar.
        network: Set up by `fabric`.
        optimizer: Set up by `fabric`.
        max_norm: Largest length of the gradient.

    Returns:
        Whether a step was made.
    """
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)
    made = bool(torch.isfinite(norm)) if norm is not None else True
    if made:
        optimizer.step()
    return made


class AveragedWeights:
    """A running average of a network's parameters, warmed up over the first steps.

    Args:
        module: Network to follow.
        decay: Share kept a step; starts lower, as (1 + n) / (10 + n).
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's parameters."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        new = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(self.values, new, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the average into a module of the same shape."""
        for parameter, value in zip(module.parameters(), self.values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps it saw."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.updates = int(state["updates"])
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(saved)
