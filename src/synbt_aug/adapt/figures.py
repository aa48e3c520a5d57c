"""Figures of one generator on the cases held back: the fit, and its tumors beside real ones."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from synbt_aug.adapt.keeping import MEASURES
from synbt_aug.data.cohort import number_tumors, to_one_mm
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import FitCase, measure_fit
from synbt_aug.evaluate.fit_verdict import Fit
from synbt_aug.evaluate.slices import (
    GROUPS,
    FeatureTable,
    TumorSlice,
    compare_tables,
    measure_slices,
    slice_through,
)
from synbt_aug.evaluate.slices.comparison import FEWEST_SLICES
from synbt_aug.host import Host
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.volume import Spacing

#: Tumors painted into each case held back, one at a time.
PAINTED_A_CASE = 3

_GROUP_OF = {"ks_lesion": "lesion and ring", "ks_shape": "shape", "ks_surroundings": "surroundings"}


@dataclass(frozen=True)
class Figures:
    """What was measured of one generator.

    Args:
        values: A number for each of `MEASURES`; nan where there is none.
        verdict: Of the fit. Its sentences stay out: they may name cases.
        real: Slices of real tumors.
        painted: Slices of painted ones.
    """

    values: Mapping[str, float]
    verdict: str
    real: int
    painted: int

    @property
    def too_few(self) -> bool:
        """Whether the slices are too few for an AUC."""
        return min(self.real, self.painted) < FEWEST_SLICES

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; nan becomes None."""
        values = {name: None if math.isnan(x) else x for name, x in self.values.items()}
        counts = {"real_slices": self.real, "painted_slices": self.painted}
        return {"values": values, "verdict": self.verdict, **counts}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Figures:
        """The inverse of `to_dict`."""
        values = {n: math.nan if x is None else float(x) for n, x in found["values"].items()}
        return cls(values, found["verdict"], found["real_slices"], found["painted_slices"])


def measure_generator(
    read: Callable[[], Iterator[FitCase]],
    count: int,
    synthesizer: TumorSynthesizer,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Figures:
    """Measure a generator on cases that it has not learned from.

    Args:
        read: Gives the cases, one in memory at a time; asked twice.
        count: How many there are.
        synthesizer: With the networks and the bank.
        on_case: Called with (cases looked at, twice as many).

    Raises:
        SynBTError: If none of the cases can be used.
    """
    fit = measure_fit(
        read(),
        synthesizer,
        max_cases=count,
        on_case=lambda done: on_case(min(done, count), 2 * count),
    )
    real: list[TumorSlice] = []
    painted: list[TumorSlice] = []
    made = 0
    for done, case in enumerate(read(), count + 1):
        real += real_slices(case)
        for one in painted_slices(case, synthesizer):
            made += 1
            painted += one
        on_case(done, 2 * count)
    tables = _table(real), _table(painted)
    return Figures(
        _fit_values(fit) | _slice_values(*tables) | {"painted": made / (count * PAINTED_A_CASE)},
        fit.verdict,
        *(0 if table is None else len(table) for table in tables),
    )


def real_slices(case: FitCase) -> list[TumorSlice]:
    """Slices in three planes through each of a case's own tumors."""
    volume = case.volume
    if volume.tumor is None or not bool(volume.tumor.any()):
        return []
    tumors = number_tumors(to_one_mm(volume.tumor.float()[None], volume.spacing)[0] >= 0.5)
    image = to_one_mm(volume.image[:2], volume.spacing).numpy()
    return [
        one
        for number in range(1, int(tumors.max()) + 1)
        for one in _through(case.name, image, (tumors == number).numpy())
    ]


def painted_slices(case: FitCase, synthesizer: TumorSynthesizer) -> list[list[TumorSlice]]:
    """Slices through tumors that are painted beside a case's own, by default settings.

    Returns:
        Those of each tumor that could be painted; none of it where it is too small.
    """
    host = Host.of(case.volume, case.reference)
    found = []
    for number in range(PAINTED_A_CASE):
        # The same for every generator that is measured.
        seed = zlib.crc32(f"{case.name} {number}".encode())
        result = synthesizer(host, seed=seed)
        if result.painted:
            found.append(slices_at(case.name, result.image, result.tumor, case.volume.spacing))
    return found


def slices_at(name: str, image: Tensor, label: Tensor, spacing: Spacing) -> list[TumorSlice]:
    """Slices in three planes through a label.

    Args:
        name: The case's.
        image: Pre and post first, shape `(C, D, H, W)`.
        label: Boolean, shape `(D, H, W)`.
        spacing: Of both, in mm.
    """
    mask = to_one_mm(label.float()[None], spacing)[0] >= 0.5
    return _through(name, to_one_mm(image[:2], spacing).numpy(), mask.numpy())


def _through(name: str, image: np.ndarray, label: np.ndarray) -> list[TumorSlice]:
    slices = (slice_through(name, image, label, axis) for axis in range(3))
    return [one for one in slices if one is not None]


def _table(slices: Sequence[TumorSlice]) -> FeatureTable | None:
    """None where no slice has a lesion that can be measured."""
    try:
        return measure_slices(slices)
    except SynBTError:
        return None


def _fit_values(fit: Fit) -> dict[str, float]:
    values = {"tissue_db": float(np.mean(fit.tissue.codec_db))}
    if fit.tumors is None or fit.repainted is None:
        return values | dict.fromkeys(("tumor_db", "off", "hidden", "grain"), math.nan)
    shown, painted = fit.repainted.visible
    grain = [abs(math.log2(max(ratio, 1e-3))) for ratio in fit.repainted.grain]
    return values | {
        "tumor_db": float(np.mean(fit.tumors.codec_db)),
        "off": fit.repainted.off,
        "hidden": max(shown - painted, 0.0),
        "grain": float(np.mean(grain)),
    }


def _slice_values(real: FeatureTable | None, painted: FeatureTable | None) -> dict[str, float]:
    names = [name for name in MEASURES if name in _GROUP_OF or name == "auc"]
    if real is None or painted is None:
        return dict.fromkeys(names, math.nan)
    found = compare_tables("painted", real, painted)
    values = {name: found.median_distance(GROUPS[group]) for name, group in _GROUP_OF.items()}
    return values | {"auc": found.areas["all"]}
