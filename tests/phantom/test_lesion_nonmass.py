"""Non-mass lesions: clumps and branches rather than a net."""

from __future__ import annotations

import numpy as np
import torch

from synbt_aug.phantom.lesion_nonmass import ductal_shape, grown_together
from synbt_aug.phantom.texture import Grid, Randomness

GRID = Grid((40, 40, 24), (1.0, 1.0, 1.0))


def _tubes(apart_mm: float) -> torch.Tensor:
    """Distance from four tubes of 1.5 mm radius along z around (20, 20), at a square's corners."""
    x, y, _ = GRID.axes()
    half = apart_mm / 2
    corners = [(a, b) for a in (-half, half) for b in (-half, half)]
    axes = [torch.sqrt((x - 20 - a) ** 2 + (y - 20 - b) ** 2) for a, b in corners]
    return (torch.stack(axes).amin(0) - 1.5).expand(GRID.shape)


def _filled(apart_mm: float) -> float:
    """Share of the line amid four tubes that is filled."""
    (source,) = Randomness.stages(1_000_910, 1)
    grown = grown_together(_tubes(apart_mm), GRID, source)
    return float((grown[20, 20] < 0).float().mean())


def test_narrow_gaps_close_and_wide_ones_stay() -> None:
    assert not (_tubes(3.5)[20, 20] < 0).any()
    assert _filled(3.5) > 0.5
    assert _filled(8.0) == 0.0


def test_nothing_of_a_branch_is_lost() -> None:
    (source,) = Randomness.stages(1_000_911, 1)
    tubes = _tubes(12.0)
    assert bool((grown_together(tubes, GRID, source) <= tubes).all())


def test_all_of_a_lesion_is_where_it_may_be() -> None:
    grid = Grid((64, 64, 64), (1.0, 1.0, 1.0))
    allowed = (grid.axes()[0] > 24).expand(grid.shape)
    for source in Randomness.stages(1_000_912, 4):
        shape = ductal_shape(
            grid, np.array([32.0, 32.0, 32.0]), 22.0, torch.full(grid.shape, 0.5),
            np.array([32.0, 0.0, 32.0]), allowed, torch.full(grid.shape, 20.0), source,
        )  # fmt: skip
        label = shape.weight > 0.5
        assert bool(label.any()) and not bool((label & ~allowed).any())
