"""Dice, HD95 and mean surface distance of predicted against reference masks, by MedPy, in mm.

The paper's "MSD" does not say which mean surface distance it is, so both are given: `asd`, from
the prediction's surface to the reference's, and `assd`, from both surfaces, pooled.

Empty masks, for which MedPy raises or gives nan:

- both empty: Dice 1 and all distances 0, since the case is right ("correctly empty");
- one of them empty: Dice 0, and distances `None`, since there is no surface to measure from. Such
  cases ("missed" and "false alarm") are left out of the means of the distances, which then look
  better than the network is: each summary counts them, and they are to be told beside the mean.

What it leaves out: lesions counted one by one, and tests between two sets of predictions, which
are in compare_methods.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synbt_aug.data.layout import shorten
from synbt_aug.data.nifti import Scan, check_same_grid, read_label
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.volume import Spacing

METRICS = ("dice", "hd95_mm", "asd_mm", "assd_mm")
#: How a case can come out; the three with an empty mask are counted.
KINDS = ("both masks", "missed", "false alarm", "correctly empty")
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class CaseScore:
    """One case.

    Args:
        name: The case's id.
        dice: From 0 to 1.
        hd95_mm: 95th percentile of the surface distances in both directions; None where one mask
            is empty.
        asd_mm: Mean distance from the prediction's surface to the reference's; likewise.
        assd_mm: Mean of the distances in both directions, pooled; likewise.
        kind: One of `KINDS`.
        predicted_ml: Volume of the prediction.
        reference_ml: Volume of the reference.
    """

    name: str
    dice: float
    hd95_mm: float | None
    asd_mm: float | None
    assd_mm: float | None
    kind: str
    predicted_ml: float
    reference_ml: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap confidence interval.

    Args:
        mean: Of the values.
        low: Lower end.
        high: Upper end.
        count: Values that it is the mean of.
    """

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Scores:
    """All cases of one set of predictions.

    Args:
        cases: Sorted by name.
        means: By metric; None where no case has it.
        confidence: Of the intervals.
    """

    cases: tuple[CaseScore, ...]
    means: Mapping[str, Interval | None]
    confidence: float

    @property
    def counts(self) -> dict[str, int]:
        """How many cases came out in which of the `KINDS`."""
        found = Counter(case.kind for case in self.cases)
        return {kind: found[kind] for kind in KINDS}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "means": {
                name: None if mean is None else asdict(mean) for name, mean in self.means.items()
            },
            "confidence": self.confidence,
            "counts": self.counts,
            "cases": [case.to_dict() for case in self.cases],
        }


def score_case(
    predicted: NDArray[Any], reference: NDArray[Any], spacing: Spacing, name: str = ""
) -> CaseScore:
    """Compare two masks.

    Args:
        predicted: Shape `(D, H, W)`; what is not 0 is tumor.
        reference: Likewise.
        spacing: Voxel size along D, H and W, in mm.
        name: The case's id.

    Raises:
        SynBTError: If the masks are not 3D of one shape.
        ExtraMissingError: If MedPy is not installed.
    """
    binary = _medpy()
    if predicted.shape != reference.shape or predicted.ndim != 3:
        raise SynBTError(
            f"score_case needs two masks of one shape (D, H, W), got {predicted.shape} and "
            f"{reference.shape}{f' for {name}' if name else ''}."
        )
    ours, theirs = predicted != 0, reference != 0
    voxel_ml = float(np.prod(spacing)) / 1000
    volumes = float(ours.sum()) * voxel_ml, float(theirs.sum()) * voxel_ml
    if not (ours.any() and theirs.any()):
        kind = {
            (False, True): "missed",
            (True, False): "false alarm",
            (False, False): "correctly empty",
        }[bool(ours.any()), bool(theirs.any())]
        right = kind == "correctly empty"
        distance = 0.0 if right else None
        return CaseScore(name, float(right), distance, distance, distance, kind, *volumes)
    # Both surfaces lie inside the box around both masks: a whole volume takes 200 times as long.
    box = ndimage.find_objects((ours | theirs).astype(np.uint8))[0]
    ours, theirs = ours[box], theirs[box]
    return CaseScore(
        name,
        float(binary.dc(ours, theirs)),
        float(binary.hd95(ours, theirs, voxelspacing=spacing)),
        float(binary.asd(ours, theirs, voxelspacing=spacing)),
        float(binary.assd(ours, theirs, voxelspacing=spacing)),
        KINDS[0],
        *volumes,
    )


