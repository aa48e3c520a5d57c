"""A tumor bank from a cohort's own masks."""

from __future__ import annotations

import math
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from synbt_aug.data.cohort import TrainingCase, load_case, number_tumors, select, to_one_mm
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.nifti import read_pair
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box
from synbt_aug.signal.hole import tissue
from synbt_aug.signal.intensity import (
    IntensityReference,
    inverse_knee,
    knee,
    measure_reference,
    to_linear,
)
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.sites import find_sites
from synbt_aug.tissue.tissue_map import TissueMap, to_grid
from synbt_aug.tumor.bank import TumorBank, build_bank
from synbt_aug.tumor.curve import in_time, measure_course
from synbt_aug.tumor.places import places_of
from synbt_aug.tumor.template import Follows, Locates, Template, cut_case, refusals
from synbt_aug.volume import MAX_PHASES, BreastVolume

# Tissue that is read around a case's tumors, in mm: beyond the shell of `measure_appearance`.
_AROUND_MM = 20.0


def bank_of(
    cases: Iterable[TrainingCase], *, voxels: bool = False, segmenter: Segments | None = None
) -> TumorBank:
    """Cut a template of every tumor; those of one case stay together.

    Give it the training cases of a fold alone: a bank that holds validation tumors leaks them.

    Args:
        cases: With their tumors.
        voxels: Keep the images' signal around the tumors, for tumors that are copied. A bank
            with voxels is as private as the images; weights folders come without.
        segmenter: Finds the tissues, so that the bank knows how its tumors lie in their breasts;
            None leaves that unknown.

    Raises:
        SynBTError: If there is no tumor of 6 mm or more.
    """
    return _bank([_cut_templates(case, voxels, segmenter) for case in cases])


@dataclass(frozen=True)
class BuiltBank:
    """A bank that was built from files.

    Args:
        bank: The bank.
        cases: How many cases were read.
        skipped: One line for each case left out, with the reason.
    """

    bank: TumorBank
    cases: int
    skipped: tuple[str, ...] = ()


