"""Site maps of the training cases: found once for the whole case, and asked for by its patches.

A patch shows too little to tell breast from chest wall, and looking costs a tenth of a second each
time. The whole case's map is kept beside the preprocessed data. To look something up in it, a patch
must know where in its case each voxel came from: nnU-Net's loader takes the voxels' whereabouts for
the segmentation of an earlier stage, and crops them with the case.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug import __version__
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.sample_plans import sample_volume
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.support.files import check_output_folder, written_whole
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.site_lookup import NOTHING_OPEN, arrays_of, map_of_arrays
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug_nnunet.cohort import PreprocessedCases, in_threads, now_and_then

#: Settings that a case's map depends on.
_SETTINGS = ("tissue", "tumor_label", "paint_over", "roi_labels", "only_free_side")

#: Maps that a worker holds; one takes some megabytes.
_HELD = 16

#: What every fourth voxel tells: its coordinate along an axis, or the case's number.
_AXES, _NUMBER = range(3), 3

#: Most cases that have a number: int16 holds four times as much.
MOST_CASES = 2**13 - 1


class CaseSites:
    """Site maps on disk, a file a case.

    Args:
        folder: Where they are kept; made when the first one is written.
        cases: The preprocessed cases.
        settings: What decides where something may go.
    """

    def __init__(self, folder: Path, cases: PreprocessedCases, settings: InjectionSettings) -> None:
        self.folder, self.cases = folder, cases
        values = settings.to_dict()
        self._settings = settings
        self._stamp = {name: values[name] for name in _SETTINGS} | {"synbt_aug": __version__}

    def missing(self, names: Sequence[str]) -> list[str]:
        """Cases without a map, or with one of another state of their files or settings."""
        return [name for name in names if self._read(name) is None]

    def find(
        self,
        references: dict[str, IntensityReference],
        segmenter: Segments,
        *,
        workers: int,
        on_case: Callable[[int, int], None] | None = None,
    ) -> None:
        """Find the maps of cases, in parallel; stopped, it goes on from where it was.

        Args:
            references: Of the cases to look at.
            segmenter: Finds the tissues.
            workers: Threads.
            on_case: As for `in_threads`.
        """
        if references:
            check_output_folder(self.folder)
            names = list(references)
            in_threads(lambda n: self._find(n, references[n], segmenter), names, workers, on_case)

    def of(self, name: str) -> SiteMap:
        """A case's map; nowhere without one."""
        found = self._read(name)
        if found is None:
            return SiteMap.nowhere((1, 1, 1), (1.0, 1.0, 1.0), self.cases.spacing, NOTHING_OPEN)
        return found

    def _find(self, name: str, reference: IntensityReference, segmenter: Segments) -> None:
        pair, labels = self.cases.pair_and_labels(name)
        try:
            volume = sample_volume(self._settings, pair, labels, self.cases.spacing)
            sites = Host.of(volume, reference.pair).sites_by(
                segmenter, self._settings.only_free_side
            )
        except SynBTError as error:
            # Not a case to paint into: its patches say so.
            d, h, w = labels.shape
            sites = SiteMap.nowhere((1, 1, 1), (d, h, w), self.cases.spacing, str(error))
        with written_whole(self.folder / f"{name}.npz") as unfinished, open(unfinished, "wb") as f:
            np.savez_compressed(f, stamp=np.array(self._stamp_of(name)), **arrays_of(sites))

    def _read(self, name: str) -> SiteMap | None:
        file = self.folder / f"{name}.npz"
        # One that cannot be read is found anew.
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError), np.load(file) as found:
            if str(found["stamp"]) == self._stamp_of(name):
                return map_of_arrays(found, self.cases.spacing)
        return None

    def _stamp_of(self, name: str) -> str:
        return json.dumps(self.cases.stamp(name) | self._stamp, sort_keys=True)


