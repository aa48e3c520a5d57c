"""A bank of tumor templates: real shapes at 1 mm, each with what it looked like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.tumor.bank_file import (
    read_templates,
    signal_of,
    stored_numbers,
    stored_offset,
    write_templates,
)
from synbt_aug.tumor.looks import Looks
from synbt_aug.tumor.place_density import PlaceDensity, fit_places
from synbt_aug.tumor.template import Template as Template


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

    def is_non_mass(self, index: int) -> bool:
        """Whether a template is a non-mass lesion."""
        return self.templates[index].appearance.category == "non-mass"

    def with_core(self, category: str | None = None) -> list[int]:
        """Indices of templates that were measured with a core, of a category or of all."""
        return [
            k
            for k, t in enumerate(self.templates)
            # 1 is what a tumor without a core has.
            if t.appearance.rim not in (None, 1.0) and category in (None, t.appearance.category)
        ]

    @cached_property
    def diameters_mm(self) -> tuple[float, ...]:
        """Equivalent-sphere diameter of each template, in mm."""
        return tuple(t.diameter_mm for t in self.templates)

    @cached_property
    def further(self) -> frozenset[int]:
        """Indices of lesions beside a larger one of the same case."""
        return frozenset(k for members in self.groups.values() for k in members[1:])

    @cached_property
    def place_density(self) -> PlaceDensity:
        """How its tumors lay, towards the default where few are known."""
        known = [t.places.numpy() for t in self.templates if t.places is not None]
        return fit_places(known)

    @cached_property
    def looks(self) -> Looks:
        """What its tumors look like, to draw from."""
        return Looks([t.appearance for t in self.templates])

    @property
    def has_signal(self) -> bool:
        """Whether every template comes with the voxels of its image."""
        return all(t.signal is not None for t in self.templates)

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """Lesions of one case by the group's name: indices of the templates, largest first."""
        found: dict[str, list[int]] = {}
        for index, template in enumerate(self.templates):
            if template.group:
                found.setdefault(template.group, []).append(index)
        return {
            name: tuple(sorted(members, key=lambda k: -int(self.templates[k].mask.sum())))
            for name, members in found.items()
        }

    def companions(self, index: int) -> tuple[int, ...]:
        """The lesions of a template's case, itself among them, largest first."""
        group = self.templates[index].group
        return self.groups[group] if group else (index,)

    def save(self, path: str | Path) -> Path:
        """Write one compressed `.npz`, without pickles; the file appears whole or not at all.

        Cases are named by their keys (`case_ids`).
        """
        path = Path(path)
        write_templates(path, self.templates)
        return path


def _digest(templates: Sequence[Template]) -> str:
    # Over what the file holds, so that a bank and its copy on disk have the same name; but for
    # what no recipe needs, which holds the place, the enhancement and the curve that were drawn.
    digest = hashlib.sha256()
    for template in templates:
        digest.update(repr(tuple(template.mask.shape)).encode())
        digest.update(np.packbits(template.mask.numpy()).tobytes())
        digest.update(stored_numbers(template.appearance).tobytes())
        digest.update(repr(template.appearance.category).encode())
        # What older banks lack adds nothing: recipes name them by their digests.
        if template.group:
            digest.update(repr(template.group).encode() + stored_offset(template).tobytes())
        digest.update(template.signal_digest.encode())
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
    # Absolute: a name means another file in another working folder.
    return _load_bank(str(path.absolute()), path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load_bank(path: str, _modified: int) -> TumorBank:
    return TumorBank(tuple(read_templates(path)))


@lru_cache(maxsize=256)
def _cached_distance(digest: str, index: int, bits: bytes, shape: tuple[int, ...]) -> Tensor:
    del digest, index
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=int(np.prod(shape)))
    padded = np.pad(mask.reshape(shape).astype(bool), 2)
    return signed_distance_mm(torch.from_numpy(ndimage.binary_fill_holes(padded)))


def template_distance(bank: TumorBank, index: int) -> Tensor:
    """A template's signed distance with 2 mm around it, in mm, cut off at 8 mm.

    Cavities are filled: what does not enhance inside is texture, and in a label it is a pinhole.

    Returns:
        Shape `(a + 4, b + 4, c + 4)`.
    """
    mask = bank.templates[index].mask
    return _cached_distance(
        bank.digest, index, np.packbits(mask.numpy()).tobytes(), tuple(mask.shape)
    )


def template_signal(bank: TumorBank, index: int) -> Tensor:
    """A template's signal with `SIGNAL_MARGIN_MM` around it, float16, read where it is stored.

    Raises:
        SynBTError: If the bank was built without voxels, or its file has changed.
    """
    signal = bank.templates[index].signal
    if signal is None:
        raise SynBTError(
            "A copied tumor needs a bank with the voxels of its images, this one holds masks "
            "alone. Build one with `synbt bank build DATASET` (without --masks-only), or choose "
            "another texture."
        )
    return signal_of(signal)


def build_bank(templates: Iterable[Template | None]) -> TumorBank:
    """A bank of all templates that are not fragments."""
    return TumorBank(tuple(t for t in templates if t is not None))


def join_banks(banks: Iterable[TumorBank]) -> TumorBank:
    """One bank of several; what several hold is kept once.

    The lesions of a case stay together: two cases are the same when all their lesions are, in
    shape, appearance and place. Of two that differ in the voxels alone the one with voxels is
    kept, where the first was. Groups of one name that are not the same case get other names.

    Raises:
        SynBTError: If there is no template in them.
    """
    cases: dict[bytes, tuple[Template, ...]] = {}
    for bank in banks:
        alone = [(k,) for k, t in enumerate(bank.templates) if not t.group]
        for members in sorted([*alone, *bank.groups.values()], key=min):
            case = tuple(bank.templates[k] for k in members)
            key = b"".join(sorted(_content(t) for t in case))
            before = cases.get(key)
            if before is None or (_with_voxels(case) and not _with_voxels(before)):
                cases[key] = case
    taken: set[str] = set()
    joined: list[Template] = []
    for case in cases.values():
        name = case[0].group
        if name:
            name = _free_name(name, taken)
            taken.add(name)
        joined += (template._replace(group=name) for template in case)
    return TumorBank(tuple(joined))


def _content(template: Template) -> bytes:
    mask = template.mask.numpy()
    numbers = stored_numbers(template.appearance).tobytes() + stored_offset(template).tobytes()
    described = repr((mask.shape, template.appearance.category)).encode()
    return hashlib.sha256(described + np.packbits(mask).tobytes() + numbers).digest()


def _with_voxels(case: Sequence[Template]) -> bool:
    return all(template.signal is not None for template in case)


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free
