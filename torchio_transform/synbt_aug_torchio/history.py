"""What a subject's history says about its intensities.

TorchIO records every transform with its arguments. From that it can be told that intensities
were bent or clipped before a tumor is painted, that the volume is a crop, and that recorded
references belong to another signal.
"""

from __future__ import annotations

from collections.abc import Collection

import torchio as tio
from torchio.transforms import IntensityTransform
from torchio.utils import get_subclasses

#: Transforms after which a tumor would lack what everything around it has.
_BENDING = (
    "Gamma",
    "Clamp",
    "HistogramStandardization",
    "Noise",
    "Blur",
    "Motion",
    "Ghosting",
    "Spike",
    "Swap",
)


def bent_by(subject: tio.Subject, images: Collection[str]) -> str | None:
    """The first transform that changed these images not linearly; None where there is none."""
    for name, arguments in subject.applied_transforms:
        if not _touches(arguments, images):
            continue
        if name in _BENDING:
            return str(name)
        if name == "RescaleIntensity":
            low, high = arguments.get("percentiles", (0, 100))
            if low > 0 or high < 100:
                return f"RescaleIntensity with percentiles ({low:g}, {high:g})"
    return None


def was_cropped(subject: tio.Subject) -> bool:
    """Whether the subject is a part of a larger one."""
    return any(name == "Crop" for name, _ in subject.applied_transforms)


def changed_since(subject: tio.Subject, name: str, images: Collection[str]) -> str | None:
    """The first intensity transform after the last transform of that name; None: none."""
    changing = {cls.__name__ for cls in get_subclasses(IntensityTransform)} - {"To"}
    first = None
    for applied, arguments in subject.applied_transforms:
        if applied == name:
            first = None
        elif first is None and applied in changing and _touches(arguments, images):
            first = str(applied)
    return first if any(applied == name for applied, _ in subject.applied_transforms) else None


def _touches(arguments: dict[str, object], images: Collection[str]) -> bool:
    include, exclude = arguments.get("include"), arguments.get("exclude")
    return any(
        (not isinstance(include, Collection) or name in include)
        and (not isinstance(exclude, Collection) or name not in exclude)
        for name in images
    )
