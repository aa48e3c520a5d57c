"""What a user asks of one sample, and the wishes that are drawn from it.

A user asks in numbers, in ranges, or not at all. Here each tumor draws its own numbers from the
ranges; its size is drawn where it is placed, among those that the breast holds. Recipes keep what
was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synbt_aug.support.number import check_number
from synbt_aug.support.ranges import (
    Range,
    WholeRange,
    check_range,
    check_whole_range,
    draw,
    draw_whole,
)
from synbt_aug.tumor.appearance import LIMITS, LIMITS_ADVICE, Appearance, check_category
from synbt_aug.tumor.curve import check_curve
from synbt_aug.tumor.distractor import MAX_EXPECTED, distractor_count
from synbt_aug.tumor.lesions import Lesion
from synbt_aug.tumor.multifocal import group_chance
from synbt_aug.tumor.wish import Wish, check_diameter_mm, check_kind

#: Most tumors that may be asked of one volume.
MAX_TUMORS = 100


@dataclass(frozen=True)
class AppearanceRequest:
    """The appearance asked of every tumor: that of `Appearance`, where a number may be a range.

    Raises:
        SynBTError: If the category is unknown, or a number is not one that a tumor can have.
    """

    enhancement: float | Range | None = None
    heterogeneity: float | Range | None = None
    rim: float | Range | None = None
    pre_contrast: float | Range | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        check_category(self.category)
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                checked = check_range(name, value, least, most, advice=LIMITS_ADVICE)
                object.__setattr__(self, name, checked)

    def draw(self, generator: torch.Generator) -> Appearance:
        """One tumor's; each range draws one number, in the order of `LIMITS`."""
        asked = {name: getattr(self, name) for name in LIMITS}
        drawn = {k: None if v is None else draw(v, generator) for k, v in asked.items()}
        return Appearance(**drawn, category=self.category)


@dataclass(frozen=True)
class Request:
    """What is asked of one sample.

    Args:
        kind: As for `Wish`.
        tumors: How many, or a range in which each number is equally likely.
        diameter_mm: Of each; a range as for `Wish`.
        appearance: Of each.
        multifocal: Probability that a tumor is the largest of a multifocal group.
        distractors: Expected number of benign things beside the tumors.
        only_free_side: Only into a breast without a real tumor.
        curve: Type of the tumors' kinetic curve in further phases; None draws it.

    Raises:
        SynBTError: If a value is out of range.
    """

    kind: str = "tumor"
    tumors: int | WholeRange = 1
    diameter_mm: float | Range | None = None
    appearance: Appearance | AppearanceRequest = Appearance()
    multifocal: float = 0.0
    distractors: float = 0.0
    only_free_side: bool = False
    curve: str | None = None

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_curve(self.curve)
        count = check_whole_range("tumors", self.tumors, 0, MAX_TUMORS)
        object.__setattr__(self, "tumors", count)
        object.__setattr__(self, "diameter_mm", check_diameter_mm(self.diameter_mm))
        for name, most in {"multifocal": 1.0, "distractors": MAX_EXPECTED}.items():
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0, most))

    def draw(self, generator: torch.Generator) -> list[Wish]:
        """One sample's wishes: the tumors, and the distractors after them.

        Args:
            generator: The sample's own, on the CPU. Ranges draw from it; what is one number
                draws nothing.
        """
        wishes = []
        for _ in range(draw_whole(self.tumors, generator)):
            group = self.kind == "tumor" and group_chance(self.multifocal, generator)
            wishes.append(replace(self._wish(generator), group=group))
        return wishes + self._distractors(generator)

    def draw_for(self, masks: Sequence[Tensor | Lesion], generator: torch.Generator) -> list[Wish]:
        """The wishes where shapes are given: one for each, and the distractors after them.

        Args:
            masks: Boolean, shape `(D, H, W)`, or lesions of one mask.
            generator: As for `draw`.
        """
        wishes = [self._wish(generator, mask) for mask in masks]
        return wishes + self._distractors(generator)

    def _wish(self, generator: torch.Generator, mask: Tensor | Lesion | None = None) -> Wish:
        look = self.appearance
        return Wish(
            self.kind,
            self.diameter_mm if mask is None else None,
            look if isinstance(look, Appearance) else look.draw(generator),
            mask,
            only_free_side=self.only_free_side,
            curve=self.curve,
        )

    def _distractors(self, generator: torch.Generator) -> list[Wish]:
        benign = Wish("distractor", only_free_side=self.only_free_side)
        return [benign] * distractor_count(self.distractors, generator)
