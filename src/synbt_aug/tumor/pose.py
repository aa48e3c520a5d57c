"""How a template lies in its window: drawn once, kept by the recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from synbt_aug.grid.posing import rotation_matrix
from synbt_aug.support.number import check_number, check_seed, check_whole

#: Points a side of the grid of the elastic displacement, which spans the window.
_ELASTIC_POINTS = 4

#: Most of the elastic displacement that a recipe may ask for, in mm.
_MAX_ELASTIC_MM = 10.0


@dataclass(frozen=True)
class Pose:
    """How a template lies in its window.

    Args:
        template: Its index in the bank.
        quaternion: Rotation (w, x, y, z), a unit quaternion.
        flip: Whether the first axis is mirrored before it is rotated.
        elastic_mm: SD of the elastic displacement, in mm.
        elastic_seed: Of the displacement field.
    """

    template: int
    quaternion: tuple[float, float, float, float]
    flip: bool
    elastic_mm: float
    elastic_seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "quaternion": list(self.quaternion)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pose:
        """Read what `to_dict` wrote.

        Raises:
            KeyError: If something is missing.
            TypeError: If something is of another kind.
            ValueError: If a number is out of range.
        """
        if not isinstance(values["flip"], bool):
            raise TypeError(f"flip needs true or false, got {values['flip']!r}")
        return cls(
            template=check_whole("template", values["template"], 0),
            quaternion=read_quaternion(values["quaternion"]),
            flip=values["flip"],
            elastic_mm=check_number("elastic_mm", values["elastic_mm"], 0, _MAX_ELASTIC_MM),
            elastic_seed=check_seed(values["elastic_seed"], "elastic_seed"),
        )


def read_quaternion(values: Sequence[Any]) -> tuple[float, float, float, float]:
    """A rotation from JSON: four numbers from -1 to 1, not all of them 0.

    Raises:
        ValueError: If it is none.
    """
    w, x, y, z = (check_number("quaternion", v, -1.001, 1.001) for v in values)
    if math.hypot(w, x, y, z) < 0.5:
        raise ValueError(f"a rotation needs a unit quaternion, got {(w, x, y, z)}")
    return w, x, y, z


def rotation_and_displacement(how: Pose) -> tuple[Tensor, Tensor]:
    """A pose as `mask.pose` takes it: shape `(3, 3)`, and `(3, k, k, k)` in mm."""
    generator = torch.Generator().manual_seed(how.elastic_seed)
    grid = (3, _ELASTIC_POINTS, _ELASTIC_POINTS, _ELASTIC_POINTS)
    displacement = torch.randn(grid, generator=generator) * how.elastic_mm
    rotation = rotation_matrix(torch.tensor(how.quaternion, dtype=torch.float64))
    if how.flip:
        rotation = rotation * torch.tensor([-1.0, 1.0, 1.0])
    return rotation, displacement
