"""A ball in a window, and what leaves it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from analytic import ball
from synbt_aug.grid.mask import signed_distance_mm, tilted
from synbt_aug.tumor.fringe import Fringe
from synbt_aug.tumor.fringe_courses import courses_of
from synbt_aug.tumor.fringe_shape import joined

MANY = Fringe(seed=5, strands=14, nodules=6)


def body(radius: float = 8.0, side: int = 64) -> Tensor:
    return tilted(signed_distance_mm(ball(side, radius)))


def everywhere(places: np.ndarray) -> np.ndarray:
    return np.ones(len(places), dtype=bool)


def grown(fringe: Fringe, inside: Tensor) -> Tensor:
    return joined(inside, fringe, courses_of(fringe, inside))
