"""What the transforms of TorchIO and of MONAI share: all that is not about their containers.

An adapter reads its container's fields into a `Sample`, calls `inject` or `replay`, and writes
back with `painted_image` and `painted_label`.
"""

from synbt_aug.transform.arrays import (
    calculable,
    check_holds,
    painted_image,
    painted_label,
    signal_of,
)
from synbt_aug.transform.keywords import NOT_GIVEN, checked_keywords, merged_settings
from synbt_aug.transform.notices import Notices
from synbt_aug.transform.recorded_sites import Origin, RecordedSites, find_recorded
from synbt_aug.transform.sample import NOT_DRAWN, Sample, inject, replay, subtractions_after
from synbt_aug.transform.series import Place, SeriesPlaces, find_series
from synbt_aug.transform.unpainted import look_at_unpainted

__all__ = [
    "NOT_DRAWN",
    "NOT_GIVEN",
    "Notices",
    "Origin",
    "Place",
    "RecordedSites",
    "Sample",
    "SeriesPlaces",
    "calculable",
    "check_holds",
    "checked_keywords",
    "find_recorded",
    "find_series",
    "inject",
    "look_at_unpainted",
    "merged_settings",
    "painted_image",
    "painted_label",
    "replay",
    "signal_of",
    "subtractions_after",
]
