"""A bank of tumor templates: real shapes at 1 mm, each with what it looked like.

Shape and appearance are kept together, since they belong together: rims are large, non-mass
lesions ragged. The file holds packed bits and numbers, no voxels of any image.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.files import written_whole
from synbt_aug.mask import equivalent_diameter_mm, signed_distance_mm
from synbt_aug.tumor.appearance import CATEGORIES, Appearance, measure_appearance

#: A template smaller than this is a fragment: 6 mm across.
SMALLEST_VOXELS = 113

#: Parts of a lesion smaller than this share of its largest part are dropped.
_SMALL_PART = 0.1

# What NumPy and zipfile raise on files that are damaged, or no archives.
_DAMAGED = (
    KeyError,
    ValueError,
    OSError,
    EOFError,
    IndexError,
    RuntimeError,  # NotImplementedError among them: an unknown compression
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)

_NUMBERS = ("enhancement", "heterogeneity", "rim", "pre_contrast")


class Template(NamedTuple):
    """One tumor of the bank.

    Args:
        mask: Boolean, shape `(a, b, c)` at 1 mm, cropped to the tumor.
        appearance: As measured where it came from.
        source: Which case it came from.
    """

    mask: Tensor
    appearance: Appearance
    source: str

    @property
    def diameter_mm(self) -> float:
        """Equivalent-sphere diameter, in mm."""
        return equivalent_diameter_mm(int(self.mask.sum()))


@dataclass(frozen=True)
class TumorBank:
    """Templates to draw from.

    Args:
        templates: At least one.
        digest: SHA-256 of the content, which recipes name; computed when left out.

    Raises:
        SynBTError: If it is empty.
    """

    templates: tuple[Template, ...]
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.templates:
            raise SynBTError(
                "A tumor bank needs at least one template, got none. Build one with "
                "`synbt bank build DATASET`, or leave `bank` out for the shipped one."
            )
        if not self.digest:
            object.__setattr__(self, "digest", _digest(self.templates))

    def __len__(self) -> int:
        return len(self.templates)

    def of_category(self, category: str) -> list[int]:
        """Indices of the templates of one category."""
        return [k for k, t in enumerate(self.templates) if t.appearance.category == category]

    def save(self, path: str | Path) -> Path:
        """Write one compressed `.npz`, without pickles; the file appears whole or not at all."""
        path = Path(path)
        masks = [t.mask.numpy() for t in self.templates]
        with written_whole(path) as unfinished:
            np.savez_compressed(
                unfinished,
                bits=np.concatenate([np.packbits(m) for m in masks]),
                shapes=np.array([m.shape for m in masks], dtype=np.int16),
                numbers=np.stack([_numbers(t.appearance) for t in self.templates]),
                categories=np.array(
                    [_category(t.appearance) for t in self.templates], dtype=np.int8
                ),
                sources=np.array([t.source for t in self.templates]),
            )
        return path


def _numbers(appearance: Appearance) -> np.ndarray:
    """As the file holds them: float32, NaN for what is not known."""
    return np.array([getattr(appearance, name) for name in _NUMBERS], dtype=np.float32)


def _category(appearance: Appearance) -> int:
    return -1 if appearance.category is None else CATEGORIES.index(appearance.category)


def _digest(templates: Sequence[Template]) -> str:
    # Over what the file holds, so that a bank and its copy on disk have the same name.
    digest = hashlib.sha256()
    for template in templates:
        digest.update(repr(tuple(template.mask.shape)).encode())
        digest.update(np.packbits(template.mask.numpy()).tobytes())
        digest.update(_numbers(template.appearance).tobytes())
        digest.update(repr(template.appearance.category).encode())
    return digest.hexdigest()


def load_bank(path: str | Path) -> TumorBank:
    """Read what `TumorBank.save` wrote.

    Raises:
        SynBTError: If the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise SynBTError(
            f"A tumor bank needs a .npz file, {path} is not there. Build one with "
            f"`synbt bank build DATASET -o {path.name}`."
        )
    return _load_bank(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load_bank(path: str, _modified: int) -> TumorBank:
    try:
        # Opened here: np.load leaves files open that turn out to be no archives.
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
        bits, shapes = content["bits"], content["shapes"].astype(int)
        numbers, categories = content["numbers"], content["categories"]
        sources = [str(s) for s in content["sources"]]
        templates = []
        start = 0
        for shape, values, category, source in zip(
            shapes, numbers, categories, sources, strict=True
        ):
            size = int(np.prod(shape))
            end = start + (size + 7) // 8
            mask = np.unpackbits(bits[start:end], count=size).reshape(shape).astype(bool)
            start = end
            known = {n: float(v) for n, v in zip(_NUMBERS, values, strict=True) if v == v}
            name = None if category < 0 else CATEGORIES[int(category)]
            appearance = Appearance(**known, category=name)
            templates.append(Template(torch.from_numpy(mask), appearance, source))
    except _DAMAGED as error:
        raise SynBTError(
            f"{path} was to be a tumor bank, but cannot be read ({error}). Copy it again, or "
            f"build one with `synbt bank build DATASET`."
        ) from error
    return TumorBank(tuple(templates))


@lru_cache(maxsize=256)
def _cached_distance(digest: str, index: int, bits: bytes, shape: tuple[int, ...]) -> Tensor:
    del digest, index
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=int(np.prod(shape)))
    padded = torch.from_numpy(np.pad(mask.reshape(shape).astype(bool), 2))
    return signed_distance_mm(padded, limit_mm=16.0)


def template_distance(bank: TumorBank, index: int) -> Tensor:
    """A template's signed distance with 2 mm around it, shape `(a + 4, b + 4, c + 4)`, in mm."""
    mask = bank.templates[index].mask
    return _cached_distance(
        bank.digest, index, np.packbits(mask.numpy()).tobytes(), tuple(mask.shape)
    )


def cut_template(
    mask: Tensor, linear: Tensor, around: Tensor | None = None, source: str = ""
) -> Template | None:
    """Make a template of one tumor.

    Args:
        mask: One lesion in its case at 1 mm, boolean, shape `(D, H, W)`.
        linear: The case's signal by `intensity.to_linear`, shape `(2, D, H, W)`.
        around: Tissue that counts as surroundings, as for `measure_appearance`.
        source: The case's name.

    Returns:
        The template without its stray parts; None for a fragment (under 6 mm).
    """
    parts, count = ndimage.label(mask.numpy())
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    keep = np.flatnonzero(sizes >= _SMALL_PART * sizes.max()) + 1
    kept = np.isin(parts, keep)
    if kept.sum() < SMALLEST_VOXELS:
        return None
    box = ndimage.find_objects(kept.astype(np.int8))[0]
    wide = tuple(
        slice(max(s.start - 10, 0), min(s.stop + 10, n))
        for s, n in zip(box, kept.shape, strict=True)
    )
    appearance = measure_appearance(
        linear[(slice(None), *wide)],
        torch.from_numpy(kept[wide]),
        around=None if around is None else around[wide],
    )
    return Template(torch.from_numpy(kept[box].copy()), appearance, source)


def build_bank(templates: Iterable[Template | None]) -> TumorBank:
    """A bank of all templates that are not fragments."""
    return TumorBank(tuple(t for t in templates if t is not None))
