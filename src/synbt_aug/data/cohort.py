"""Cases as training reads them: mapped, at 1 mm, resident in memory.

`load_cohort` reads a folder in either layout, measures each case's intensity references, maps it
and keeps it as float16 (19 MB at 192x192x128): crops are then cut without touching the disk.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nifti import read_mask, read_pair
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.errors import SynBTError
from synbt_aug.grid.window import resample_to_mm
from synbt_aug.signal.hole import tissue
from synbt_aug.signal.intensity import IntensityReference, measure_reference, to_model
from synbt_aug.volume import Spacing

# Places that crops are drawn from; enough that no two training steps need share one.
_SITES = 2000
# Instance ids are stored in uint8.
_MOST_TUMORS = 255
# Parts with a gap smaller than this are one lesion: clumps of a non-mass tumor.
_GAP_MM = 4.0


@dataclass(frozen=True)
class TumorInstance:
    """One connected tumor of a case.

    Args:
        number: Its value in the case's `tumor`.
        box: The voxels that hold it, along D, H and W.
        volume_mm3: Its volume.
    """

    number: int
    box: tuple[slice, slice, slice]
    volume_mm3: float

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of the same volume."""
        return float((6 * self.volume_mm3 / np.pi) ** (1 / 3))


@dataclass(frozen=True)
class TrainingCase:
    """One case, ready for crops.

    Args:
        name: The case's id.
        q: Mapped pre and post, shape `(2, D, H, W)`, float16, 1 mm.
        valid: Voxels with signal, boolean, shape `(D, H, W)`.
        tumor: Instance numbers, 0 where there is none, uint8, shape `(D, H, W)`.
        body: Voxels (d, h, w) where crops may be centred, int16, shape `(N, 3)`.
        instances: The tumors, largest first.
        reference: What the intensities were mapped by.
        source_spacing: Voxel size of the files, in mm.
        phase: Number of the post-contrast scan that was taken, 1 for the first.
        labelled: Whether the dataset has a mask for the case.
    """

    name: str
    q: Tensor
    valid: Tensor
    tumor: Tensor
    body: Tensor
    instances: tuple[TumorInstance, ...]
    reference: IntensityReference
    source_spacing: Spacing
    phase: int
    labelled: bool


@dataclass(frozen=True)
class Cohort(Sequence[TrainingCase]):
    """Cases in order of their names.

    Args:
        folder: Where they came from.
        cases: The cases.
        skipped: One line for each case left out, with the reason.
    """

    folder: Path
    cases: tuple[TrainingCase, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[TrainingCase]:
        return iter(self.cases)

    @overload
    def __getitem__(self, index: int) -> TrainingCase: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TrainingCase, ...]: ...
    def __getitem__(self, index: int | slice) -> TrainingCase | tuple[TrainingCase, ...]:
        return self.cases[index]

    @property
    def tumors(self) -> tuple[tuple[TrainingCase, TumorInstance], ...]:
        """Every tumor with its case."""
        return tuple((case, tumor) for case in self.cases for tumor in case.instances)

    def describe(self) -> str:
        """One line for the log."""
        megabytes = sum(case.q.numel() * case.q.element_size() for case in self.cases) / 1e6
        return (
            f"{len(self.cases)} cases with {len(self.tumors)} tumors from {self.folder}, "
            f"{megabytes:.0f} MB in memory"
            + (f", {len(self.skipped)} left out" if self.skipped else "")
        )


