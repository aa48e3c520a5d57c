"""Site maps of the training cases: found once for the whole case, and carried along by its patches.

A patch shows too little to tell breast from chest wall, and looking costs a tenth of a second each
time. The whole case's map is kept beside the preprocessed data. nnU-Net's loader takes it for the
segmentation of an earlier stage: it is cropped with the case, and turned and zoomed with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug import __version__
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.sample_plans import sample_volume
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.support.files import check_output_folder, written_whole
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.site_map import SiteMap, depth_inside
from synbt_aug.tissue.tissue_map import grid_shape
from synbt_aug.volume import Spacing
from synbt_aug_nnunet.cohort import PreprocessedCases

#: How a voxel is written where something may go: this, and as much again by its weight. Turning and
#: zooming mixes voxels with their neighbours, which are 0 where nothing may go.
_ALLOWED = 500

#: Settings that a case's map depends on.
_SETTINGS = ("tissue", "tumor_label", "paint_over", "roi_labels", "only_free_side")


class CaseSites:
    """Site maps on disk, a file a case.

    Args:
        folder: Where they are kept; made when the first one is written.
        cases: The preprocessed cases.
        settings: What decides where something may go.
        places: What else does, in words: the bank whose places the sites follow.
    """

    def __init__(
        self, folder: Path, cases: PreprocessedCases, settings: InjectionSettings, places: str = ""
    ) -> None:
        self.folder, self.cases = folder, cases
        values = settings.to_dict()
        self._settings = settings
        self._stamp = {name: values[name] for name in _SETTINGS} | {
            "synbt_aug": __version__,
            "places": places,
        }

    def missing(self, names: Sequence[str]) -> list[str]:
        """Cases without a map, or with one of another state of their files or settings."""
        return [name for name in names if self._read(name) is None]

    def find(
        self,
        references: dict[str, IntensityReference],
        segmenter: Segments,
        *,
        workers: int,
        on_case: Callable[[int, int], None],
    ) -> None:
        """Find the maps of cases, in parallel; stopped, it goes on from where it was.

        Args:
            references: Of the cases to look at.
            segmenter: Finds the tissues.
            workers: Threads.
            on_case: Called with (cases done, all of these).
        """
        if not references:
            return
        check_output_folder(self.folder)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            jobs = [pool.submit(self._find, n, r, segmenter) for n, r in references.items()]
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    job.result()
                    on_case(done, len(jobs))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def voxels(self, name: str, shape: tuple[int, int, int]) -> np.ndarray:
        """A case's map as nnU-Net's loader takes it, int16, of this shape; nowhere without one."""
        grid = self._read(name)
        if grid is None:
            return np.zeros(shape, np.int16)
        for axis, (n, length) in enumerate(zip(grid.shape, shape, strict=True)):
            index = ((np.arange(length) + 0.5) * n / length).astype(np.int64)
            grid = grid.take(index, axis)
        return grid

    def _find(self, name: str, reference: IntensityReference, segmenter: Segments) -> None:
        data, labels = self.cases.pair_and_labels(name)
        try:
            volume = sample_volume(self._settings, data, labels, self.cases.spacing)
            sites = Host.of(volume, reference.pair).sites_by(
                segmenter, self._settings.only_free_side
            )
            grid = _written(sites)
        except SynBTError:
            # Not a case to paint into: its patches say so.
            grid = np.zeros((1, 1, 1), np.int16)
        with written_whole(self.folder / f"{name}.npz") as unfinished, open(unfinished, "wb") as f:
            np.savez_compressed(f, grid=grid, stamp=np.array(self._stamp_of(name)))

    def _read(self, name: str) -> np.ndarray | None:
        file = self.folder / f"{name}.npz"
        # One that cannot be read is found anew.
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError), np.load(file) as found:
            if str(found["stamp"]) == self._stamp_of(name):
                grid: np.ndarray = found["grid"]
                return grid
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
    places: str = "",
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
        say: Takes a line when it begins.
        places: As for `CaseSites`.
    """
    beside = cases.folder.with_name(f"synbt_{cases.folder.name}_sites")
    place = beside if beside.is_dir() else beside.parent
    folder = beside if os.access(place, os.W_OK) else fallback.with_name(fallback.name + "_sites")
    kept = CaseSites(folder, cases, settings, places)
    if not finds:
        while kept.missing(sorted(references)):
            time.sleep(2.0)
    elif missing := kept.missing(sorted(references)):
        say(
            f"SynBT: finding where tumors may go in {len(missing)} of {len(references)} training "
            f"cases, once for this dataset and these settings; kept in {folder}"
        )
        wanted = {name: references[name] for name in missing}
        kept.find(wanted, segmenter, workers=workers, on_case=lambda done, total: None)
    return kept


def _written(sites: SiteMap) -> np.ndarray:
    weight = sites.weight.numpy()
    share = weight / max(float(weight.max()), 1e-6)
    return np.where(sites.allowed.numpy(), _ALLOWED * (1 + share), 0).astype(np.int16)


def sites_of_patch(voxels: Tensor, spacing: Spacing) -> SiteMap:
    """The site map of a patch, from the voxels that travelled with it.

    Args:
        voxels: As `CaseSites.voxels` gave them, then cropped and turned, float, `(D, H, W)`.
        spacing: Voxel size, in mm.
    """
    d, h, w = voxels.shape
    grid = grid_shape((d, h, w), spacing)
    factors = d / grid[0], h / grid[1], w / grid[2]
    for axis, (n, factor) in enumerate(zip(grid, factors, strict=True)):
        index = ((torch.arange(n) + 0.5) * factor).long()
        voxels = voxels.index_select(axis, index)
    allowed = voxels >= _ALLOWED / 2
    weight = torch.where(allowed, (voxels / _ALLOWED - 1).clamp(0, 1), 0.0)
    if not bool((weight > 0).any()):
        reason = "no site: nothing in the patch is open to a tumor"
        return SiteMap.nowhere(grid, factors, spacing, reason)
    grid_mm = tuple(f * mm for f, mm in zip(factors, spacing, strict=True))
    depth = torch.from_numpy(depth_inside(allowed.numpy(), grid_mm))
    return SiteMap(weight, torch.where(allowed, depth, 0.0), allowed, factors, spacing)


class WithSites:
    """nnU-Net's dataset with the site map in the place of an earlier stage's segmentation.

    Args:
        dataset: Of the training cases.
        sites: Of the same.
    """

    def __init__(self, dataset: Any, sites: CaseSites) -> None:
        self.dataset, self.sites = dataset, sites

    def __getattr__(self, name: str) -> Any:
        if name in ("dataset", "sites"):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def load_case(self, identifier: str) -> tuple[Any, Any, np.ndarray, Any]:
        """As nnU-Net's, with the site map."""
        data, segmentation, _, properties = self.dataset.load_case(identifier)
        d, h, w = data.shape[1:]
        return data, segmentation, self.sites.voxels(identifier, (d, h, w)), properties
