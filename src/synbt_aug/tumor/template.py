"""One tumor as the bank keeps it, and how it is cut from a case.

Shape and appearance are kept together, since they belong together: rims are large, non-mass
lesions ragged. The lesions of one case stay a group, with where they lay to each other. The
voxels of the image are kept only when asked for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.appearance import Appearance, measure_with_surroundings

#: A template smaller than this is a fragment: 6 mm across.
SMALLEST_VOXELS = 113

#: Tissue that is kept around a template's box with its signal, in voxels of 1 mm.
SIGNAL_MARGIN_MM = 6

#: Parts of a lesion smaller than this share of its largest part are dropped.
_SMALL_PART = 0.1

#: A mask that keeps less than this share of its voxels when all that is thinner than 2 voxels is
#: taken away is label noise. A sheet or a strand of one voxel keeps none; of 960 phantom tumors one
#: fails, the shreds of a non-mass lesion, and the next keeps .57.
_THICK_SHARE = 0.5

# Tissue around a tumor that its appearance is measured against, in voxels.
_AROUND = 10

_HALF_MAX = 60000.0  # float16 ends at 65504

#: Gives a template's `places` by its mask and the middle of the mask's box, in voxels of 1 mm of
#: the case as it was passed.
Locates = Callable[[Tensor, np.ndarray], Tensor | None]

#: Gives a template's `course` by the same.
Follows = Callable[[Tensor, np.ndarray], tuple[float, ...]]


@dataclass(frozen=True)
class StoredSignal:
    """A template's signal in its bank's file, read when it is needed.

    Args:
        path: The bank's file.
        member: Its name there.
        digest: SHA-256 of its content.
    """

    path: str
    member: str
    digest: str

    def read(self) -> Tensor:
        """The signal, float16, shape `(2, a + 12, b + 12, c + 12)`.

        Raises:
            SynBTError: If the file is gone or no longer the one that was loaded.
        """
        return _read_signal(self)


# 64 of the median tumor's take 28 MB.
@lru_cache(maxsize=64)
def _read_signal(stored: StoredSignal) -> Tensor:
    try:
        with np.load(stored.path, allow_pickle=False) as file:
            signal = torch.from_numpy(file[stored.member])
    except Exception as error:  # whatever a file that was replaced may raise
        raise SynBTError(
            f"A tumor's voxels need {stored.path}, which can no longer be read ({error}). Put "
            f"the bank back, or build it again with `synbt bank build DATASET`."
        ) from error
    if signal_digest(signal) != stored.digest:
        raise SynBTError(
            f"A tumor's voxels need {stored.path} as it was when the bank was loaded, but it has "
            f"been written anew since. Load the bank again."
        )
    return signal


class Template(NamedTuple):
    """One tumor of the bank.

    Args:
        mask: Boolean, shape `(a, b, c)` at 1 mm, cropped to the tumor.
        appearance: As measured where it came from.
        source: Which case it came from.
        group: What lesions of one case share; "" for a lesion alone.
        offset_mm: The middle of the mask's box from that of the group's largest lesion, in mm.
        signal: The case's signal by `intensity.to_linear` in the mask's box and
            `SIGNAL_MARGIN_MM` around, float16, shape `(2, a + 12, b + 12, c + 12)`, or where it
            is stored; None in a bank of masks alone. `template_signal` reads either.
        places: How its own place lay in the breast, and in the rows below how places lie where it
            would have fitted as well, float16, shape `(1 + n, 4)` in the order of
            `places.STATISTICS`, NaN for what is not known; None where tissues were not known.
        surroundings: What the appearance was measured against: level of the shell, pre and post,
            above `low` over the case's reference range; None in a bank of format 1.
        course: Its enhancement in all post-contrast scans over that in the first (`curve.py`);
            empty where its case has one.
    """

    mask: Tensor
    appearance: Appearance
    source: str
    group: str = ""
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    signal: Tensor | StoredSignal | None = None
    places: Tensor | None = None
    surroundings: tuple[float, float] | None = None
    course: tuple[float, ...] = ()

    @property
    def diameter_mm(self) -> float:
        """Equivalent-sphere diameter, in mm."""
        return equivalent_diameter_mm(int(self.mask.sum()))

    @property
    def signal_digest(self) -> str:
        """SHA-256 of the signal; "" without one. Nothing is read for it."""
        if self.signal is None:
            return ""
        return (
            self.signal.digest
            if isinstance(self.signal, StoredSignal)
            else signal_digest(self.signal)
        )


def signal_digest(signal: Tensor) -> str:
    """SHA-256 of a signal's shape and voxels."""
    content = np.ascontiguousarray(signal.numpy())
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()


def is_label_noise(mask: Tensor) -> bool:
    """Whether a mask is evidently no tumor: less than half of it is 2 voxels thick everywhere.

    Args:
        mask: Boolean, shape `(D, H, W)` at 1 mm, not empty.
    """
    # A cube of 2 is the smallest thing that is 2 voxels thick along each axis.
    thick = ndimage.binary_opening(np.pad(mask.numpy(), 2), np.ones((2, 2, 2)))
    return bool(thick.sum() < _THICK_SHARE * int(mask.sum()))


def refusals(tumor: Tensor) -> Counter[str]:
    """Why lesions of a case gave no template: reason -> how many.

    Args:
        tumor: As for `cut_case`.
    """
    found = Counter[str]()
    for number, box in enumerate(ndimage.find_objects(tumor.numpy()), 1):
        if box is None:
            continue
        mask = tumor[box] == number
        if int(mask.sum()) < SMALLEST_VOXELS:
            found["smaller"] += 1
        elif _body(mask) is None:
            found["too scattered (less than half of its voxels lie where it is 2 mm thick)"] += 1
    return found


