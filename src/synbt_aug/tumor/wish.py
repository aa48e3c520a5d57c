"""What is asked of one painting, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.support.ranges import Range, check_range
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.curve import check_curve
from synbt_aug.tumor.lesions import Lesion
from synbt_aug.tumor.multifocal import Satellite
from synbt_aug.tumor.recipe import KINDS
from synbt_aug.tumor.sizes import LARGEST_MM, SMALLEST_MM


@dataclass(frozen=True)
class Wish:
    """What to paint.

    Args:
        kind: "tumor", "null" (ordinary tissue over a healthy place), "removal" or "distractor"
            (something benign, drawn with its place; of the rest only `only_free_side` counts).
        diameter_mm: Equivalent-sphere diameter; None draws one from the bank's sizes, a range
            one from it, each among the sizes that the breast holds.
        appearance: What is not None is asked for; the rest is drawn about the template's.
        mask: A shape given on the host's grid, boolean, shape `(D, H, W)`, or a lesion of one,
            in place of a template and a site; needed for removals.
        only_free_side: Only into a breast without a real tumor.
        curve: Type of the kinetic curve in further phases; None draws it.
        group: It is the largest lesion of a multifocal group; `satellite_wishes` are the others.
        satellite: A further lesion of a group, with its template and place.
    """

    kind: str = "tumor"
    diameter_mm: float | Range | None = None
    appearance: Appearance = Appearance()
    mask: Tensor | Lesion | None = None
    only_free_side: bool = False
    group: bool = False
    satellite: Satellite | None = None
    curve: str | None = None

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_curve(self.curve)
        object.__setattr__(self, "diameter_mm", check_diameter_mm(self.diameter_mm))
        if self.kind == "removal" and self.mask is None:
            raise SynBTError("A removal needs the mask of what to remove: pass mask=.")


def check_kind(kind: str) -> None:
    """See that a kind of thing to paint is one that there is.

    Raises:
        SynBTError: If it is not.
    """
    if kind not in KINDS:
        raise SynBTError(f"kind needs one of {', '.join(map(repr, KINDS))}, got {kind!r}.")


def check_diameter_mm(value: Any) -> float | Range | None:
    """A diameter that can be painted, a range of them, or None.

    Raises:
        SynBTError: If it is none of these.
    """
    if value is None:
        return None
    return check_range(
        "diameter_mm",
        value,
        SMALLEST_MM,
        LARGEST_MM,
        advice="Smaller tumors vanish in a 4 mm latent cell, larger ones do not fit a 128 mm "
        "window.",
    )