def load_cohort(
    folder: str | os.PathLike[str],
    *,
    names: Iterable[str] | None = None,
    fold: int | None = None,
    split: str | None = None,
    first_post: bool = False,
    seed: int = 0,
    workers: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Cohort:
    """Read a dataset into memory.

    Args:
        folder: A phantom cohort, a MAMA-MIA folder or an nnU-Net raw dataset.
        names: Only these cases.
        fold: Only the training cases of this fold of nnU-Net's `splits_final.json`.
        split: "train" or "test" by the dataset's own split; None takes what the layout calls
            training, or everything where it does not say.
        first_post: Take the first post-contrast scan (validation and test); otherwise one at
            random for each case, as the paper's training does.
        seed: Of that draw, which depends on nothing else but the case's name.
        workers: Threads; None takes one a core.
        on_case: Called with (cases read, all cases).

    Raises:
        SynBTError: If no case can be read, or names and fold are not there.
    """
    files = select(read_dataset(folder, split=split), names=names, fold=fold)
    tell = on_case or (lambda done, total: None)
    tell(0, len(files.cases))
    cases: list[TrainingCase] = []
    skipped = list(files.skipped)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs = {
            pool.submit(load_case, case, first_post=first_post, seed=seed): case
            for case in files.cases
        }
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                try:
                    cases.append(job.result())
                except ValueError as error:
                    skipped.append(f"{jobs[job].name}: {error}")
                tell(done, len(files.cases))
        except BaseException:
            # Ctrl-C waits for the cases being read, not for all that are still to come.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not cases:
        raise SynBTError(f"No case of {folder} can be used. The first one: {skipped[0]}")
    cases.sort(key=lambda case: case.name)
    return Cohort(Path(folder), tuple(cases), tuple(sorted(skipped)))


def select(
    files: DatasetFiles, *, names: Iterable[str] | None = None, fold: int | None = None
) -> DatasetFiles:
    """The cases of these names, or of the training part of a fold.

    Raises:
        SynBTError: If both are given, or a case is not there.
    """
    if names is not None and fold is not None:
        raise SynBTError("Name either cases or a fold, not both.")
    if fold is not None:
        names = read_fold(files.folder, fold)[0]
    return files if names is None else files.only(frozenset(names))


def load_case(files: CaseFiles, *, first_post: bool = False, seed: int = 0) -> TrainingCase:
    """Read, resample and map one case.

    Raises:
        ValueError: If a file cannot be used; the message says which and why.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(files.name.encode()) + seed)
    draw = int(torch.randint(len(files.posts), (1,), generator=generator))
    phase = 0 if first_post else draw
    pair = read_pair(files.pre, files.posts[phase])
    spacing = pair.volume.spacing
    image = to_one_mm(pair.volume.image, spacing)
    reference = measure_reference(image)
    q = to_model(image, reference)
    if files.label is None:
        tumor = torch.zeros(image.shape[1:], dtype=torch.uint8)
    else:
        mask = read_mask(files.label, pair.pre, "The tumor mask", label=files.tumor_label)
        tumor = number_tumors(to_one_mm(mask.float()[None], spacing)[0] >= 0.5)
        if bool(mask.any()) and not bool(tumor.any()):
            raise SynBTError(
                f"The tumor mask needs a tumor that shows at 1 mm, but the {int(mask.sum())} "
                f"voxels of {files.label} leave none: they are too scattered."
            )
    return TrainingCase(
        name=files.name,
        q=q.to(torch.float16),
        valid=torch.ones(image.shape[1:], dtype=torch.bool),
        tumor=tumor,
        body=body_sites(q, generator),
        instances=instances(tumor),
        reference=reference,
        source_spacing=spacing,
        phase=phase + 1,
        labelled=files.label is not None,
    )


def to_one_mm(volume: Tensor, spacing: Spacing) -> Tensor:
    """Resample to 1 mm as windows are (`window.cut`), so that training sees what use shows.

    Args:
        volume: Shape `(C, D, H, W)`.
        spacing: Its voxel size, in mm.

    Returns:
        float32, `round(extent)` voxels along each axis; the input where it is at 1 mm already.
    """
    if all(abs(mm - 1) < 1e-3 for mm in spacing):
        return volume.to(torch.float32)
    d, h, w = (max(1, round(n * mm)) for n, mm in zip(volume.shape[1:], spacing, strict=True))
    return resample_to_mm(volume.to(torch.float32), spacing, (d, h, w))


def number_tumors(mask: Tensor) -> Tensor:
    """Number tumors from 1, largest first; uint8, same shape.

    Parts up to 4 voxels apart are one tumor, as the clumps of a non-mass lesion are. Beyond 255
    tumors the smallest are left out.
    """
    touching = np.ones((3, 3, 3))
    joined, count = ndimage.label(
        ndimage.binary_dilation(mask.numpy(), touching, iterations=2), structure=touching
    )
    labels = np.where(mask.numpy(), joined, 0)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    numbers = np.zeros(count + 1, dtype=np.uint8)
    for number, label in enumerate(np.argsort(-sizes, kind="stable")[:_MOST_TUMORS], 1):
        numbers[label + 1] = number
    return torch.from_numpy(numbers[labels])


def instances(tumor: Tensor) -> tuple[TumorInstance, ...]:
    """The tumors of a 1 mm volume of instance numbers, in order of number."""
    found = ndimage.find_objects(tumor.numpy())
    return tuple(
        TumorInstance(number, box, float((tumor[box] == number).sum()))
        for number, box in enumerate(found, 1)
        if box is not None
    )


def body_sites(q: Tensor, generator: torch.Generator, most: int = _SITES) -> Tensor:
    """Draw voxels of the body: int16, shape `(N, 3)`, N at most `most`."""
    body = tissue(q[None])[0].nonzero()
    chosen = torch.randperm(len(body), generator=generator)[:most]
    return body[chosen].to(torch.int16)
