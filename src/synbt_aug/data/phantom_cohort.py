"""A folder of phantoms, written in parallel and resumable.

Case `phantom_0000012` is the phantom of seed 12, so a larger cohort holds a smaller one. Each file
appears whole, and a case's label last: a case with a label is complete and is not made again.
Seeds of 1,000,000 and above are for testing only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug import __version__
from synbt_aug.data.layout import refuse_foreign_dataset
from synbt_aug.data.mama_mia import write_splits
from synbt_aug.data.nifti import write_volume
from synbt_aug.data.nnunet_raw import write_dataset_json
from synbt_aug.errors import SynBTError
from synbt_aug.phantom import GENERATOR_VERSION, Phantom, PhantomSettings, make_phantom
from synbt_aug.support.files import (
    check_output_folder,
    read_json,
    remove_unfinished,
    scratch_folder,
    write_json,
)
from synbt_aug.support.workers import each_done

LAYOUTS = ("nnunet", "mama-mia")
FIRST_TEST_SEED = 1_000_000
# What every case of a cohort shares; a folder made with other settings is not added to.
COHORT_FILE = "phantoms.json"
# Other runs may be adding to the folder; none of them writes one phantom for an hour.
_ABANDONED_S = 3600.0


def write_phantom_cohort(
    folder: str | os.PathLike[str],
    seeds: Iterable[int],
    *,
    settings: PhantomSettings | None = None,
    layout: str = "nnunet",
    workers: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the phantoms of these seeds.

    Args:
        folder: Where to; cases that are complete there are kept.
        seeds: One phantom each.
        settings: Shared by all phantoms.
        layout: "nnunet" (imagesTr, labelsTr) or "mama-mia" (images, segmentations/expert).
        workers: Processes, of one thread each; None takes one a core.
        on_case: Called with (cases done, all cases) at the start and after each case.

    Raises:
        SynBTError: If the folder cannot be written to, or holds phantoms of other settings or
            another dataset.
    """
    settings = settings or PhantomSettings()
    if layout not in LAYOUTS:
        raise SynBTError(f"A cohort's layout is one of {', '.join(LAYOUTS)}, not {layout!r}.")
    seeds = sorted(set(seeds))
    if not seeds:
        raise SynBTError("A cohort needs at least one phantom: -n 1 or more.")
    folder = check_output_folder(folder)
    _check_settings(folder, settings, layout)
    todo = [seed for seed in seeds if not _files(folder, layout, seed, 0)[1].is_file()]
    done = len(seeds) - len(todo)
    tell = on_case or (lambda done, total: None)
    tell(done, len(seeds))
    remove_unfinished(folder, older_than_s=_ABANDONED_S)
    work = partial(write_phantom, folder, settings=settings, layout=layout)
    with closing(each_done(work, todo, workers)) as written:
        for _ in written:
            done += 1
            tell(done, len(seeds))
    _describe(folder, layout, phases=1 + len(settings.times_s))
    return folder


def write_phantom(folder: Path, seed: int, settings: PhantomSettings, layout: str) -> None:
    """Make one phantom and write its files, the label last."""
    phantom = make_phantom(seed, settings)
    images, label, notes = _files(folder, layout, seed, 1 + len(phantom.post))
    scans = (phantom.pre, *phantom.post, phantom.tumor.astype(np.uint8))
    # Not beside their places: what a killed run leaves there nnU-Net would take for a case.
    with scratch_folder(folder) as unfinished:
        for path, scan in zip((*images, label), scans, strict=True):
            write_volume(unfinished / path.name, _zyx(scan), phantom.affine)
        for path in (images[0], label, notes):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_json(notes, _notes(phantom))
        for path in (*images, label):
            os.replace(unfinished / path.name, path)


def generator_of(folder: str | os.PathLike[str]) -> int | None:
    """Version of the generator that made a phantom cohort; None for any other dataset.

    Args:
        folder: A dataset. Cohorts of the first generator do not record it: they count as 1.

    Raises:
        SynBTError: If the cohort's settings cannot be read.
    """
    path = Path(folder) / COHORT_FILE
    if not path.is_file():
        return None
    return int(read_json(path, "the settings of a phantom cohort").get("generator", 1))


def seed_of(name: str) -> int | None:
    """The seed of a phantom by its case name; None for any other case."""
    match = re.fullmatch(r"phantom_(\d+)", name.lower())
    return int(match.group(1)) if match else None


def _files(folder: Path, layout: str, seed: int, phases: int) -> tuple[list[Path], Path, Path]:
    """Scans in order of time, label and notes of a case."""
    name = f"phantom_{seed:07d}"
    if layout == "nnunet":
        scans, labels = folder / "imagesTr", folder / "labelsTr"
        label = labels / f"{name}.nii.gz"
    else:
        scans, labels = folder / "images" / name.upper(), folder / "segmentations" / "expert"
        label = labels / f"{name.upper()}.nii.gz"
    images = [scans / f"{name}_{phase:04d}.nii.gz" for phase in range(phases)]
    return images, label, folder / "phantoms" / f"{name}.json"


def _check_settings(folder: Path, settings: PhantomSettings, layout: str) -> None:
    path = folder / COHORT_FILE
    wanted = {
        "layout": layout,
        "version": __version__,
        "generator": GENERATOR_VERSION,
        "settings": _plain(asdict(settings)),
    }
    if not path.is_file():
        refuse_foreign_dataset(folder, "A phantom cohort")
        write_json(path, wanted)
        return
    found = read_json(path, "the settings of a phantom cohort")
    if found != wanted:
        both = {**_flat(found), **_flat(wanted)}
        differ = [k for k in both if _flat(found).get(k) != _flat(wanted).get(k)]
        raise SynBTError(
            f"{folder} holds phantoms made with other settings ({', '.join(sorted(differ))}). "
            f"A cohort has one: name another folder with -o, or remove this one."
        )


def _describe(folder: Path, layout: str, phases: int) -> None:
    """List what is there: earlier runs may have added cases of their own."""
    if layout == "nnunet":
        cases = len(list((folder / "labelsTr").glob("phantom_*.nii.gz")))
        channels = ["pre", *(f"post{phase}" for phase in range(1, phases))]
        write_dataset_json(
            folder, cases=cases, channels=channels, description="Breast DCE-MRI phantoms, synbt-aug"
        )
        return
    train: list[str] = []
    test: list[str] = []
    for path in sorted((folder / "segmentations" / "expert").iterdir()):
        name = path.name.removesuffix(".nii.gz")
        seed = seed_of(name)
        if seed is not None:
            (test if seed >= FIRST_TEST_SEED else train).append(name)
    write_splits(folder, train, test)


def _zyx(array: np.ndarray) -> np.ndarray:
    """From the phantom's (X, Y, Z) to the (z, y, x) of files."""
    return array.transpose(2, 1, 0)


def _notes(phantom: Phantom) -> dict[str, Any]:
    names = ("seed", "density", "gland_fraction", "bilateral", "field_tesla", "fat_saturated")
    notes = {name: getattr(phantom, name) for name in (*names, "snr", "times_s")}
    return _plain(notes | {"lesions": [asdict(lesion) for lesion in phantom.lesions]})


def _plain(value: Any) -> Any:
    """Tuples as lists and NumPy scalars as numbers, as JSON gives them back."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    settings = value.get("settings")
    if not isinstance(settings, dict):
        return value
    return {k: v for k, v in value.items() if k != "settings"} | settings