def bank_of_dataset(
    folder: str | os.PathLike[str],
    *,
    names: Iterable[str] | None = None,
    fold: int | None = None,
    split: str | None = None,
    voxels: bool = False,
    segmenter: Segments | None = None,
    workers: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> BuiltBank:
    """As `bank_of`, straight from a dataset: no more than `workers` cases are in memory.

    Args:
        folder: A phantom cohort, a MAMA-MIA folder or an nnU-Net raw dataset.
        names: Only these cases; not with a fold.
        fold: Only the training cases of this fold of nnU-Net's `splits_final.json`.
        split: "train" or "test" by the dataset's own split; None as for `load_cohort`.
        voxels: Keep the images' signal around the tumors.
        segmenter: As for `bank_of`.
        workers: Threads; None takes one a core.
        on_case: Called with (cases read, all cases).

    Raises:
        SynBTError: If there is no tumor of 6 mm or more, or the fold or split is not there.
    """
    files = select(read_dataset(folder, split=split), names=names, fold=fold)
    tell = on_case or (lambda done, total: None)
    tell(0, len(files.cases))
    found: dict[str, _Cut] = {}
    skipped = list(files.skipped)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs = {pool.submit(_read_and_cut, case, voxels, segmenter): case for case in files.cases}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                name = jobs[job].name
                try:
                    found[name] = job.result()
                except ValueError as error:
                    skipped.append(f"{name}: {error}")
                tell(done, len(files.cases))
        except BaseException:
            # Ctrl-C waits for the cases being read, not for all that are still to come.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not found and skipped:
        raise SynBTError(f"No case of {folder} can be used. The first one: {sorted(skipped)[0]}")
    bank = _bank([found[name] for name in sorted(found)])
    return BuiltBank(bank, len(found), tuple(sorted(skipped)))


@dataclass(frozen=True)
class _Cut:
    """The templates of a case; where there is none, why its lesions gave none."""

    templates: tuple[Template, ...] = ()
    refused: Counter[str] = field(default_factory=Counter)


def _read_and_cut(files: CaseFiles, voxels: bool, segmenter: Segments | None) -> _Cut:
    case = load_case(files, first_post=True)
    follow = None
    if case.instances and len(files.posts) > 1:
        volume = read_pair(files.pre, files.posts[0], files.posts[1:MAX_PHASES]).volume
        image = to_one_mm(volume.image, volume.spacing)
        follow = _follows(to_linear(image, measure_reference(image)))
    return _cut_templates(case, voxels, segmenter, follow)


def _cut_templates(
    case: TrainingCase,
    voxels: bool,
    segmenter: Segments | None,
    follow: Follows | None = None,
) -> _Cut:
    if not case.instances:
        return _Cut()
    q = case.q.float()
    linear = inverse_knee(q)
    locate = None
    if segmenter is not None:
        spacing = (1.0, 1.0, 1.0)
        tissue_map = segmenter(linear[0], spacing, case.valid)
        level = (to_grid(linear, spacing) + 1) / 2
        locate = _locates(tissue_map, level, case.tumor > 0, case.valid, (0, 0, 0), case.name)
    cut = _cut_all(linear, q, case.valid, case.tumor, case.name, voxels, locate, follow)
    return _Cut(cut) if cut else _Cut(refused=refusals(case.tumor))


def _bank(cases: list[_Cut]) -> TumorBank:
    templates = [template for case in cases for template in case.templates]
    if not templates:
        refused = sum((case.refused for case in cases), Counter())
        why = " and ".join(f"{n} {'is' if n == 1 else 'are'} {r}" for r, n in refused.items())
        raise SynBTError(
            f"A tumor bank needs tumors of at least 6 mm; of the {refused.total()} in these cases "
            f"{why}."
            if refused
            else "A tumor bank needs tumors of at least 6 mm; these cases hold none. Are there "
            "masks?"
        )
    return build_bank(templates)


def templates_of(
    volume: BreastVolume,
    reference: IntensityReference,
    source: str,
    *,
    voxels: bool = False,
    segmenter: Segments | None = None,
) -> tuple[Template, ...]:
    """Cut a template of every tumor of one volume, at 1 mm; those of the case are a group.

    Args:
        volume: With its tumors; any spacing and scale.
        reference: Its intensity references.
        source: The case's name.
        voxels: Keep the signal around the tumors.
        segmenter: As for `bank_of`.

    Returns:
        Those of 6 mm and more, the largest first; none where there is no tumor.
    """
    if volume.tumor is None or not bool(volume.tumor.any()):
        return ()
    box = tuple(
        slice(max(first - math.ceil(_AROUND_MM / mm), 0), stop + math.ceil(_AROUND_MM / mm))
        for (first, stop), mm in zip(bounding_box(volume.tumor), volume.spacing, strict=True)
    )
    linear = to_linear(to_one_mm(volume.image[(slice(None), *box)], volume.spacing), reference)
    tumor = number_tumors(_mask_at_one_mm(volume.tumor[box], volume))
    valid = torch.ones_like(tumor, dtype=torch.bool)
    if volume.valid is not None:
        valid = _mask_at_one_mm(volume.valid[box], volume)
    locate = None
    if segmenter is not None and bool(tumor.any()):
        d, h, w = (part.start for part in box)
        tissue_map = segmenter(volume.image[0], volume.spacing, volume.valid)
        level = (to_linear(to_grid(volume.image[:2], volume.spacing), reference.pair) + 1) / 2
        locate = _locates(tissue_map, level, volume.tumor, volume.valid, (d, h, w), source)
    follow = _follows(in_time(linear, volume.earlier)) if volume.further else None
    pair = linear[:2]
    return _cut_all(pair, knee(pair), valid, tumor, source, voxels, locate, follow)


def _mask_at_one_mm(mask: Tensor, volume: BreastVolume) -> Tensor:
    return to_one_mm(mask.to(torch.float32)[None], volume.spacing)[0] >= 0.5


def _cut_all(
    linear: Tensor,
    q: Tensor,
    valid: Tensor,
    tumor: Tensor,
    source: str,
    voxels: bool,
    locate: Locates | None,
    follow: Follows | None,
) -> tuple[Template, ...]:
    around = tissue(q[None])[0] & valid & (tumor == 0)
    return cut_case(
        tumor, linear, around, source, voxels=voxels, valid=valid, locate=locate, follow=follow
    )


def _follows(series: Tensor) -> Follows:
    """What measures the courses of a case's tumors.

    Args:
        series: Pre and all post-contrast scans in order of time by `intensity.to_linear`, at
            1 mm, shape `(1 + n, D, H, W)`, on the grid of the tumors.
    """

    def follow(mask: Tensor, middle: np.ndarray) -> tuple[float, ...]:
        box = tuple(
            slice(start, start + side)
            for side, m in zip(mask.shape, middle, strict=True)
            for start in (round(float(m) - (side - 1) / 2),)
        )
        return measure_course(series[(slice(None), *box)], mask)

    return follow


def _locates(
    tissues: TissueMap,
    level: Tensor,
    tumor: Tensor,
    valid: Tensor | None,
    start: tuple[int, int, int],
    source: str,
) -> Locates:
    """What tells how the tumors of a case lie.

    Args:
        tissues: Of the case.
        level: As for `find_sites`.
        tumor: All its tumors, on the case's own grid.
        valid: Its voxels with signal.
        start: Voxel of the case under the first one at 1 mm.
        source: The case's name; gives the seed.
    """
    sites = find_sites(tissues, level, valid=valid, ignored=tumor)
    if sites.landmarks is not None:
        taken = to_grid(tumor[None], tissues.spacing)[0] > 1e-4
        hidden = sites.landmarks.without(taken.cpu().numpy(), sites.grid_mm)
        sites = replace(sites, landmarks=hidden)
    generator = torch.Generator().manual_seed(zlib.crc32(source.encode()))

    def locate(mask: Tensor, middle: np.ndarray) -> Tensor | None:
        d, h, w = (
            first + float(mm) / size
            for first, mm, size in zip(start, middle, tissues.spacing, strict=True)
        )
        return places_of(mask, (d, h, w), sites, tissues.shape, generator)

    return locate
