"""What the trainer knows of its cases: intensity references and tumor templates, by fold.

Both are measured once for each preprocessed case, in parallel, and kept in a folder beside the
preprocessed data, a file a case: an interrupted run goes on, and a case that was preprocessed anew
is measured anew. A fold reads the cases it trains on and no others. With the images' voxels, for
tumors that are copied, the folder is another one; the voxels stay there until they are painted.

nnU-Net scales each channel of each case affinely and does not keep the factors. The references
are percentiles, so those of the scaled case are the scaled references: nothing is lost.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.contract import CONTRACT_VERSION
from synbt_aug.data.bank import templates_of
from synbt_aug.data.leaks import leaks
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import IntensityReference, measure_reference
from synbt_aug.support.files import check_output_folder, read_json, write_json
from synbt_aug.tissue.segmenter import TissueSegmenter, load_segmenter
from synbt_aug.tumor.bank import TumorBank, load_bank
from synbt_aug.tumor.template import Template
from synbt_aug.volume import BreastVolume, Spacing
from synbt_aug.weights import Weights, WithoutNetworks

#: Raised whenever a case's file changes its meaning.
_FORMAT = 3


@dataclass(frozen=True)
class PreprocessedCases:
    """The preprocessed cases of a dataset, read as the generator needs them.

    Args:
        folder: nnU-Net's folder of one configuration's data.
        dataset_class: nnU-Net's reader of that folder.
        spacing: Voxel size along the arrays' axes, in mm.
        scans: Channels of pre, the painted post and further phases, as `settings.scans`.
        tumor_label: Value of tumors in the segmentations.
        earlier: How many of the further phases come before the painted post.
    """

    folder: Path
    dataset_class: Any
    spacing: Spacing
    scans: tuple[int, ...]
    tumor_label: int
    earlier: int = 0

    def read(self, name: str) -> BreastVolume:
        """One case with its tumors; voxels outside nnU-Net's nonzero mask are not valid."""
        series, labels = self.channels(name, self.scans)
        valid = labels >= 0
        return BreastVolume(
            series,
            self.spacing,
            tumor=labels == self.tumor_label,
            valid=None if bool(valid.all()) else valid,
            earlier=self.earlier,
        )

    def pair_and_labels(self, name: str) -> tuple[Tensor, Tensor]:
        """Pre and post of one case, shape `(2, D, H, W)`, and its labels, `(D, H, W)`."""
        return self.channels(name, self.scans[:2])

    def channels(self, name: str, which: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Channels of a case, float32, `(len(which), D, H, W)`; and its labels, int16."""
        data, segmentation, *_ = self.dataset_class(str(self.folder), [name]).load_case(name)
        chosen = np.stack([data[c] for c in which])
        labels = torch.from_numpy(np.asarray(segmentation[0]).astype(np.int16))
        return torch.from_numpy(np.ascontiguousarray(chosen, dtype=np.float32)), labels

    def stamp(self, name: str) -> dict[str, Any]:
        """What a measurement of the case depends on."""
        # Not .npy: an unpacked copy of the same data may appear at any time.
        states = {}
        for file in (f"{name}.b2nd", f"{name}_seg.b2nd", f"{name}.npz"):
            with contextlib.suppress(FileNotFoundError):
                found = (self.folder / file).stat()
                states[file] = [found.st_size, found.st_mtime_ns]
        return {
            "format": _FORMAT,
            "contract": CONTRACT_VERSION,
            "files": states,
            "spacing": list(self.spacing),
            "channels": list(self.scans),
            **({"earlier": self.earlier} if self.earlier else {}),
            "tumor_label": self.tumor_label,
        }


@dataclass(frozen=True)
class MeasuredCase:
    """What is kept of one case.

    Args:
        name: Its id.
        reference: None where it cannot be measured.
        templates: Its tumors.
        problem: Why it cannot be used.
    """

    name: str
    reference: IntensityReference | None
    templates: tuple[Template, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class FoldCohort:
    """The training cases of one fold.

    Args:
        references: By case; None for a case that cannot be measured.
        templates: Of their tumors.
        problems: One line for each case that cannot be used.
    """

    references: Mapping[str, IntensityReference | None]
    templates: tuple[Template, ...]
    problems: tuple[str, ...] = ()

    def bank(self) -> TumorBank:
        """The fold's tumor bank.

        Raises:
            SynBTError: If there is no tumor of 6 mm or more.
        """
        if not self.templates:
            raise SynBTError(
                f"SynBT needs tumors to draw shapes from, but none of the {len(self.references)} "
                f"training cases has one of 6 mm or more. Check tumor_label (SYNBT_TUMOR_LABEL), "
                f"or take the shipped shapes: SYNBT_BANK=shipped."
            )
        return TumorBank(self.templates)


class CohortCache:
    """Measurements of preprocessed cases on disk.

    Args:
        folder: Where they are kept; made when the first one is written.
        cases: The cases.
        voxels: Whether templates come with the signal around them.
    """

    def __init__(self, folder: Path, cases: PreprocessedCases, *, voxels: bool = False) -> None:
        self.folder, self.cases, self.voxels = folder, cases, voxels

    def missing(self, names: Iterable[str]) -> list[str]:
        """Cases without a measurement, or with one of another state of their files."""
        return [name for name in names if not self._is_measured(name)]

    def measure(
        self,
        todo: Sequence[str],
        *,
        workers: int,
        on_case: Callable[[int, int], None] | None = None,
    ) -> None:
        """Measure cases, in parallel.

        Args:
            todo: Those that are `missing`.
            workers: Threads: decompression and resampling leave Python's lock.
            on_case: Called with (cases measured, all of these).
        """
        if todo:
            check_output_folder(self.folder)
            in_threads(self._measure, todo, workers, on_case)

    def load(self, names: Iterable[str]) -> FoldCohort:
        """The measurements of these cases and no others."""
        measured = [self._load(name) for name in sorted(names)]
        return FoldCohort(
            references={case.name: case.reference for case in measured},
            templates=tuple(t for case in measured for t in case.templates),
            problems=tuple(f"{case.name}: {case.problem}" for case in measured if case.problem),
        )

    def _is_measured(self, name: str) -> bool:
        note = self.folder / f"{name}.json"
        if not note.is_file():
            return False
        try:
            found = read_json(note)
        except SynBTError:
            return False
        return bool(found.get("stamp") == self._stamp(name))

    def _stamp(self, name: str) -> dict[str, Any]:
        return self.cases.stamp(name) | {"voxels": self.voxels}

    def _measure(self, name: str) -> None:
        if self._is_measured(name):
            return  # by another fold that was started at the same time
        stamp = self._stamp(name)
        case = _measured(name, self.cases, self.voxels)
        bank = self.folder / f"{name}.npz"
        if case.templates:
            TumorBank(case.templates).save(bank)
        reference = None if case.reference is None else case.reference.to_dict()
        # Last: a case with a note is complete.
        write_json(
            self.folder / f"{name}.json",
            {
                "stamp": stamp,
                "reference": reference,
                "templates": len(case.templates),
                "problem": case.problem,
            },
        )

    def _load(self, name: str) -> MeasuredCase:
        note = read_json(self.folder / f"{name}.json", "a measured case")
        reference = note["reference"]
        return MeasuredCase(
            name,
            None if reference is None else IntensityReference.from_dict(reference),
            load_bank(self.folder / f"{name}.npz").templates if note["templates"] else (),
            note["problem"],
        )


def measured_cohort(
    cases: PreprocessedCases,
    names: Sequence[str],
    *,
    fallback: Path,
    measures: bool,
    workers: int,
    say: Callable[[str], None],
    voxels: bool = False,
) -> FoldCohort:
    """The cohort of a fold, measured where it is not yet.

    Args:
        cases: The preprocessed dataset; measurements are kept beside it.
        names: The fold's training cases.
        fallback: Where they are kept when that place cannot be written to.
        measures: Whether this process measures what is missing; others wait for it.
        workers: Threads.
        say: Takes a line on progress at most every ten seconds.
        voxels: Keep the signal around the tumors, for tumors that are copied.
    """
    cache = _cache(cases, names, fallback, voxels)
    if not measures:
        # No barrier: measuring a large dataset may take longer than one waits.
        while cache.missing(names):
            time.sleep(2.0)
        return cache.load(names)
    if missing := cache.missing(names):
        say(
            f"SynBT: measuring {len(missing)} of {len(names)} training cases, once for this "
            f"dataset; kept in {cache.folder}"
        )
    cache.measure(missing, workers=workers, on_case=now_and_then(say, "measured"))
    cohort = cache.load(names)
    for problem in cohort.problems[:5]:
        say(f"SynBT: {problem}")
    return cohort


def _cache(
    cases: PreprocessedCases, names: Sequence[str], fallback: Path, voxels: bool
) -> CohortCache:
    # Folders of their own: a fold that runs with voxels reads them as long as it trains.
    ending = "_voxels" if voxels else ""
    beside = cases.folder.with_name(f"synbt_{cases.folder.name}{ending}")
    cache = CohortCache(beside, cases, voxels=voxels)
    place = beside if beside.is_dir() else beside.parent
    if os.access(place, os.W_OK) or not cache.missing(names):
        return cache
    return CohortCache(fallback.with_name(fallback.name + ending), cases, voxels=voxels)


@cache
def _shipped_segmenter() -> TissueSegmenter:
    """Tells how a fold's tumors lie, whatever segmenter later finds sites: measured once."""
    return load_segmenter()


def _measured(name: str, cases: PreprocessedCases, voxels: bool) -> MeasuredCase:
    try:
        volume = cases.read(name)
        reference = measure_reference(volume.image, volume.valid)
    except SynBTError as error:
        return MeasuredCase(name, None, problem=str(error))
    try:
        templates = templates_of(
            volume, reference, name, voxels=voxels, segmenter=_shipped_segmenter()
        )
        return MeasuredCase(name, reference, templates)
    except SynBTError as error:
        return MeasuredCase(name, reference, problem=f"its tumors give no shapes: {error}")


def now_and_then(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """Takes (cases done, all of these) and says so at most every ten seconds."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            say(f"SynBT: {what} {done} of {total} cases")

    return tell


def in_threads(
    work: Callable[[str], None],
    names: Sequence[str],
    workers: int,
    on_case: Callable[[int, int], None] | None = None,
) -> None:
    """Do something for each case, in threads; what has not begun when one fails is left.

    Args:
        work: Takes a case.
        names: The cases.
        workers: Threads.
        on_case: Called with (cases done, all of these).
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        jobs = [pool.submit(work, name) for name in names]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                if on_case is not None:
                    on_case(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def refuse_leaks(
    weights: Weights | WithoutNetworks, bank: TumorBank, validation: Iterable[str]
) -> None:
    """See that nothing of the fold's validation cases is in the generator.

    Args:
        weights: Their card, and the bank that came with them, list the cases they were trained
            on; without their networks nothing of those paints.
        bank: Its templates tell theirs.
        validation: The fold's validation cases.

    Raises:
        SynBTError: If some are, saying which.
    """
    for what, leaked in leaks(weights, bank, validation):
        raise SynBTError(
            f"{what} {len(leaked)} validation cases of this fold ({_shorten(leaked)}): the "
            f"validation would be no validation. Train them with `synbt train ... --fold`, "
            f"or choose others by SYNBT_WEIGHTS and SYNBT_BANK."
        )


def _shorten(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