def case_sites(
    cases: PreprocessedCases,
    settings: InjectionSettings,
    references: dict[str, IntensityReference],
    segmenter: Segments,
    *,
    fallback: Path,
    finds: bool,
    workers: int,
    say: Callable[[str], None],
) -> CaseSites:
    """The site maps of these cases, found where they are not yet.

    Args:
        cases: The preprocessed dataset; the maps are kept beside it.
        settings: As for `CaseSites`.
        references: Of the cases that are trained on.
        segmenter: Finds the tissues.
        fallback: Where they are kept when that place cannot be written to.
        finds: Whether this process finds what is missing; others wait for it.
        workers: Threads.
        say: Takes a line when it begins, and one on progress at most every ten seconds.
    """
    beside = cases.folder.with_name(f"synbt_{cases.folder.name}_sites")
    place = beside if beside.is_dir() else beside.parent
    folder = beside if os.access(place, os.W_OK) else fallback.with_name(fallback.name + "_sites")
    kept = CaseSites(folder, cases, settings)
    if not finds:
        while kept.missing(sorted(references)):
            time.sleep(2.0)
    elif missing := kept.missing(sorted(references)):
        say(
            f"SynBT: finding where tumors may go in {len(missing)} of {len(references)} training "
            f"cases, once for this dataset and these settings; kept in {folder}"
        )
        wanted = {name: references[name] for name in missing}
        told = now_and_then(say, "looked at")
        kept.find(wanted, segmenter, workers=workers, on_case=told)
    return kept


def whereabouts(shape: tuple[int, int, int], number: int) -> np.ndarray:
    """Voxels of a case that tell where they are, and in which: int16, of this shape.

    Along each axis every fourth voxel tells the same: its coordinate along one axis, or the case's
    number, times four, plus which of these it is.
    """
    axes = [np.arange(n, dtype=np.int16) for n in shape]
    i, j, k = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    kind = (i + j + k) & 3
    told = np.where(kind == 0, i, np.where(kind == 1, j, np.where(kind == 2, k, number)))
    return (4 * told + kind).astype(np.int16)


def read_whereabouts(voxels: np.ndarray) -> tuple[int, tuple[int, int, int]] | None:
    """A patch's case and first voxel in it, negative where the patch begins outside.

    Args:
        voxels: Cropped from `whereabouts`, with negative values outside, shape `(D, H, W)`.

    Returns:
        The case's number and the voxel; None where too little of the case is in view.
    """
    inside = [
        np.flatnonzero((voxels >= 0).any(axis=tuple(a for a in _AXES if a != axis)))
        for axis in _AXES
    ]
    if any(len(there) == 0 for there in inside):
        return None
    first = [int(there[0]) for there in inside]
    axis = max(_AXES, key=lambda a: len(inside[a]))
    if len(inside[axis]) < 4:
        return None
    told: dict[int, int] = {}
    for step in range(4):
        at = [first[a] + step * (a == axis) for a in _AXES]
        value = int(voxels[tuple(at)])
        if value & 3 == _NUMBER:
            told[_NUMBER] = value >> 2
        else:
            told[value & 3] = (value >> 2) - at[value & 3]
    if set(told) != {0, 1, 2, _NUMBER}:
        return None
    return told[_NUMBER], (told[0], told[1], told[2])


class WithSites:
    """nnU-Net's dataset with the voxels' whereabouts in the place of an earlier stage's labels.

    Args:
        dataset: Of the training cases.
        names: Cases with a map, in the order of their numbers.
    """

    def __init__(self, dataset: Any, names: Sequence[str]) -> None:
        self.dataset = dataset
        self.numbers = {name: number for number, name in enumerate(names)}

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "numbers"):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def load_case(self, identifier: str) -> tuple[Any, Any, np.ndarray, Any]:
        """As nnU-Net's, with the whereabouts."""
        data, segmentation, _, properties = self.dataset.load_case(identifier)
        d, h, w = data.shape[1:]
        number = self.numbers.get(identifier, MOST_CASES)
        return data, segmentation, whereabouts((d, h, w), number), properties


class HeldSites:
    """Maps of cases by number, of which a worker holds the last few it asked for.

    Args:
        sites: On disk.
        names: The cases, in the order of their numbers.
    """

    def __init__(self, sites: CaseSites, names: Sequence[str]) -> None:
        self.sites, self.names = sites, tuple(names)
        self.of = lru_cache(_HELD)(self._of)

    def _of(self, number: int) -> SiteMap:
        if 0 <= number < len(self.names):
            return self.sites.of(self.names[number])
        return SiteMap.nowhere((1, 1, 1), (1.0, 1.0, 1.0), self.sites.cases.spacing, NOTHING_OPEN)

    def __reduce__(self) -> tuple[Any, ...]:
        return HeldSites, (self.sites, self.names)
