"""The file of a tumor bank: packed bits and numbers.

Voxels of the images are in it only where the bank was built with them; they stay in the file until
they are painted.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.support.case_ids import case_key
from synbt_aug.support.files import open_npz, written_whole
from synbt_aug.tumor.appearance import CATEGORIES, Appearance
from synbt_aug.tumor.places import ELSEWHERE, STATISTICS
from synbt_aug.tumor.template import StoredSignal, Template

# What NumPy and zipfile raise on files that are damaged, or no archives.
_DAMAGED = (
    KeyError,
    TypeError,
    ValueError,
    OSError,
    EOFError,
    IndexError,
    RuntimeError,  # NotImplementedError among them: an unknown compression
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)

#: The order in the file, and in the digest of a bank.
_NUMBERS = ("enhancement", "heterogeneity", "rim", "pre_contrast")

#: Version of the file: 2 holds places and surroundings where they are known, and its number; 1
#: holds neither, and no number.
FORMAT = 2


def write_templates(path: Path, templates: Sequence[Template]) -> None:
    """Write them as one compressed `.npz`, without pickles, whole or not at all.

    Cases are named by their keys (`case_ids`).

    Args:
        path: A new file, or one to replace.
        templates: At least one.
    """
    masks = [t.mask.numpy() for t in templates]
    content = {
        "bits": np.concatenate([np.packbits(m) for m in masks]),
        "shapes": np.array([m.shape for m in masks], dtype=np.int16),
        "numbers": np.stack([stored_numbers(t.appearance) for t in templates]),
        "categories": np.array([_category(t.appearance) for t in templates], dtype=np.int8),
        "sources": np.array([_key(t.source) for t in templates]),
    }
    if any(t.group for t in templates):
        content["groups"] = np.array([_key(t.group) for t in templates])
        content["offsets"] = np.stack([stored_offset(t) for t in templates])
    if any(t.places is not None for t in templates):
        content["places"] = np.stack([_places(t) for t in templates])
    if any(t.surroundings is not None for t in templates):
        content["surroundings"] = np.array(
            [t.surroundings or (np.nan, np.nan) for t in templates], dtype=np.float32
        )
    if "places" in content or "surroundings" in content:
        content["format"] = np.array([FORMAT])
    if any(t.course for t in templates):
        content["courses"] = _courses(templates)
    if any(t.signal is not None for t in templates):
        content["signals"] = np.array([t.signal_digest for t in templates])
    with (
        written_whole(path) as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        # As np.savez_compressed does, which wants all signals in memory at once.
        for name, array in content.items():
            _write_array(archive, name, array)
        for index, template in enumerate(templates):
            if template.signal is not None:
                _write_array(archive, _member(index), signal_of(template.signal).numpy())


def read_templates(path: str | Path) -> list[Template]:
    """Read what `write_templates` wrote.

    Args:
        path: Voxels are read from there later, perhaps from another working folder.

    Raises:
        SynBTError: If the file is damaged, no bank, or of a later format.
    """
    path = Path(path).absolute()
    try:
        with open_npz(path) as file:
            content = {key: file[key] for key in file.files if not key.startswith("signal_")}
        version = int(content.get("format", [1])[0])
        templates = list(_unpacked(content, str(path))) if version <= FORMAT else []
    except _DAMAGED as error:
        raise SynBTError(
            f"{path} was to be a tumor bank, but cannot be read ({error}). Copy it again, or "
            f"build one with `synbt bank build DATASET`."
        ) from error
    if version > FORMAT:
        raise SynBTError(
            f"{path} is a tumor bank of format {version}, this version of synbt-aug "
            f"reads formats up to {FORMAT}. Update it: pip install -U synbt-aug."
        )
    return templates


def signal_of(signal: Tensor | StoredSignal) -> Tensor:
    """The voxels, float16, shape `(2, a, b, c)`, read where they are stored.

    Raises:
        SynBTError: If the file they are in has changed.
    """
    return signal.read() if isinstance(signal, StoredSignal) else signal


def stored_offset(template: Template) -> np.ndarray:
    """As the file holds it: float32, shape `(3,)`."""
    return np.array(template.offset_mm, dtype=np.float32)


def stored_numbers(appearance: Appearance) -> np.ndarray:
    """As the file holds them: float32, shape `(4,)`, NaN for what is not known."""
    return np.array([getattr(appearance, name) for name in _NUMBERS], dtype=np.float32)


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _key(name: str) -> str:
    return case_key(name) if name else ""


def _member(index: int) -> str:
    return f"signal_{index:05d}"


def _places(template: Template) -> np.ndarray:
    """As the file holds them: of one shape, all NaN where they are not known."""
    if template.places is None:
        return np.full((1 + ELSEWHERE, len(STATISTICS)), np.nan, np.float16)
    return template.places.numpy()


def _courses(templates: Sequence[Template]) -> np.ndarray:
    """One row a template, float32, NaN beyond its last phase."""
    rows = np.full((len(templates), max(len(t.course) for t in templates)), np.nan, np.float32)
    for row, template in zip(rows, templates, strict=True):
        row[: len(template.course)] = template.course
    return rows


def _category(appearance: Appearance) -> int:
    return -1 if appearance.category is None else CATEGORIES.index(appearance.category)


def _unpacked(content: Mapping[str, Any], path: str) -> Iterable[Template]:
    bits, sources = content["bits"], content["sources"]
    count = len(sources)
    groups = content.get("groups", [""] * count)
    offsets = content.get("offsets", np.zeros((count, 3), np.float32))
    signals = content.get("signals", [""] * count)
    places = content.get("places", [None] * count)
    levels = content.get("surroundings", np.full((count, 2), np.nan, np.float32))
    courses = content.get("courses", np.zeros((count, 0), np.float32))
    start = 0
    for index, (shape, values, category, source, group, offset, signal, place, level) in enumerate(
        zip(
            content["shapes"].astype(int),
            content["numbers"],
            content["categories"],
            sources,
            groups,
            offsets,
            signals,
            places,
            levels,
            strict=True,
        )
    ):
        size = int(np.prod(shape))
        end = start + (size + 7) // 8
        mask = np.unpackbits(bits[start:end], count=size).reshape(shape).astype(bool)
        start = end
        known = {n: float(v) for n, v in zip(_NUMBERS, values, strict=True) if v == v}
        d, h, w = (float(mm) for mm in offset)
        pre, post = (float(part) for part in level)
        yield Template(
            torch.from_numpy(mask),
            Appearance(**known, category=None if category < 0 else CATEGORIES[int(category)]),
            str(source),
            str(group),
            (d, h, w),
            StoredSignal(path, _member(index), str(signal)) if signal else None,
            None if place is None or np.isnan(place).all() else torch.from_numpy(place),
            None if np.isnan(level).any() else (pre, post),
            tuple(float(v) for v in courses[index] if v == v),
        )
