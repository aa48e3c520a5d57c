"""The MONAI adapter: `SynBTTumor(d)`, `PaintTumor(d)`, `RecordIntensityd` and `RecordSitesd`.

Arrays go to the core as they lie, channel first: sites, shapes and spacings in a recipe made here
are in the order of the array's axes, (x, y, z) for what `LoadImage` reads. Recipes of the command
line and of nnU-Net are in (z, y, x) order.
"""

from __future__ import annotations

from synbt_aug.signal.intensity import reference_of
from synbt_aug_monai.paint import PaintTumor, PaintTumorD, PaintTumord, PaintTumorDict
from synbt_aug_monai.record_intensity import (
    GRID_KEY,
    INTENSITY_KEY,
    RecordIntensityD,
    RecordIntensityd,
    RecordIntensityDict,
)
from synbt_aug_monai.record_sites import SITES_KEY, RecordSitesD, RecordSitesd, RecordSitesDict
from synbt_aug_monai.tumor import SynBTTumor
from synbt_aug_monai.tumor_dict import SynBTTumorD, SynBTTumord, SynBTTumorDict

__all__ = [
    "GRID_KEY",
    "INTENSITY_KEY",
    "PaintTumor",
    "PaintTumorD",
    "PaintTumorDict",
    "PaintTumord",
    "RecordIntensityD",
    "RecordIntensityDict",
    "RecordIntensityd",
    "RecordSitesD",
    "RecordSitesDict",
    "RecordSitesd",
    "SITES_KEY",
    "SynBTTumor",
    "SynBTTumorD",
    "SynBTTumorDict",
    "SynBTTumord",
    "reference_of",
]
