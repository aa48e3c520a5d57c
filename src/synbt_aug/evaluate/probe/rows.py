"""One row for each image of a probe: what was implanted, and what the segmenter made of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from synbt_aug.support.files import written_whole


@dataclass(frozen=True)
class ProbeRow:
    """One image.

    Args:
        case: The source case.
        image: The image's id in the probe.
        kind: As `Implant.kind`.
        place: As in the implant, like the next three.
        seed: All that is random followed from it.
        size_mm: Asked for.
        enhancement: Asked for.
        painted: Whether anything was implanted; True for the case as it is.
        reason: Why not; "" where it was.
        diameter_mm: Measured on the label.
        measured_enhancement: Measured on what was written.
        contrast_to_noise: Likewise.
        found: Whether the prediction meets the overlap rule; None for the case as it is, and
            where nothing was painted.
        found_before: Whether the prediction of the case as it is meets it at the same place.
        iou: Of implant and prediction.
        dice: Likewise; of the case as it is, of its real tumors.
        false_positives: None where the case has no mask: they may be real.
    """

    case: str
    image: str
    kind: str
    place: int
    seed: int
    size_mm: float | None = None
    enhancement: float | None = None
    painted: bool = True
    reason: str = ""
    diameter_mm: float | None = None
    measured_enhancement: float | None = None
    contrast_to_noise: float | None = None
    found: bool | None = None
    found_before: bool | None = None
    iou: float | None = None
    dice: float | None = None
    false_positives: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def write_rows(path: str | os.PathLike[str], rows: Sequence[ProbeRow]) -> Path:
    """Write rows as CSV; what is None stays empty."""
    path = Path(path)
    names = [field.name for field in fields(ProbeRow)]
    with written_whole(path) as unfinished, unfinished.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows(row.to_dict() for row in rows)
    return path
