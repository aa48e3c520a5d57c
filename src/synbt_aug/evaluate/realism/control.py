"""Does the generator paint what it is asked for, and does it paint more than one thing?

Control: an attribute is asked for over the range that the bank's tumors have, and measured in
what was painted by the function that measures real tumors. Diversity: many seeds in one mask,
their spread held against that of real tumors of about the size.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.volume import BreastVolume

ATTRIBUTES = ("enhancement", "rim", "heterogeneity", "pre_contrast")

#: What is asked for spans these percentiles of the bank.
ASKED_PERCENTILES = (5.0, 95.0)

#: Size of the tumors that control is asked of, in mm: large enough for a rim and a core.
ASKED_DIAMETER_MM = 18.0

#: Real tumors "of that size" are larger or smaller by this share at most.
SIZE_SHARE = 0.3

#: Fewer tumors have no spread worth having.
FEWEST_TUMORS = 5

#: A tumor whose rim is asked to be brighter than this is asked to be of the category "rim".
_RIM = 1.35


@dataclass(frozen=True)
class Control:
    """How one attribute follows the wish.

    Args:
        attribute: One of `ATTRIBUTES`.
        asked: Of each painted tumor.
        measured: Likewise.
        refused: Wishes after which nothing was painted.
    """

    attribute: str
    asked: tuple[float, ...]
    measured: tuple[float, ...]
    refused: int = 0

    @property
    def correlation(self) -> float:
        """Pearson's; nan for fewer than three tumors or wishes that do not vary."""
        if len(self.asked) < 3 or len(set(self.asked)) < 2 or len(set(self.measured)) < 2:
            return float("nan")
        return float(np.corrcoef(self.asked, self.measured)[0, 1])

    @property
    def mean_error(self) -> float:
        """Mean absolute error, in the attribute's unit; nan where there is no tumor."""
        if not self.asked:
            return float("nan")
        errors = (abs(a - m) for a, m in zip(self.asked, self.measured, strict=True))
        return statistics.fmean(errors)


def together(parts: Sequence[Control]) -> Control:
    """What was asked of one attribute in several hosts."""
    return Control(
        parts[0].attribute,
        tuple(a for part in parts for a in part.asked),
        tuple(m for part in parts for m in part.measured),
        sum(part.refused for part in parts),
    )


def range_of(bank: TumorBank, attribute: str) -> tuple[float, float]:
    """The 5th and 95th percentile of an attribute over the bank.

    Raises:
        SynBTError: If the bank's tumors were not measured.
    """
    found = [v for t in bank.templates if (v := getattr(t.appearance, attribute)) is not None]
    if not found:
        raise SynBTError(f"The bank's tumors have no {attribute}: build it from images.")
    low, high = np.percentile(found, ASKED_PERCENTILES)
    return float(low), float(high)


def ask(
    synthesizer: TumorSynthesizer,
    volume: BreastVolume,
    attribute: str,
    value: float,
    *,
    seed: int,
    diameter_mm: float = ASKED_DIAMETER_MM,
) -> Control:
    """Ask for one attribute of one tumor; the others come with its template.

    Args:
        synthesizer: That paints.
        volume: To paint into.
        attribute: One of `ATTRIBUTES`.
        value: What is asked for.
        seed: Of place, template and noise.
        diameter_mm: Of the tumor.
    """
    wish: dict[str, Any] = {attribute: value}
    if attribute == "rim":
        wish["category"] = "rim" if value > _RIM else "mass"
    result = synthesizer(volume, seed=seed, diameter_mm=diameter_mm, appearance=Appearance(**wish))
    if not result.painted:
        return Control(attribute, (), (), 1)
    measured = result.measured["tumors"][0]["appearance"][attribute]
    return Control(attribute, (value,), (measured,))


def paint_often(
    synthesizer: TumorSynthesizer,
    volume: BreastVolume,
    mask: Tensor,
    appearances: Sequence[Appearance],
    *,
    first_seed: int,
) -> list[Appearance]:
    """Paint one mask again and again, and measure each.

    Args:
        synthesizer: That paints.
        volume: To paint into, each time anew.
        mask: Boolean, shape `(D, H, W)`.
        appearances: A wish for each time; an empty one leaves all to the network.
        first_seed: Of the first; each has its own.

    Returns:
        Those of the tumors that were painted.
    """
    found = []
    for k, wish in enumerate(appearances):
        result = synthesizer(
            volume, seed=first_seed + k, tumor_mask=mask, appearance=replace(wish, category=None)
        )
        found += [
            Appearance.from_dict(one["appearance"]) for one in result.measured.get("tumors", [])[:1]
        ]
    return found


def drawn_appearances(
    bank: TumorBank, diameter_mm: float, count: int, *, generator: torch.Generator
) -> list[Appearance]:
    """Appearances of the bank's tumors of about this size, drawn with replacement.

    Args:
        bank: To draw from; where none is of the size, from all of it.
        diameter_mm: Of the mask.
        count: How many.
        generator: On the CPU.
    """
    near = [
        t.appearance
        for t in bank.templates
        if abs(_diameter_mm(t.mask) / diameter_mm - 1) <= SIZE_SHARE
    ]
    among = near or [t.appearance for t in bank.templates]
    chosen = torch.randint(len(among), (count,), generator=generator).tolist()
    return [among[k] for k in chosen]


def spread_over(
    painted: Sequence[Appearance], real: Sequence[Appearance]
) -> dict[str, float] | None:
    """SD over the seeds of one mask, over that of real tumors, for each attribute.

    Args:
        painted: In one mask.
        real: Tumors of about its size.

    Returns:
        None where there are fewer than five of either.
    """
    if min(len(painted), len(real)) < FEWEST_TUMORS:
        return None
    ratios = {}
    for name in ATTRIBUTES:
        ours, theirs = ([getattr(a, name) for a in of] for of in (painted, real))
        spread = statistics.stdev(theirs)
        if spread > 0:
            ratios[name] = statistics.stdev(ours) / spread
    return ratios


def of_size(tumors: Sequence[tuple[float, Appearance]], diameter_mm: float) -> list[Appearance]:
    """Those of (diameter in mm, appearance) that are of about this size."""
    return [a for mm, a in tumors if abs(mm / diameter_mm - 1) <= SIZE_SHARE]


def median_ratio(ratios: Sequence[Mapping[str, float]]) -> float:
    """The median over masks of the median over attributes; nan without any."""
    found = [statistics.median(one.values()) for one in ratios if one]
    return statistics.median(found) if found else float("nan")


def _diameter_mm(mask: Tensor) -> float:
    return equivalent_diameter_mm(int(mask.sum()))
