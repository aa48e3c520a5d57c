"""What a probe implants into a case: sizes x contrasts x places, and things that are no tumor."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.number import MAX_SEED, check_number, check_whole
from synbt_aug.tumor.appearance import LIMITS
from synbt_aug.tumor.placement import LARGEST_MM, SMALLEST_MM

#: Places that are tried for one implant.
ATTEMPTS = 5

TUMOR, DISTRACTOR, NULL, UNTOUCHED = "tumor", "distractor", "null", "untouched"


@dataclass(frozen=True)
class ProbeSettings:
    """The grid, and the rules by which a segmenter is judged.

    Args:
        sizes_mm: Diameters of the sphere of the same volume.
        enhancements: Contrasts: tumor over the shell 2-6 mm around it in post, in units of the
            case's reference range (as `Appearance.enhancement`).
        places: Tumors of each size and contrast in a case, each at a place of its own. The
            contrasts of one size share place and shape, unless one cannot be painted there and
            then takes another place.
        distractors: Benign things in a case, one an image.
        null_paints: Healthy places repainted as healthy in a case, one an image.
        min_iou: Least intersection over union of an implant and the parts of the prediction that
            touch it, for it to count as found.
        confidence: Of all intervals.
        seed: All that is random follows from it and from the cases' names.

    Raises:
        SynBTError: If a value is out of range, or given twice.
    """

    sizes_mm: tuple[float, ...] = (8.0, 12.0, 20.0, 30.0)
    enhancements: tuple[float, ...] = (0.4, 0.8, 1.6)
    places: int = 1
    distractors: int = 2
    null_paints: int = 1
    min_iou: float = 0.1
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"sizes_mm": (SMALLEST_MM, LARGEST_MM), "enhancements": LIMITS["enhancement"]}
        for name, (least, most) in limits.items():
            values = tuple(check_number(name, v, least, most) for v in getattr(self, name))
            if not values or len(set(values)) < len(values):
                raise SynBTError(f"{name} needs one number or several, each once, got {values}.")
            object.__setattr__(self, name, tuple(sorted(values)))
        check_whole("places", self.places, 1, 100)
        check_whole("distractors", self.distractors, 0, 100)
        check_whole("null_paints", self.null_paints, 0, 100)
        # At 0 every prediction that touches the implant would do, a whole breast, too.
        check_number("min_iou", self.min_iou, 0.01, 1.0)
        check_number("confidence", self.confidence, 0.5, 0.999)
        check_whole("seed", self.seed, 0, MAX_SEED)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


@dataclass(frozen=True)
class Implant:
    """One image to be made of a case.

    Args:
        kind: "tumor", "distractor", "null" (healthy tissue repainted) or "untouched".
        place: Number of the place, from 0 on.
        seeds: What it is drawn from: the first, and those to try where that one leaves nothing.
        size_mm: Diameter asked for; None where it is no tumor.
        enhancement: Likewise.
    """

    kind: str
    place: int
    seeds: tuple[int, ...]
    size_mm: float | None = None
    enhancement: float | None = None


def implants_of(case: str, settings: ProbeSettings) -> list[Implant]:
    """The images of a case; the first one is the case as it is.

    Args:
        case: Its name: every case draws places of its own.
        settings: The grid.
    """
    implants = [Implant(UNTOUCHED, 0, (0,))]
    for place in range(settings.places):
        seeds = _seeds(settings.seed, case, TUMOR, place)
        implants += [
            Implant(TUMOR, place, seeds, size, enhancement)
            for size in settings.sizes_mm
            for enhancement in settings.enhancements
        ]
    for kind, count in ((DISTRACTOR, settings.distractors), (NULL, settings.null_paints)):
        implants += [
            Implant(kind, place, _seeds(settings.seed, case, kind, place)) for place in range(count)
        ]
    return implants


def _seeds(seed: int, case: str, kind: str, place: int) -> tuple[int, ...]:
    names = (f"{seed}/{case}/{kind}/{place}/{attempt}" for attempt in range(ATTEMPTS))
    return tuple(zlib.crc32(name.encode()) for name in names)
