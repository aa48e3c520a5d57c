"""How much leaves a tumor's body: strands that set out from its surface, and nodules beside it.

Too thin for a 4 mm latent cell: a network cannot paint them. Their shape is drawn at 1 mm, in the
free margin of the body's window (`tumor/fringe_courses.py`, `tumor/fringe_shape.py`); what they
look like is the body's edge carried on (`paint/carried_on.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from synbt_aug.support.number import check_number, check_seed, check_whole

#: Most of either that a recipe may ask for.
MAX_STRANDS = 256

#: Most that a surface may go up and down, SD in mm.
MAX_ROUGH_MM = 3.0

#: Of all tumors the edge is softened by up to this much (`Fringe.soft`), each value as likely.
_SOFT_UP_TO = 0.2

#: Longest strand, in mm: a window has 12 mm around the hole.
LONGEST_MM = 14.0

#: A body of this diameter has as many of both as its margin says, smaller ones fewer, by this power
#: of the diameter. Strands go on to grow in number, with the diameter of larger bodies.
_FULL_FROM_MM, _FEWER = 16.0, 1.5


class _Margin(NamedTuple):
    """How often a kind of margin is met, its strands, the mean of its nodules, its roughness."""

    share: float
    strands: tuple[int, int]
    length_mm: tuple[float, float]
    nodules: float
    rough_mm: float


#: Spiculated, irregular and circumscribed masses, as often as phantoms have them, with as many
#: strands and nodules as bring painted tumors' pieces nearer to patients'; beside clumps of a
#: non-mass lesion lie clumps.
_MARGINS = {
    "mass": (
        _Margin(0.5, (14, 56), (4.0, LONGEST_MM), 44.0, 0.7),
        _Margin(0.35, (6, 28), (3.0, 12.0), 36.0, 0.6),
        _Margin(0.15, (0, 4), (2.0, 8.0), 5.0, 0.4),
    ),
    "non-mass": (_Margin(1.0, (8, 32), (2.5, 12.0), 22.0, 0.8),),
}


@dataclass(frozen=True)
class Fringe:
    """Strands and nodules of one tumor.

    Args:
        seed: Of their courses.
        strands: How many set out from the surface.
        nodules: How many lie beside it.
        length_mm: Range of the strands' lengths.
        rough_mm: How far the surface goes up and down, SD in mm.
        soft: How much wider the blend with the host is, in the mean along the surface: 0 nowhere,
            1 as wide everywhere as it can be, without the label's moving.
        reach_mm: How far each goes, strands first, where what may hold a tumor ends before it
            does; 0 leaves it out. Empty: all go to their ends.
    """

    seed: int
    strands: int
    nodules: int
    length_mm: tuple[float, float] = (4.0, LONGEST_MM)
    rough_mm: float = 0.0
    reach_mm: tuple[float, ...] = ()
    soft: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "seed": self.seed,
            "strands": self.strands,
            "nodules": self.nodules,
            "length_mm": list(self.length_mm),
            "rough_mm": self.rough_mm,
            "reach_mm": list(self.reach_mm),
            "soft": self.soft,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fringe:
        """Read what `to_dict` wrote.

        Raises:
            KeyError: If something is missing.
            TypeError: If something is of another kind.
            ValueError: If a number is out of range.
        """
        strands = check_whole("strands", values["strands"], 0, MAX_STRANDS)
        nodules = check_whole("nodules", values["nodules"], 0, MAX_STRANDS)
        low, high = (check_number("length_mm", v, 0.5, LONGEST_MM) for v in values["length_mm"])
        reach = tuple(check_number("reach_mm", v, 0, 3 * LONGEST_MM) for v in values["reach_mm"])
        if len(reach) not in (0, strands + nodules):
            raise ValueError(f"reach_mm needs {strands + nodules} numbers, got {len(reach)}")
        rough_mm = check_number("rough_mm", values["rough_mm"], 0, MAX_ROUGH_MM)
        seed = check_seed(values["seed"], "seed")
        soft = check_number("soft", values.get("soft", 0.0), 0, 1)
        return cls(seed, strands, nodules, (low, high), rough_mm, reach, soft)


def draw_fringe(diameter_mm: float, category: str | None, generator: torch.Generator) -> Fringe:
    """How much leaves a body of this size and category.

    Args:
        diameter_mm: Equivalent-sphere diameter of the body.
        category: "mass", "rim" or "non-mass"; None is taken for a mass.
        generator: On the CPU.
    """
    first, second, third, fourth = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    margins = _MARGINS["non-mass" if category == "non-mass" else "mass"]
    bounds = np.cumsum([margin.share for margin in margins])
    margin = margins[min(int(np.searchsorted(bounds, first)), len(margins) - 1)]
    over = diameter_mm / _FULL_FROM_MM
    full = min(1.0, over) ** _FEWER
    low, high = margin.strands
    strands = round(full * max(1.0, over) * (low + second * (high - low)))
    # Few as a rule, many at times.
    nodules = round(full * margin.nodules * -math.log(max(third, 1e-6)) * (0.5 + fourth))
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    rough_mm = round(margin.rough_mm * min(1.0, diameter_mm / _FULL_FROM_MM), 2)
    strands, nodules = min(strands, MAX_STRANDS), min(nodules, MAX_STRANDS)
    soft = _draw_soft(generator)
    return Fringe(seed, strands, nodules, margin.length_mm, rough_mm, soft=soft)


def fringe_of_mask(generator: torch.Generator) -> Fringe:
    """Of a given mask: nothing leaves it, its own surface is painted; how soft it is is drawn."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    return Fringe(seed, 0, 0, soft=_draw_soft(generator))


def _draw_soft(generator: torch.Generator) -> float:
    share = float(torch.rand((), generator=generator, dtype=torch.float64))
    return round(_SOFT_UP_TO * share, 3)
