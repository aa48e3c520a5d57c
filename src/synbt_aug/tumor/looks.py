"""Appearances drawn around those of a bank's templates, with the spread of the bank.

A template's numbers are moved at random, so that no tumor looks like another, and as far towards
the mean of its category as keeps the spread what it is (a smoothed bootstrap). Shape and
appearance still belong together: a large tumor with a dark core keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from synbt_aug.tumor.appearance import CATEGORIES, LIMITS, RIM_RATIO, Appearance

#: SD of log(1 + enhancement), log heterogeneity, log rim and pre-contrast over phantoms of one
#: category: the spread of a bank too small to tell.
DEFAULT_SD = (0.30, 0.35, 0.10, 0.25)

#: So many tumors' weight the default spread has.
_DEFAULT_COUNTS = 4

#: Smallest heterogeneity, of which a logarithm is taken.
_EVEN = 0.01

#: Added to a drawn heterogeneity, as a square: so much for each mm that a tumor is larger than the
#: second number, up to the third. In patients' slices the larger a tumor, the less even it is;
#: painted by the bank's numbers alone, large ones are plates (docs/lab-book.md, chapter 41).
_UNEVEN_PER_MM, _EVEN_TO_MM, _UNEVEN_TO_MM = 0.010, 18.0, 36.0

#: So many of the masses with a core from this diameter on, in mm, are given rim and heterogeneity
#: of a tumor of category "rim": in patients' slices 14 to 18 % of the larger tumors are brighter
#: outside than in the middle by a tenth, in phantoms' 7 to 14 %.
_RIMMED, _RIMMED_FROM_MM = 0.15, 18.0

#: Which of the numbers are heterogeneity and rim.
_OF_RIM = np.array([False, True, True, False])


class Looks:
    """What the tumors of a bank look like, to draw from.

    Args:
        appearances: Of its templates.

    Source:
        Silverman and Young, "The bootstrap: to smooth or not to smooth?", Biometrika 74, 1987;
        the width is Scott's for four dimensions.
    """

    def __init__(self, appearances: Sequence[Appearance]) -> None:
        self._appearances = tuple(appearances)
        self._numbers = np.array([_numbers(one) for one in appearances])
        self._rims = [
            k
            for k, one in enumerate(appearances)
            if one.category == "rim" and None not in (one.rim, one.heterogeneity)
        ]
        self._width = len(appearances) ** (-1 / 8)
        self._middle: dict[str | None, np.ndarray] = {}
        departures = []
        for category in (*CATEGORIES, None):
            here = np.array([one.category == category for one in appearances])
            known = self._numbers[here]
            if not len(known):
                continue
            middle = np.array([_mean(column) for column in known.T])
            self._middle[category] = middle
            departures.append(np.nan_to_num(known - middle))
        free = len(appearances) - len(departures)
        squares = sum(part.T @ part for part in departures)
        squares = squares + _DEFAULT_COUNTS * np.diag(np.square(DEFAULT_SD))
        self._root = np.linalg.cholesky(squares / (free + _DEFAULT_COUNTS))

    def draw(
        self,
        index: int,
        diameter_mm: float,
        generator: torch.Generator,
        *,
        rims: bool = True,
    ) -> Appearance:
        """An appearance like that of a template; what is not known of it stays so.

        Args:
            index: Of the template.
            diameter_mm: Of the tumor.
            generator: On the CPU; as many numbers are drawn whatever `rims` says.
            rims: Whether a mass may be given the rim of another tumor: not where category, rim or
                heterogeneity are asked for.
        """
        own, like = self._numbers[index], self._appearances[index]
        middle = self._middle[like.category]
        rimmed = self._other_rim(like, diameter_mm, generator)
        if rims and rimmed is not None:
            like = replace(like, category="rim")
            # The two belong together: an even tumor with a rim is a disc with a glow.
            own = np.where(_OF_RIM, self._numbers[rimmed], own)
            middle = np.where(_OF_RIM, self._middle["rim"], middle)
        noise = self._root @ torch.randn(4, generator=generator, dtype=torch.float64).numpy()
        moved = middle + (own - middle + self._width * noise) / math.hypot(1, self._width)
        uneven = _UNEVEN_PER_MM * max(min(diameter_mm, _UNEVEN_TO_MM) - _EVEN_TO_MM, 0.0)
        enhancement, heterogeneity, rim, pre = (
            None if math.isnan(v) else v for v in moved.tolist()
        )
        return replace(
            like,
            enhancement=_within(
                "enhancement", None if enhancement is None else math.expm1(enhancement)
            ),
            heterogeneity=_within(
                "heterogeneity",
                None if heterogeneity is None else math.hypot(math.exp(heterogeneity), uneven),
            ),
            rim=_rim(like, None if rim is None else math.exp(rim)),
            pre_contrast=_within("pre_contrast", pre),
        )

    def _other_rim(
        self, like: Appearance, diameter_mm: float, generator: torch.Generator
    ) -> int | None:
        """A tumor whose rim a mass is to have, if any: it needs a core, and the bank rims."""
        first, second = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        if like.category != "mass" or like.rim in (None, 1.0) or like.heterogeneity is None:
            return None
        if not self._rims or diameter_mm < _RIMMED_FROM_MM or first >= _RIMMED:
            return None
        return self._rims[int(second * len(self._rims))]


def _mean(column: np.ndarray) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if len(known) else 0.0


def _numbers(one: Appearance) -> list[float]:
    """On scales on which they spread about normally; NaN for what is not known."""
    return [
        math.nan if one.enhancement is None else math.log1p(one.enhancement),
        math.nan if one.heterogeneity is None else math.log(max(one.heterogeneity, _EVEN)),
        math.nan if one.rim is None else math.log(one.rim),
        math.nan if one.pre_contrast is None else one.pre_contrast,
    ]


def _within(name: str, value: float | None) -> float | None:
    low, high = LIMITS[name]
    return None if value is None else min(max(value, low), high)


def _rim(like: Appearance, value: float | None) -> float | None:
    """A rim that leaves the category what it is; 1 without a core, as it was."""
    if value is None or like.rim == 1.0:
        return like.rim
    low, high = LIMITS["rim"]
    if like.category == "rim":
        low = RIM_RATIO
    elif like.category == "mass":
        high = RIM_RATIO
    return min(max(value, low), high)
