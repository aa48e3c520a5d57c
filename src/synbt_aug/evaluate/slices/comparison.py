"""Two sets of slices held against each other: feature by feature, and by a boosted tree.

Medians that agree say little: features may still go together in a way that no patient shows. The
tree sees them together. Real against real, in two halves, goes through the same arithmetic.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synbt_aug.errors import ExtraMissingError
from synbt_aug.evaluate.realism.radiomics import ks_of, median_ks
from synbt_aug.evaluate.slices.features import GROUPS, FeatureTable

#: Parts of a cross-validation, and how often the sets are divided anew.
_PARTS, _DIVISIONS = 5, 5

#: The tree copes with nan, but not with a feature that no slice of its training has.
_FEWEST_KNOWN = 2 * _PARTS

#: A tree of few and shallow steps: sets are of a hundred slices.
_DEPTH, _TREES = 3, 80

#: Slices of a set. With fewer the tree, whose leaves hold 20, cannot divide what it learns from,
#: and .5 would come out whatever the sets are.
FEWEST_SLICES = 30


@dataclass(frozen=True)
class SetComparison:
    """One set against the reference.

    Args:
        name: Of the set.
        count: Slices measured.
        medians: Feature -> median.
        distances: Feature -> Kolmogorov-Smirnov distance to the reference; 0 alike, 1 apart;
            missing where one side has no value.
        areas: Group of features -> AUC of the boosted tree; .5: cannot be told apart, nan: too
            few slices.
    """

    name: str
    count: int
    medians: Mapping[str, float]
    distances: Mapping[str, float]
    areas: Mapping[str, float]

    def median_distance(self, features: Sequence[str]) -> float:
        """Median of some of the distances."""
        return median_ks({f: self.distances[f] for f in features if f in self.distances})


def compare_tables(name: str, reference: FeatureTable, judged: FeatureTable) -> SetComparison:
    """Hold one set against the reference.

    Args:
        name: Of the judged set.
        reference: Real slices.
        judged: The others.

    Raises:
        ExtraMissingError: If scikit-learn is not installed.
    """
    return SetComparison(
        name,
        len(judged),
        {feature: judged.median(feature) for feature in judged.values},
        ks_of(reference.values, judged.values),
        {group: told_apart(reference, judged, features) for group, features in GROUPS.items()},
    )


def control(reference: FeatureTable, name: str = "real against real") -> SetComparison:
    """One half of the real slices against the other: what chance gives.

    Args:
        reference: Real slices, in an order that does not sort them by what they look like.
        name: Of the row.
    """
    return compare_tables(name, reference.every_other(0), reference.every_other(1))


def told_apart(first: FeatureTable, second: FeatureTable, features: Sequence[str]) -> float:
    """AUC of a boosted tree, cross-validated, as the mean over five divisions.

    Args:
        first: One set.
        second: The other one.
        features: That the tree sees; those known in fewer than 10 slices are left out.

    Returns:
        nan where a set has fewer than 30 slices, or no feature is left.

    Raises:
        ExtraMissingError: If scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ExtraMissingError("The boosted tree", "eval", "scikit-learn")
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(len(first), len(second)) < FEWEST_SLICES:
        return float("nan")
    columns = [np.concatenate([table.values[f] for table in (first, second)]) for f in features]
    known = [column for column in columns if np.isfinite(column).sum() >= _FEWEST_KNOWN]
    if not known:
        return float("nan")
    x = np.stack(known, axis=1)
    y = np.r_[np.zeros(len(first)), np.ones(len(second))]
    areas = []
    for division in range(_DIVISIONS):
        parts = StratifiedKFold(_PARTS, shuffle=True, random_state=division)
        tree = HistGradientBoostingClassifier(max_depth=_DEPTH, max_iter=_TREES)
        scores = cross_val_predict(tree, x, y, cv=parts, method="predict_proba")
        areas.append(roc_auc_score(y, scores[:, 1]))
    return float(np.mean(areas))
