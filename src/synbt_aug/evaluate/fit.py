"""Do these weights fit this data? Asked of a few cases before hours of training.

The codec rebuilds each case's tissue beside 2x pooling; its real tumor is painted again, with its
own shape and appearance, and the two are compared. What that leaves out: whether a segmenter
gains, and how tumors look where none was.
"""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.evaluate.case_fit import CaseFit, FitCase, TumorFit, measure_case
from synbt_aug.evaluate.findings import FAINT, RANGE_PERCENTILES, RealTumors, Repainted, TissueFit
from synbt_aug.evaluate.fit_verdict import Fit
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import SHIPPED

#: Cases that a verdict rests on. The same on every machine: a verdict of fewer would be another
#: verdict, and more of them changed none in the table of the lab book.
FIT_CASES = 6

T = TypeVar("T")


def measure_fit(
    cases: Iterable[FitCase],
    synthesizer: TumorSynthesizer,
    *,
    max_cases: int = FIT_CASES,
    seed: int = 0,
    on_case: Callable[[int], None] | None = None,
    dataset: str = "DATASET",
    weights: str | None = None,
    fold: int | None = None,
) -> Fit:
    """Look at a few cases of the data that the weights are to paint into.

    Args:
        cases: Read one at a time, in this order, until so many could be used; see `spread_first`.
        synthesizer: With the weights.
        max_cases: Cases, and tumors, to measure. Where some have no tumor that can be painted
            again, or cannot be used, others are looked at, twice as many at most.
        seed: Of places and noise; with a case's name it decides them.
        on_case: Called with the number of cases looked at.
        dataset: The data's path, for the commands that the verdict advises.
        weights: That of the weights; None: by their name.
        fold: Of nnU-Net, that the weights are for.

    Returns:
        Medians and the verdict. They depend on data, weights and seed, not on the time it takes.

    Raises:
        SynBTError: If there is no case, or none that can be used.
    """
    started = time.monotonic()
    measured: list[CaseFit] = []
    unusable: list[str] = []
    labelled = False

    def complete() -> bool:
        tumors = sum(case.tumor is not None for case in measured)
        looked = len(measured) + len(unusable)
        enough = len(measured) >= max_cases and (tumors >= max_cases or not labelled)
        return enough or looked >= 2 * max_cases

    waiting = iter(cases)
    while not complete() and (case := next(waiting, None)) is not None:
        labelled |= case.volume.tumor is not None
        # Its own: what is found in a case does not depend on those before it.
        generator = torch.Generator().manual_seed((zlib.crc32(case.name.encode()) + seed) % 2**63)
        try:
            with plain_torch([case.volume.image.device, synthesizer.device]):
                measured.append(measure_case(case, synthesizer, generator))
        except (ValueError, torch.cuda.OutOfMemoryError) as error:
            unusable.append(f"{case.name}: {first_line(error)}")
        if on_case is not None:
            on_case(len(measured) + len(unusable))
    if not measured:
        what = f"none of {len(unusable)} can be. {unusable[0]}" if unusable else "got none."
        raise SynBTError(f"measure_fit needs at least one case that can be used, {what}")
    name = synthesizer.weights.name
    tumors = [(case.name, case.tumor) for case in measured if case.tumor is not None]
    # The bank that came with the weights is what they were trained on, whatever is drawn from.
    return Fit(
        weights=name,
        cases=len(measured),
        unusable=tuple(unusable),
        tissue=_tissue(measured),
        tumors=_tumors(tumors, synthesizer.weights.bank) if tumors else None,
        repainted=_repainted([tumor for _, tumor in tumors]) if tumors else None,
        seconds=time.monotonic() - started,
        denoiser_steps=_denoiser_steps(synthesizer.weights.card),
        dataset=dataset,
        weights_path=weights or (SHIPPED if name == SHIPPED else "WEIGHTS"),
        fold=fold,
    )


def spread_first(items: Sequence[T], count: int) -> list[T]:
    """All of them: first `count` that lie evenly over the whole, then the others, in order."""
    count = min(count, len(items))
    chosen = [k * len(items) // count for k in range(count)] if count else []
    others = sorted(set(range(len(items))) - set(chosen))
    return [items[k] for k in (*chosen, *others)]


def _denoiser_steps(card: Mapping[str, Any]) -> int | None:
    """Steps that the denoiser was trained for; None where the card does not say."""
    denoiser = card.get("denoiser")
    training = denoiser.get("training") if isinstance(denoiser, Mapping) else None
    steps = training.get("steps") if isinstance(training, Mapping) else None
    return int(steps) if isinstance(steps, int | float) else None


def _tissue(measured: Sequence[CaseFit]) -> TissueFit:
    return TissueFit(
        codec_db=_medians([case.tissue.codec_db for case in measured]),
        gain_db=_medians([case.tissue.gain_db for case in measured]),
        explained=_medians([case.tissue.explained for case in measured]),
        same_scan=tuple(case.name for case in measured if case.same_scan),
    )


def _tumors(found: Sequence[tuple[str, TumorFit]], bank: TumorBank) -> RealTumors:
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


def _repainted(tumors: Sequence[TumorFit]) -> Repainted:
    looks = [(tumor.real, tumor.painted) for tumor in tumors]
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
