"""Whole cases of a dataset, all channels, to be copied with painted tumors.

`nnunet_raw` and `mama_mia` list the files that a training reads; here a case is read with its
label, and written again in nnU-Net's layout: painted channels outside the support and all
other channels are the source's, bit by bit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synbt_aug.data.channels import channel_names
from synbt_aug.data.dataset_json import read_dataset_json
from synbt_aug.data.detect import detect_layout, read_dataset
from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nifti import (
    Scan,
    check_same_grid,
    read_label,
    read_scan,
    stacked,
    write_labels,
    write_painted,
)
from synbt_aug.errors import SynBTError
from synbt_aug.signal.subtraction import LEAST_R2, fit_channel, recomputed
from synbt_aug.volume import BreastVolume, Synthesis, channel_name

#: What MAMA-MIA's cases become: pre-contrast and the first post-contrast scan.
_OF_MAMA_MIA: dict[str, Any] = {
    "channel_names": {"0": "pre", "1": "post"},
    "labels": {"background": 0, "tumor": 1},
    "file_ending": ".nii.gz",
}


@dataclass(frozen=True)
class RawDataset:
    """A dataset's cases, and the dataset.json of a copy of them.

    Args:
        files: The cases.
        described: Content of dataset.json: channels, labels, file ending.
    """

    files: DatasetFiles
    described: dict[str, Any]

    @property
    def ending(self) -> str:
        """Of all files of a copy."""
        return str(self.described.get("file_ending", ".nii.gz"))

    def channel_files(self, case: CaseFiles) -> tuple[Path, ...]:
        """The files of all channels of a case, in order."""
        if self.files.layout != "nnunet":
            return (case.pre, case.posts[0])
        count = len(channel_names(self.described))
        return tuple(case.pre.with_name(f"{case.name}_{c:04d}{self.ending}") for c in range(count))


@dataclass(frozen=True)
class PaintedPlaces:
    """What of a dataset is painted, and over what.

    Args:
        scans: Channels of pre, the painted post and further phases, as `settings.scans`.
        earlier: How many of the further phases come before the painted post.
        subtractions: Channels that are differences of scans.
        tumor_label: Value of tumors in the labels.
        open_labels: Other values that a tumor may replace, besides 0.
        roi_labels: Values that mark where tumors may go; empty: none do.
    """

    scans: tuple[int, ...] = (0, 1)
    earlier: int = 0
    subtractions: tuple[int, ...] = ()
    tumor_label: int = 1
    open_labels: tuple[int, ...] = ()
    roi_labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class RawCase:
    """One case in memory.

    Args:
        name: Its id.
        channels: Files of all channels.
        scans: Pre, the painted post and further phases.
        label: Values of the label, shape `(D, H, W)`; all 0 where there is no file.
        labelled: Whether there is a file.
        places: What is painted of it.
        volume: What is painted into.
    """

    name: str
    channels: tuple[Path, ...]
    scans: tuple[Scan, ...]
    label: np.ndarray
    labelled: bool
    places: PaintedPlaces
    volume: BreastVolume

    @property
    def pre(self) -> Scan:
        """The pre-contrast scan, on whose grid all else lies."""
        return self.scans[0]

    @property
    def real_tumor(self) -> np.ndarray:
        """Tumors of the label, boolean, shape `(D, H, W)`."""
        found: np.ndarray = self.label == self.places.tumor_label
        return found


def read_raw_dataset(folder: str | os.PathLike[str], *, split: str | None = None) -> RawDataset:
    """List a dataset's cases.

    Args:
        folder: An nnU-Net raw dataset, a phantom cohort, or a MAMA-MIA folder.
        split: As for `read_dataset`.

    Raises:
        SynBTError: If the folder has neither layout, or no usable case.
    """
    files = read_dataset(folder, split=split)
    if detect_layout(folder) == "nnunet":
        return RawDataset(files, read_dataset_json(folder))
    return RawDataset(files, dict(_OF_MAMA_MIA))


def read_raw_case(dataset: RawDataset, case: CaseFiles, places: PaintedPlaces) -> RawCase:
    """Read a case.

    Raises:
        SynBTError: If a file cannot be used, or the grids differ.
    """
    channels = dataset.channel_files(case)
    scans = []
    for number, c in enumerate(places.scans):
        what = f"The {channel_name(number)} scan of {case.name}"
        scans.append(read_scan(channels[c], what))
        check_same_grid(scans[-1], scans[0], what)
    pre = scans[0]
    label = np.zeros(pre.shape, np.uint8)
    if case.label is not None:
        scan = read_label(case.label, f"The label of {case.name}")
        check_same_grid(scan, pre, f"The label of {case.name}")
        label = _whole(scan)
        if case.tumor_label is None:
            # Masks that name no label: every value above 0 is tumor.
            label = np.where(label > 0, places.tumor_label, 0).astype(label.dtype)
    known = (0, places.tumor_label, *places.open_labels)
    roi = torch.from_numpy(np.isin(label, places.roi_labels)) if places.roi_labels else None
    volume = BreastVolume(
        torch.from_numpy(stacked(*scans)),
        pre.spacing,
        tumor=torch.from_numpy(label == places.tumor_label),
        forbidden=_mask_or_none(np.isin(label, known, invert=True)),
        roi=roi,
        earlier=places.earlier,
    )
    labelled = case.label is not None
    return RawCase(case.name, channels, tuple(scans), label, labelled, places, volume)


def write_raw_case(
    case: RawCase, painted: Synthesis | None, images: Path, label: Path | None, name: str
) -> list[Path]:
    """Write a case in nnU-Net's layout.

    Args:
        case: The source.
        painted: What was painted into its volume; None copies it as it is.
        images: Folder for `NAME_0000.nii.gz` and so on; it must be there.
        label: The label's file; None writes none.
        name: The new case's id.

    Returns:
        The files of the channels.

    Raises:
        SynBTError: If a channel that is to be computed again is no subtraction of the scans.
    """
    ending = _ending(case.channels[0])
    written = []
    for c, source in enumerate(case.channels):
        path = images / f"{name}_{c:04d}{ending}"
        if painted is not None and c in case.places.scans:
            k = case.places.scans.index(c)
            write_painted(path, case.scans[k], painted.image[k], painted.support)
        elif painted is not None and c in case.places.subtractions:
            scan = read_scan(source, f"The subtraction of {case.name}")
            check_same_grid(scan, case.pre, f"The subtraction of {case.name}")
            write_painted(path, scan, _subtraction(case, scan, painted), painted.support)
        else:
            shutil.copyfile(source, path)
        written.append(path)
    if label is not None:
        write_labels(label, case.pre, label_of(case, painted))
    return written


def _subtraction(case: RawCase, scan: Scan, painted: Synthesis) -> torch.Tensor:
    """A subtraction of the painted scans, shape `(D, H, W)`."""
    channel = torch.from_numpy(np.ascontiguousarray(scan.values()))
    fit = fit_channel(channel, case.volume.image)
    if not fit.holds:
        raise SynBTError(
            f"{scan.path.name} was to be a subtraction of the scans that are painted, but they "
            f"explain {float(fit.r2):.1%} of it ({LEAST_R2:.1%} are needed). Leave the channel out."
        )
    return recomputed(channel, fit, case.volume.image, painted.image, painted.support)


def label_of(case: RawCase, painted: Synthesis | None) -> np.ndarray:
    """The source's label with the new tumors, shape `(D, H, W)`, in the smallest integer type."""
    values = case.label.copy()
    if painted is not None:
        values[painted.tumor.numpy()] = case.places.tumor_label
    return values


def only_labelled(files: DatasetFiles, which: Collection[str] | None = None) -> DatasetFiles:
    """The cases that have a mask: the tumors of the others are not known.

    Raises:
        SynBTError: If none has one.
    """
    named = frozenset(
        case.name
        for case in files.cases
        if case.label is not None and (which is None or case.name in which)
    )
    if not named:
        raise SynBTError(f"{files.folder} has no case with a mask: its tumors are not known.")
    return files.only(named)


def _whole(scan: Scan) -> np.ndarray:
    """A label's values as whole numbers, unsigned where they fit 8 bits."""
    values = scan.plain_values()
    if values.dtype.kind == "f":
        # A mask that was resampled swings a little below 0.
        values = np.maximum(np.rint(values), 0)
    return values.astype(np.uint8 if values.max() <= 255 else np.int32)


def _mask_or_none(mask: np.ndarray) -> torch.Tensor | None:
    return torch.from_numpy(mask) if mask.any() else None


def _ending(path: Path) -> str:
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else ".nii"
