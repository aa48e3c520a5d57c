"""Small synthetic cases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class ToyCase:
    q: Tensor
    valid: Tensor
    tumor: Tensor
    body: Tensor


def toy_case(seed: int, side: int = 48, *, tumor: bool = True) -> ToyCase:
    """Smooth tissue with a bright ball and a smaller one beside it."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, side, side, side, generator=generator)
    q = torch.nn.functional.avg_pool3d(q[None], 9, 1, 4)[0] * 8
    axis = torch.arange(side, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    labels = torch.zeros(side, side, side, dtype=torch.uint8)
    if tumor:
        for number, (centre, radius) in enumerate([((22, 24, 26), 5.0), ((22, 24, 34), 2.5)], 1):
            away = (grid - torch.tensor(centre).view(3, 1, 1, 1)).square().sum(0).sqrt()
            labels[away <= radius] = number
        q[1] += 1.5 * (labels > 0)
    valid = torch.ones(side, side, side, dtype=torch.bool)
    body = torch.randint(0, side, (200, 3), generator=generator).to(torch.int16)
    return ToyCase(q.half(), valid, labels, body)


@pytest.fixture(scope="session")
def cases() -> list[ToyCase]:
    return [toy_case(0), toy_case(1), toy_case(2, tumor=False)]
