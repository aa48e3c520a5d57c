"""80 mm of one slice around a tumor, at 1 mm: what sets of slices are compared by.

A label decides where to look and no more. The lesion is found again in the signal, on both sides
alike: cohorts differ in who drew the outlines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synbt_aug.errors import SynBTError

#: Side of a slice, in mm and pixels.
SIDE = 80

#: Room left around the label when the lesion is looked for, in mm.
_BOX_MARGIN = 4

#: Smaller labels, in mm3, are looked at nowhere.
SMALLEST_MM3 = 200

#: Signal of any scale, and the two channels in order.
Floats = NDArray[np.floating]
PRE, POST = 0, 1

#: First row, end of rows, first column, end of columns, in mm.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class TumorSlice:
    """One slice of one patient.

    Args:
        name: The patient's, or the case's.
        image: Pre and post at 1 mm, on one scale with its zero at no signal, shape `(2, H, W)`.
        box: Where the lesion is looked for.

    Raises:
        SynBTError: If the image is not two channels of finite numbers, or the box lies outside.
    """

    name: str
    image: Floats
    box: Box

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or len(self.image) != 2 or not np.isfinite(self.image).all():
            raise SynBTError(
                f"A slice needs finite pre- and post-contrast signal of shape (2, H, W), but "
                f"{self.name} has {self.image.shape}, {self.image.dtype}."
            )
        top, bottom, left, right = self.box
        _, height, width = self.image.shape
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise SynBTError(
                f"The box of {self.name} must lie in its {height} x {width} mm, got rows "
                f"{top:g} to {bottom:g} and columns {left:g} to {right:g}."
            )


def slice_through(
    name: str, image: Floats, label: NDArray[np.bool_], axis: int | None = None
) -> TumorSlice | None:
    """The slice, 2 mm thick, with most of a label.

    Args:
        name: The case's.
        image: Pre and post at 1 mm, shape `(2, D, H, W)`.
        label: The tumor, boolean, shape `(D, H, W)`.
        axis: Across which the slice lies; None draws one, from the label's size alone, so that
            the same case always gives the same slice.

    Returns:
        None where the label is smaller than `SMALLEST_MM3`. The slice stays inside the volume; of
        a volume narrower than 80 mm, what lies outside is 0.
    """
    if int(label.sum()) < SMALLEST_MM3:
        return None
    if axis is None:
        axis = int(np.random.default_rng(int(label.sum())).integers(3))
    area = label.sum(axis=tuple(k for k in range(3) if k != axis))[:-1]
    first = int(np.argmax(area))

    def thick(volume: NDArray) -> Floats:
        return np.take(volume, [first, first + 1], axis).mean(axis)

    shown = thick(label.astype(np.float32))
    row, column = (round(c) for c in ndimage.center_of_mass(shown))

    start = [_first(middle, n) for middle, n in zip((row, column), shown.shape, strict=True)]

    def cropped(slice_: Floats) -> Floats:
        padded = np.pad(slice_, SIDE)[SIDE + start[0] :, SIDE + start[1] :]
        return padded[:SIDE, :SIDE]

    rows, columns = np.nonzero(cropped(shown) > 0)
    box = (
        max(rows.min() - _BOX_MARGIN, 0),
        min(rows.max() + 1 + _BOX_MARGIN, SIDE),
        max(columns.min() - _BOX_MARGIN, 0),
        min(columns.max() + 1 + _BOX_MARGIN, SIDE),
    )
    pair = np.stack([cropped(thick(channel)) for channel in image])
    return TumorSlice(name, pair.astype(np.float32), box)


def _first(middle: int, length: int) -> int:
    """First of the pixels around a place: inside the volume where it is wide enough."""
    if length <= SIDE:
        return (length - SIDE) // 2
    return int(np.clip(middle - SIDE // 2, 0, length - SIDE))
