"""Things that enhance and are no tumor: benign-like masses, lymph nodes, vessel ends.

They are painted without a label. False positives far from a tumor are what a boundary distance
such as HD95 suffers from most. Shapes are formulas of a few numbers, which recipes hold; what they
leave out is anatomy: a vessel end belongs to no vessel, a node may lie anywhere in the breast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from synbt_aug.grid.posing import rotation_matrix
from synbt_aug.support.number import check_number
from synbt_aug.tumor.appearance import LIMITS, Appearance
from synbt_aug.tumor.pose import read_quaternion

SHAPES = ("mass", "node", "vessel")

#: Most of them that may be expected in a sample.
MAX_EXPECTED = 8.0

#: Window that holds each of them with tissue around, in mm.
WINDOW_MM = 64

#: Diameter of a benign-like mass, in mm, and how much its semi-axes differ.
_MASS_MM = (6.0, 15.0)
_MASS_AXES = (0.8, 1.25)

#: Length of a node, in mm, and its breadth over that.
_NODE_MM = (5.0, 10.0)
_NODE_BREADTH = (0.55, 0.75)

#: Length along a vessel end and its thickness where it begins, in mm; its thickness at the tip
#: over that; and by how much it turns from end to end, in radians.
_VESSEL_LENGTH_MM = (15.0, 30.0)
_VESSEL_MM = (2.0, 4.0)
_VESSEL_TAPER = (0.4, 0.7)
_VESSEL_TURN = (0.3, 1.6)

#: Enhancement over the reference range. Of 1024 phantom tumors half lie above .6: a benign mass
#: stays below, a vessel is as bright.
_ENHANCEMENT = {"mass": (0.15, 0.40), "node": (0.20, 0.45), "vessel": (0.40, 0.90)}

#: A node's cortex over its fatty hilum.
_HILUM = 1.8

#: Points along a vessel.
_POINTS = 48


@dataclass(frozen=True)
class Distractor:
    """One of them.

    Args:
        shape: "mass", "node" or "vessel".
        quaternion: Rotation (w, x, y, z), a unit quaternion.
        size_mm: Three semi-axes; of a vessel its length and its thickness at both ends.
        turn: By how much a vessel turns from end to end, in radians.
        enhancement: As in an `Appearance`.
    """

    shape: str
    quaternion: tuple[float, float, float, float]
    size_mm: tuple[float, float, float]
    turn: float
    enhancement: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Distractor:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: If there is no such shape, or it is not of these sizes.
        """
        quaternion = read_quaternion(values["quaternion"])
        a, b, c = (float(v) for v in values["size_mm"])
        if values["shape"] not in SHAPES or not 0 < min(a, b, c) <= max(a, b, c) <= 32:
            raise ValueError(f"no distractor of shape {values['shape']!r} and {a, b, c} mm")
        turn = check_number("turn", values["turn"], 0, math.pi)
        enhancement = check_number("enhancement", values["enhancement"], *LIMITS["enhancement"])
        return cls(str(values["shape"]), quaternion, (a, b, c), turn, enhancement)

    @property
    def appearance(self) -> Appearance:
        """What is asked of the analytic texture: smooth, and a node with a hilum."""
        rim = _HILUM if self.shape == "node" else 1.0
        return Appearance(self.enhancement, heterogeneity=0.05, rim=rim)


def distractor_count(expected: float, generator: torch.Generator) -> int:
    """How many, so that their mean is `expected`.

    Args:
        expected: The whole part always, the rest with that probability.
        generator: On the CPU; it stays where it is, so that the tumors drawn from it next are
            those that would be painted alone.
    """
    if expected <= 0:
        return 0
    copy = torch.Generator()
    copy.set_state(generator.get_state())
    # Seeded anew: the copy's own numbers are those of the next tumor.
    own = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=copy, device="cpu")))
    whole = int(expected)
    return whole + int(float(torch.rand((), generator=own, device="cpu")) < expected - whole)


def draw_distractor(generator: torch.Generator) -> Distractor:
    """One of the three shapes, evenly; all numbers are drawn evenly from their ranges.

    Args:
        generator: On the CPU.
    """
    kind, a, b, c, d, e = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    rotation = torch.randn(4, generator=generator, dtype=torch.float64)
    w, x, y, z = (rotation / rotation.norm()).tolist()
    shape = SHAPES[int(kind * len(SHAPES))]
    turn = 0.0
    if shape == "mass":
        radius = _between(_MASS_MM, a) / 2
        first, second = _between(_MASS_AXES, b), _between(_MASS_AXES, c)
        # Volume kept: the diameter is that of the sphere of the same volume.
        keep = (first * second) ** (-1 / 3)
        size = (radius * keep, radius * keep * first, radius * keep * second)
    elif shape == "node":
        half = _between(_NODE_MM, a) / 2
        size = (half, half * _between(_NODE_BREADTH, b), half * _between(_NODE_BREADTH, c))
    else:
        thick = _between(_VESSEL_MM, b)
        size = (_between(_VESSEL_LENGTH_MM, a), thick, thick * _between(_VESSEL_TAPER, c))
        turn = _between(_VESSEL_TURN, d)
    return Distractor(shape, (w, x, y, z), size, turn, _between(_ENHANCEMENT[shape], e))


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def distractor_distance(what: Distractor, shape: Sequence[int] = (WINDOW_MM,) * 3) -> Tensor:
    """Its shape in the middle of a window.

    Args:
        what: The distractor.
        shape: Of the window, in voxels of 1 mm.

    Returns:
        Signed distance, shape `(*shape,)`, float32, CPU, in mm, negative inside;
        exact for vessels, approximate away from the surface of ellipsoids.
    """
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    grid = grid @ rotation_matrix(torch.tensor(what.quaternion, dtype=torch.float64))
    distance = _vessel(grid, what) if what.shape == "vessel" else _ellipsoid(grid, what.size_mm)
    return distance.clamp(-8, 8)


def _ellipsoid(grid: Tensor, semi_axes_mm: tuple[float, float, float]) -> Tensor:
    """To first order: the implicit function over the length of its gradient."""
    radii = torch.tensor(semi_axes_mm)
    near = (grid / radii).norm(dim=-1)
    slope = (grid / radii**2).norm(dim=-1)
    # In the very middle both vanish; there the surface is the shortest semi-axis away.
    middle = near < 1e-3
    distance = near * (near - 1) / slope.clamp_min(1e-9)
    return torch.where(middle, torch.full_like(distance, -min(semi_axes_mm)), distance)


def _vessel(grid: Tensor, what: Distractor) -> Tensor:
    """To an arc of a circle whose thickness shrinks along it, with round ends."""
    length, first, last = what.size_mm
    along = torch.linspace(0, 1, _POINTS)
    angle = (along - 0.5) * what.turn
    bend = length / max(what.turn, 1e-3)
    across = bend * (angle.cos() - math.cos(what.turn / 2)) - bend * (
        (1 - math.cos(what.turn / 2)) / 2
    )
    best = torch.full(grid.shape[:-1], torch.inf)
    radii = (first + (last - first) * along) / 2
    # One point after the other: all at once would take 50 MB.
    for x, y, radius in zip((bend * angle.sin()).tolist(), across.tolist(), radii.tolist()):
        away = ((grid[..., 0] - x) ** 2 + (grid[..., 1] - y) ** 2 + grid[..., 2] ** 2).sqrt()
        best = torch.minimum(best, away - radius)
    return best
