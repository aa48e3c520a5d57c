"""All features of a slice, and the groups that classifiers are given."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.evaluate.slices.lesion import find_lesion
from synbt_aug.evaluate.slices.shape import SHAPE, shape_features
from synbt_aug.evaluate.slices.signal import RING, SIGNAL, ring_features, signal_features
from synbt_aug.evaluate.slices.surroundings import SURROUNDINGS, surroundings_features
from synbt_aug.evaluate.slices.tumor_slice import TumorSlice

#: What a classifier is given: name -> features.
GROUPS: dict[str, tuple[str, ...]] = {
    "lesion and ring": (*SHAPE, *SIGNAL, *RING),
    "shape": SHAPE,
    "surroundings": (*RING, *SURROUNDINGS),
    "all": (*SHAPE, *SIGNAL, *RING, *SURROUNDINGS),
}


@dataclass(frozen=True)
class FeatureTable:
    """Features of a set of slices.

    Args:
        names: Of the slices, in order.
        values: Feature -> one value for each slice, shape `(N,)`; nan where it has none.
        left_out: Names of slices without a lesion that can be measured.
    """

    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def median(self, feature: str) -> float:
        """Of the values that are there; nan where none is."""
        known = self.values[feature][np.isfinite(self.values[feature])]
        return float(np.median(known)) if known.size else float("nan")

    def every_other(self, first: int) -> FeatureTable:
        """Half of it: the slices 0, 2, 4, ... or 1, 3, 5, ..."""
        halved = {name: values[first::2] for name, values in self.values.items()}
        return FeatureTable(self.names[first::2], halved)


def measure_slices(slices: Iterable[TumorSlice]) -> FeatureTable:
    """Measure every slice of a set.

    Args:
        slices: At least one.

    Raises:
        ExtraMissingError: If scikit-image is not installed.
        SynBTError: If no slice holds a lesion that can be measured.
    """
    if importlib.util.find_spec("skimage") is None:
        raise ExtraMissingError("Features of slices", "eval", "scikit-image")
    rows: list[dict[str, float]] = []
    names, left_out = [], []
    for slice_ in slices:
        lesion = find_lesion(slice_)
        if lesion is None:
            left_out.append(slice_.name)
            continue
        found = shape_features(lesion) | signal_features(lesion) | ring_features(lesion)
        rows.append(found | surroundings_features(slice_, lesion))
        names.append(slice_.name)
    if not rows:
        raise SynBTError(
            f"A set of slices needs a lesion that enhances by 25 mm2 or more, and none of "
            f"{len(left_out)} slices has one. Are pre and post in this order?"
        )
    values = {name: np.array([row[name] for row in rows]) for name in GROUPS["all"]}
    return FeatureTable(tuple(names), values, tuple(left_out))