def _body(mask: Tensor) -> np.ndarray | None:
    """A lesion without its stray parts; None for a fragment and for label noise."""
    parts, count = ndimage.label(mask.numpy())
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    kept: np.ndarray = np.isin(parts, np.flatnonzero(sizes >= _SMALL_PART * sizes.max()) + 1)
    if kept.sum() < SMALLEST_VOXELS:
        return None
    box = ndimage.find_objects(kept.astype(np.int8))[0]
    return None if is_label_noise(torch.from_numpy(kept[box])) else kept


def cut_template(
    mask: Tensor,
    linear: Tensor,
    around: Tensor | None = None,
    source: str = "",
    *,
    voxels: bool = False,
    valid: Tensor | None = None,
) -> Template | None:
    """Make a template of one tumor.

    Args:
        mask: One lesion in its case at 1 mm, boolean, shape `(D, H, W)`.
        linear: The case's signal by `intensity.to_linear`, shape `(2, D, H, W)`.
        around: Tissue that counts as surroundings, as for `measure_appearance`.
        source: The case's name.
        voxels: Keep the signal.
        valid: Voxels with signal, boolean, shape `(D, H, W)`; elsewhere, and where the case
            ends, the signal of the nearest one is kept. None: all.

    Returns:
        The template without its stray parts; None for a fragment (under 6 mm) and for label
        noise (`is_label_noise`).
    """
    found = _cut(mask, linear, around, source, voxels, valid)
    return None if found is None else found[0]


def cut_case(
    tumor: Tensor,
    linear: Tensor,
    around: Tensor | None = None,
    source: str = "",
    *,
    voxels: bool = False,
    valid: Tensor | None = None,
    locate: Locates | None = None,
    follow: Follows | None = None,
) -> tuple[Template, ...]:
    """Make templates of all tumors of a case; two and more become a group.

    Args:
        tumor: Lesion numbers from 1, 0 where there is none, uint8, shape `(D, H, W)` at 1 mm.
        linear: As for `cut_template`, like the rest.
        around: Tissue that counts as surroundings.
        source: The case's name; the group is named by its key.
        voxels: Keep the signal.
        valid: Voxels with signal.
        locate: Tells how a tumor lies in its breast; None: not known.
        follow: Measures a tumor's course over further phases; None: there are none.

    Returns:
        The largest first, without fragments and label noise.
    """
    cut: list[tuple[Template, np.ndarray]] = []
    for number, box in enumerate(ndimage.find_objects(tumor.numpy()), 1):
        if box is None:
            continue
        reach = _AROUND + SIGNAL_MARGIN_MM
        wide = _widened(box, reach, tumor.shape)
        found = _cut(
            tumor[wide] == number,
            linear[(slice(None), *wide)],
            None if around is None else around[wide],
            source,
            voxels,
            None if valid is None else valid[wide],
        )
        if found is not None:
            template, middle = found
            middle = middle + [s.start for s in wide]
            if locate is not None:
                template = template._replace(places=locate(template.mask, middle))
            if follow is not None:
                template = template._replace(course=follow(template.mask, middle))
            cut.append((template, middle))
    cut.sort(key=lambda one: -int(one[0].mask.sum()))
    if len(cut) < 2:
        return tuple(template for template, _ in cut)
    origin = cut[0][1]
    return tuple(
        template._replace(
            group=case_key(source or "case"), offset_mm=tuple((middle - origin).tolist())
        )
        for template, middle in cut
    )


def _cut(
    mask: Tensor,
    linear: Tensor,
    around: Tensor | None,
    source: str,
    voxels: bool,
    valid: Tensor | None,
) -> tuple[Template, np.ndarray] | None:
    """A template and the middle of its box, in voxels."""
    kept = _body(mask)
    if kept is None:
        return None
    box = ndimage.find_objects(kept.astype(np.int8))[0]
    shape = torch.from_numpy(kept[box].copy())
    wide = _widened(box, _AROUND, mask.shape)
    appearance, surroundings = measure_with_surroundings(
        linear[(slice(None), *wide)],
        torch.from_numpy(kept[wide]),
        around=None if around is None else around[wide],
    )
    signal = _signal_of(linear, box, valid) if voxels else None
    middle = np.array([(s.start + s.stop - 1) / 2 for s in box])
    template = Template(shape, appearance, source, signal=signal, surroundings=surroundings)
    return template, middle


def _widened(box: tuple[slice, ...], margin: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(s.start - margin, 0), min(s.stop + margin, n))
        for s, n in zip(box, shape, strict=True)
    )


def _signal_of(linear: Tensor, box: tuple[slice, ...], valid: Tensor | None) -> Tensor:
    """The signal in a box with its margin; float16."""
    d, h, w = (
        torch.arange(s.start - SIGNAL_MARGIN_MM, s.stop + SIGNAL_MARGIN_MM).clamp(0, n - 1)
        for s, n in zip(box, linear.shape[1:], strict=True)
    )
    grid = torch.meshgrid(d, h, w, indexing="ij")
    signal = linear[:, grid[0], grid[1], grid[2]]
    known = None if valid is None else valid[grid]
    if known is not None and bool(known.any()) and not bool(known.all()):
        nearest = ndimage.distance_transform_edt(
            ~known.numpy(), return_distances=False, return_indices=True
        )
        d, h, w = torch.from_numpy(nearest).long()
        signal = signal[:, d, h, w]
    return signal.clamp(-_HALF_MAX, _HALF_MAX).to(torch.float16)