def summarize(
    cases: Sequence[CaseScore],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Scores:
    """Means with bootstrap intervals over cases.

    Args:
        cases: At least one.
        confidence: Of the intervals, between 0 and 1.
        resamples: Of the bootstrap.
        seed: Of a generator of its own.

    Raises:
        SynBTError: If there is no case.
    """
    if not cases:
        raise SynBTError("summarize needs at least one case, got none.")
    means: dict[str, Interval | None] = {}
    for metric in METRICS:
        found = [value for case in cases if (value := getattr(case, metric)) is not None]
        means[metric] = (
            bootstrap_mean(found, confidence=confidence, resamples=resamples, seed=seed)
            if found
            else None
        )
    return Scores(tuple(sorted(cases, key=lambda case: case.name)), means, confidence)


def bootstrap_mean(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean with its percentile bootstrap interval.

    Args:
        values: One a case, at least one; a single value gives an interval of no width, which
            says nothing.
        confidence: Between 0 and 1.
        resamples: Means drawn.
        seed: Of a generator of its own.

    Source:
        Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    if not values or not 0 < confidence < 1 or resamples < 1:
        raise SynBTError(
            f"bootstrap_mean needs values, a confidence between 0 and 1 and resamples from 1 on, "
            f"got {len(values)} values, {confidence} and {resamples}."
        )
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(data), (resamples, len(data)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(data[drawn].mean(axis=1), (tail, 100 - tail))
    return Interval(float(data.mean()), float(low), float(high), len(data))


def score_folders(
    predictions: str | os.PathLike[str],
    references: str | os.PathLike[str],
    *,
    label: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    on_case: Callable[[int, int], None] | None = None,
) -> Scores:
    """Compare two folders of NIfTI masks, case by case.

    Args:
        predictions: CASE.nii.gz or CASE.nii, such as nnUNetv2_predict writes.
        references: The same names, such as labelsTs.
        label: The value that counts; None counts every value above 0.
        confidence: Of the intervals.
        seed: Of the bootstrap.
        on_case: Called with (cases done, all cases).

    Raises:
        SynBTError: If a case is in one folder alone, a file cannot be read, or two masks lie on
            different grids.
        ExtraMissingError: If MedPy is not installed.
    """
    _medpy()
    pairs = pair_masks(predictions, references)
    cases = []
    for done, (name, (ours, theirs)) in enumerate(pairs.items(), 1):
        reference = read_label(theirs, f"The reference of {name}")
        predicted = read_label(ours, f"The prediction of {name}")
        check_same_grid(predicted, reference, f"The prediction of {name}")
        masks = _tumor(predicted, label), _tumor(reference, label)
        cases.append(score_case(*masks, reference.spacing, name))
        if on_case is not None:
            on_case(done, len(pairs))
    return summarize(cases, confidence=confidence, seed=seed)


def pair_masks(
    predictions: str | os.PathLike[str], references: str | os.PathLike[str]
) -> dict[str, tuple[Path, Path]]:
    """Prediction and reference of every case, sorted by name; nothing is read.

    Raises:
        SynBTError: If a folder holds no masks, or a case is in one folder alone.
    """
    ours, theirs = _masks(Path(predictions)), _masks(Path(references))
    for wanted, found, folder in ((theirs, ours, predictions), (ours, theirs, references)):
        if missing := sorted(set(wanted) - set(found)):
            raise SynBTError(
                f"{folder} lacks {len(missing)} of {len(wanted)} cases: {shorten(missing)}. "
                f"Both folders need the same cases, or the means are of different cases."
            )
    return {name: (ours[name], theirs[name]) for name in sorted(theirs)}


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SynBTError(f"Masks to compare must lie in a folder, but {folder} is none.")
    found = {
        path.name.removesuffix(ending): path
        for ending in _ENDINGS
        for path in folder.iterdir()
        if path.name.endswith(ending) and path.name[0] != "."
    }
    if not found:
        raise SynBTError(f"{folder} holds no masks (files like CASE.nii.gz).")
    return found


def _tumor(scan: Scan, label: int | None) -> NDArray[np.bool_]:
    values = scan.values()
    mask: NDArray[np.bool_] = values >= 0.5 if label is None else np.abs(values - label) < 0.5
    return mask


def _medpy() -> Any:
    try:
        from medpy.metric import binary
    except ModuleNotFoundError as error:
        raise ExtraMissingError(
            "Measuring segmentations (Dice, HD95, MSD)", "eval", "medpy"
        ) from error
    return binary
