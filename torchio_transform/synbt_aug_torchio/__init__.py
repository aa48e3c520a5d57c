"""The TorchIO adapter: `SynBTTumor`, `PaintTumor`, `RecordIntensity` and `RecordSites`.

TorchIO tensors are (C, W, H, D) = (C, x, y, z) and go to the core as they lie: sites, shapes and
spacings in a recipe made here are in (x, y, z) order, as stored. Recipes of the command line and
of nnU-Net are in (z, y, x) order.
"""

from __future__ import annotations

from synbt_aug.errors import ExtraMissingError
from synbt_aug.signal.intensity import reference_of

try:
    import torchio  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torchio":
        raise
    raise ExtraMissingError("SynBTTumor for TorchIO", "torchio", "torchio") from error

from synbt_aug_torchio.paint_tumor import PaintTumor
from synbt_aug_torchio.record_intensity import INTENSITY_KEY, RecordIntensity
from synbt_aug_torchio.record_sites import SITES_KEY, RecordSites
from synbt_aug_torchio.synbt_tumor import SynBTTumor

__all__ = [
    "INTENSITY_KEY",
    "PaintTumor",
    "RecordIntensity",
    "RecordSites",
    "SITES_KEY",
    "SynBTTumor",
    "reference_of",
]
