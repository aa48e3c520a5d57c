"""Do these weights fit this data? Asked of a few cases before hours of training.

The codec rebuilds each case's tissue beside 2x pooling; its real tumor is painted again, with its
own shape and appearance, and the two are compared. What that leaves out: whether a segmenter
gains, and how tumors look where none was.
"""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.evaluate.case_fit import CaseFit, FitCase, measure_case
from synbt_aug.evaluate.findings import (
    FAINT,
    RANGE_PERCENTILES,
    Finding,
    RealTumors,
    Repainted,
    TissueFit,
    named,
)
from synbt_aug.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import SHIPPED


@dataclass(frozen=True)
class Fit:
    """How well weights fit data.

    Args:
        weights: Name of the weights.
        cases: Cases measured.
        unusable: "name: reason" of each case that could not be.
        tissue: Ordinary tissue, rebuilt.
        tumors: The data's own tumors; None without masks.
        repainted: The same painted again; None without masks.
        seconds: What it took.
    """

    weights: str
    cases: int
    unusable: tuple[str, ...]
    tissue: TissueFit
    tumors: RealTumors | None
    repainted: Repainted | None
    seconds: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Each thing looked at, with its verdict."""
        parts = (self.tissue, self.tumors, self.repainted)
        return tuple(f for part in parts if part is not None for f in part.findings())

    @property
    def ok(self) -> bool:
        """Whether the weights fit."""
        return all(finding.good for finding in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the fit is poor; none where it is good."""
        return tuple(finding.says for finding in self.findings if not finding.good)

    @property
    def advice(self) -> str | None:
        """What to do; None where the fit is good."""
        mend = {finding.mend for finding in self.findings if not finding.good}
        init = SHIPPED if self.weights == SHIPPED else "WEIGHTS"
        denoiser = f"synbt train denoiser --init {init} --data DATASET -o DENOISER --autoencoder"
        if "data" in mend:
            return "check that pre and post come in this order, and that the masks are theirs"
        if "autoencoder" in mend:
            codec = f"synbt train autoencoder --init {init} --data DATASET -o CODEC"
            return f"fine-tune with `{codec}` and `{denoiser} CODEC`, then use DENOISER/weights"
        if "denoiser" in mend:
            return f"fine-tune with `{denoiser} {init}`, then use DENOISER/weights"
        return None

    def line(self) -> str:
        """The verdict in one line."""
        looked = f"{self.cases} case{'s' * (self.cases != 1)}"
        if self.repainted is None:
            looked += ", no tumor painted again"
        else:
            count = self.repainted.count
            looked += f", {count} tumor{'s' * (count != 1)} painted again"
        if self.ok:
            # The figures that say most; the others are in `findings`.
            shown = [f.says for f in self.findings if f.what in ("tissue", "repainting")]
            said = f"SynBT fit: good ({looked}): {'; '.join(shown)}"
            if self.tumors is not None and self.tumors.swapped:
                said += f"; no brighter in post than in pre: {named(self.tumors.swapped)}"
        else:
            said = f"SynBT fit: poor ({looked}): {'; '.join(self.reasons)}; {self.advice}"
        if self.unusable:
            said += f"; {len(self.unusable)} not usable, such as {self.unusable[0]}"
        return said

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the verdict."""
        verdict = {"ok": self.ok, "reasons": list(self.reasons), "advice": self.advice}
        return verdict | asdict(self)


def measure_fit(
    cases: Iterable[FitCase],
    synthesizer: TumorSynthesizer,
    *,
    most_cases: int = 20,
    max_seconds: float = 60.0,
    seed: int = 0,
    on_case: Callable[[int], None] | None = None,
) -> Fit:
    """Look at a few cases of the data that the weights are to paint into.

    Args:
        cases: Read one at a time, and no more than are looked at; spread them over the data.
        synthesizer: With the weights.
        most_cases: Cases to look at, those that cannot be used among them.
        max_seconds: No step begins after this time, but one case is always finished.
        seed: Of places and noise; with a case's name it decides them.
        on_case: Called with the number of cases done.

    Returns:
        Medians and the verdict.

    Raises:
        SynBTError: If there is no case, or none that can be used.
    """
    started = time.monotonic()
    measured: list[CaseFit] = []
    unusable: list[str] = []

    def late() -> bool:
        return bool(measured) and time.monotonic() - started >= max_seconds

    waiting = iter(cases)
    while len(measured) + len(unusable) < most_cases and not late():
        case = next(waiting, None)
        if case is None:
            break
        # Its own: what is found in a case does not depend on those before it.
        generator = torch.Generator().manual_seed((zlib.crc32(case.name.encode()) + seed) % 2**63)
        try:
            with plain_torch([case.volume.image.device, synthesizer.device]):
                measured.append(measure_case(case, synthesizer, generator, late))
        except (ValueError, torch.cuda.OutOfMemoryError) as error:
            unusable.append(f"{case.name}: {first_line(error)}")
        if on_case is not None:
            on_case(len(measured) + len(unusable))
    if not measured:
        what = f"none of {len(unusable)} can be. {unusable[0]}" if unusable else "got none."
        raise SynBTError(f"measure_fit needs at least one case that can be used, {what}")
    # The bank that came with the weights is what they were trained on, whatever is drawn from.
    return Fit(
        weights=synthesizer.weights.name,
        cases=len(measured),
        unusable=tuple(unusable),
        tissue=_tissue(measured),
        tumors=_tumors(measured, synthesizer.weights.bank),
        repainted=_repainted(measured),
        seconds=time.monotonic() - started,
    )


def _tissue(measured: Sequence[CaseFit]) -> TissueFit:
    return TissueFit(
        codec_db=_medians([case.tissue.codec_db for case in measured]),
        gain_db=_medians([case.tissue.gain_db for case in measured]),
        explained=_medians([case.tissue.explained for case in measured]),
        same_scan=tuple(case.name for case in measured if case.same_scan),
    )


def _tumors(measured: Sequence[CaseFit], bank: TumorBank) -> RealTumors | None:
    found = [(case.name, case.tumor) for case in measured if case.tumor is not None]
    if not found:
        return None
    known = [t.appearance.enhancement for t in bank.templates]
    low, high = np.percentile([e for e in known if e is not None] or [0.0], RANGE_PERCENTILES)
    tumors = [tumor for _, tumor in found]
    return RealTumors(
        count=len(tumors),
        swapped=tuple(n for n, t in found if t.real.enhancement <= t.real.pre_contrast),
        codec_db=_medians([t.rebuilt.codec_db for t in tumors]),
        gain_db=_medians([t.rebuilt.gain_db for t in tumors]),
        enhancement=statistics.median(t.real.enhancement for t in tumors),
        bank_range=(float(low), float(high)),
        in_range=statistics.fmean(low <= t.real.enhancement <= high for t in tumors),
        contrast_to_noise=statistics.median(t.real.contrast_to_noise for t in tumors),
    )


def _repainted(measured: Sequence[CaseFit]) -> Repainted | None:
    looks = [
        (case.tumor.real, case.tumor.painted)
        for case in measured
        if case.tumor is not None and case.tumor.painted is not None
    ]
    if not looks:
        return None
    return Repainted(
        count=len(looks),
        enhancement=statistics.median(painted.enhancement for _, painted in looks),
        off=statistics.median(
            abs(painted.enhancement - real.enhancement) / max(real.enhancement, FAINT)
            for real, painted in looks
        ),
        visible=_medians([(real.visible, painted.visible) for real, painted in looks]),
        grain=_medians([painted.grain_over(real) for real, painted in looks]),
    )


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, second = (statistics.median(values) for values in zip(*pairs, strict=True))
    return first, second
