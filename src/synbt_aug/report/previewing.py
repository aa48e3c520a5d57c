"""Many tumors on one sheet: decided one after the other, then painted in crops of their scans.

Whole scans are let go before the networks paint: nine tumors of a native bilateral scan take no
more memory than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from synbt_aug.crops import DecidedCrop, decide_crop, paint_crop
from synbt_aug.host import Host
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import planes_panel
from synbt_aug.support.memory import give_back_memory
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.request import Request

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Ask:
    """One panel of a sheet.

    Args:
        name: Opens the panel's title.
        seed: All that is random follows from it.
    """

    name: str
    seed: int


@dataclass(frozen=True)
class Waiting:
    """A panel that was decided.

    Args:
        ask: What was asked.
        crop: To be painted, or the reason why there is none.
        affine: Voxel (x, y, z) of its scan to scanner coordinates, of which only directions count.
    """

    ask: Ask
    crop: DecidedCrop | str
    affine: np.ndarray | None


@dataclass(frozen=True)
class Panel:
    """A panel, or why there is none.

    Args:
        ask: What was asked.
        picture: The panel; None where nothing was painted.
        reason: Why; "" where something was.
    """

    ask: Ask
    picture: Image.Image | None
    reason: str = ""


def decide_panels(
    synthesizer: TumorSynthesizer,
    host: Host,
    asks: Iterable[Ask],
    request: Request,
    affine: np.ndarray | None,
) -> list[Waiting]:
    """Decide all panels of one scan.

    Args:
        synthesizer: What paints them later.
        host: The scan.
        asks: One a panel.
        request: What is asked of each.
        affine: Of the scan.
    """
    waiting = []
    for ask in asks:
        crop = decide_crop(synthesizer, host, request, seed=ask.seed)
        waiting.append(Waiting(ask, crop, affine))
        give_back_memory()
    return waiting


def paint_panels(synthesizer: TumorSynthesizer, waiting: list[Waiting], tell: Tell) -> list[Panel]:
    """Paint what was decided; each crop is let go before the next.

    Args:
        synthesizer: The one that decided.
        waiting: Panels; the list is emptied.
        tell: Called with (panels done, all panels).

    Returns:
        Panels in the order of `waiting`.
    """
    total = len(waiting)
    order = [one.ask for one in waiting]
    tell(0, total)
    # The largest comes last: it takes most to paint, and no other crop is there any more.
    waiting.sort(key=_size, reverse=True)
    panels = {}
    while waiting:
        give_back_memory()
        one = waiting.pop()
        panels[one.ask] = _painted(synthesizer, one)
        tell(total - len(waiting), total)
    return [panels[ask] for ask in order]


def _size(one: Waiting) -> int:
    return 0 if isinstance(one.crop, str) else one.crop.host.volume.image.numel()


def _painted(synthesizer: TumorSynthesizer, one: Waiting) -> Panel:
    if isinstance(one.crop, str):
        return Panel(one.ask, None, one.crop)
    result = paint_crop(synthesizer, one.crop)
    if not result.painted:
        return Panel(one.ask, None, str(result.reason))
    volume = one.crop.host.volume
    shown = BeforeAfter(
        title=f"{one.ask.name}: {_what(result.measured)}",
        before=volume.image[:2].numpy(),
        after=result.image[:2].numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=volume.spacing,
        affine=one.affine,
    )
    return Panel(one.ask, planes_panel(shown))


def _what(measured: dict[str, Any]) -> str:
    """`12 mm, mass`, of the largest where there are several."""
    tumors = [tumor for tumor in measured["tumors"] if "diameter_mm" in tumor]
    if not tumors:
        return "no tumor"
    largest = max(tumors, key=lambda tumor: float(tumor["diameter_mm"]))
    words = [f"{largest['diameter_mm']:.0f} mm"]
    if category := largest["appearance"].get("category"):
        words.append(category)
    if len(tumors) > 1:
        words.append(f"and {len(tumors) - 1} more")
    return ", ".join(words)
