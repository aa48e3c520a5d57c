"""Label maps to train the tissue segmenter on: of phantoms, made once and kept in files.

A phantom's map is a function of its seed alone. Each file appears whole, so that a set that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.phantom import GENERATOR_VERSION, Phantom, PhantomSettings, make_phantom
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.support.files import check_output_folder, open_npz, written_whole
from synbt_aug.support.workers import each_done
from synbt_aug.tissue.labels import TissueLabel, tissue_labels
from synbt_aug.tissue.labels_to_image import (
    AIR,
    FAT,
    GLAND,
    NIPPLE,
    REST,
    SKIN,
    TUMOR,
    VESSEL,
    LabelMap,
)

#: Fields of view, by the last digit of the seed, X, Y and Z in mm: mostly one breast as the cohort
#: of the generator, a fifth wide enough for two, the rest shorter or longer crops.
FIELDS_MM = (
    *[(192, 192, 128)] * 6,
    (160, 160, 160),
    (320, 192, 144),
    (320, 192, 128),
    (144, 176, 96),
)  # fmt: skip


def label_map_of(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """Generation labels of a phantom, and its scan at half the resolution.

    Returns:
        Both uint8; shapes as in `LabelMap`.
    """
    tissue = tissue_labels(phantom.labels, phantom.breast)
    labels = np.full(tissue.shape, REST, np.uint8)
    for value, generation in (
        (TissueLabel.BACKGROUND, AIR),
        (TissueLabel.FAT, FAT),
        (TissueLabel.GLAND, GLAND),
        (TissueLabel.SKIN, SKIN),
    ):
        labels[tissue == value] = generation
    labels[phantom.labels == Tissue.NIPPLE] = NIPPLE
    labels[phantom.breast & (phantom.labels == Tissue.VESSEL)] = VESSEL
    labels[phantom.breast & (phantom.labels == Tissue.TUMOR)] = TUMOR
    pre = phantom.pre.astype(np.float32)
    top = float(np.percentile(pre[phantom.labels != Tissue.AIR], 99.5))
    scan = np.clip(pre[::2, ::2, ::2] / max(top, 1.0) * 200, 0, 255).astype(np.uint8)
    return labels, scan


def write_label_map(folder: str | Path, seed: int) -> Path:
    """Make the label map of one phantom, unless it is there."""
    path = _path(folder, seed)
    if not path.is_file():
        phantom = make_phantom(seed, PhantomSettings(shape=FIELDS_MM[seed % len(FIELDS_MM)]))
        labels, scan = label_map_of(phantom)
        with written_whole(path) as unfinished:
            np.savez_compressed(unfinished, labels=labels, scan=scan)
    return path


def phantom_label_maps(
    folder: str | Path,
    seeds: Iterable[int],
    *,
    workers: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> list[LabelMap]:
    """The label maps of these phantoms, made where they are missing.

    Args:
        folder: Where they are kept, 150 kB each.
        seeds: One phantom each, about 3 s.
        workers: Processes, of one thread each; None takes one a core.
        on_case: Called with (maps done, all maps).

    Raises:
        SynBTError: If the folder cannot be written to, or a file in it is damaged.
    """
    folder = check_output_folder(folder)
    seeds = list(seeds)
    todo = [seed for seed in seeds if not _path(folder, seed).is_file()]
    tell = on_case or (lambda done, total: None)
    tell(len(seeds) - len(todo), len(seeds))
    with closing(each_done(partial(write_label_map, folder), todo, workers)) as made:
        for done, _ in enumerate(made, len(seeds) - len(todo) + 1):
            tell(done, len(seeds))
    return [read_label_map(_path(folder, seed)) for seed in seeds]


def read_label_map(path: Path) -> LabelMap:
    """Read one.

    Raises:
        SynBTError: If the file is damaged.
    """
    try:
        with open_npz(path) as file:
            labels, scan = torch.from_numpy(file["labels"]), torch.from_numpy(file["scan"])
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SynBTError(
            f"{path} was to be a label map, but cannot be read ({error}). Delete it: it is made "
            f"again."
        ) from error
    return LabelMap(labels, scan, path.name.split(".")[0])


def _path(folder: str | Path, seed: int) -> Path:
    # Another generator makes another phantom of the same seed.
    return Path(folder) / f"phantom_{seed:07d}.generator{GENERATOR_VERSION}.npz"
