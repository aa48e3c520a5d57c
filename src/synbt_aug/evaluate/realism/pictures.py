"""Slices of windows side by side, for the eye: no figure replaces a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synbt_aug.evaluate.realism.windows import HEALTHY, LESION, Windows
from synbt_aug.report.page import Gallery, Paragraph, Section

#: Mapped signal that is black, and white.
GREY_SPAN = (-1.0, 2.0)

_OUTLINE = (255, 86, 86)
_ENLARGED = 2


def window_picture(windows: Windows, index: int, outlined: bool = True) -> Image.Image:
    """Pre, post and post with the label's outline: the middle slice across each axis, in rows.

    Args:
        windows: Some.
        index: Which.
        outlined: Whether the third column is drawn.
    """
    signal = windows.signal[index].float()
    label = (windows.label[index] == LESION) | (windows.label[index] == HEALTHY)
    middle = signal.shape[-1] // 2
    rows = []
    for axis in range(3):
        pre, post = (to_grey(s) for s in signal.select(axis + 1, middle))
        tiles = [_colored(pre), _colored(post)]
        if outlined:
            tiles.append(_outlined(post, label.select(axis, middle).numpy()))
        rows.append(np.concatenate(tiles, axis=1))
    return enlarged(np.concatenate(rows, axis=0))


def gallery_of(sets: Mapping[str, Windows], most: int = 6) -> Section:
    """A column a set, a row a window.

    Args:
        sets: Name -> windows.
        most: Windows shown of each.
    """
    count = min(most, *(len(w) for w in sets.values()))
    pictures = [
        (
            f"{name}, {_numbered(windows.cases, k)}",
            window_picture(windows, k),
            f"{name}: pre, post and outlined, three planes through the lesion's middle",
        )
        for k in range(count)
        for name, windows in sets.items()
    ]
    side = next(iter(sets.values())).signal.shape[-1]
    words = Paragraph(
        f"Each picture shows, from left to right, the scan before contrast, after it, and again "
        f"with the label's outline: {side} mm in three planes through the lesion's middle, one "
        f"above the other. Where a window reaches beyond the scan, its last slice is repeated."
    )
    return Section("Windows", [words, Gallery(pictures, columns=len(sets))])


def _numbered(cases: Sequence[str], index: int) -> str:
    """A case, and which of its windows this is where there are several."""
    case = cases[index]
    if cases.count(case) == 1:
        return case
    return f"{case}, tumor {cases[: index + 1].count(case)}"


def compared_picture(volumes: Mapping[str, Tensor], index: int, axis: int = 2) -> Image.Image:
    """One slice of several versions of a scan in a row, on one scale.

    Args:
        volumes: Name -> one channel, shape `(D, H, W)`, any units.
        index: Of the slice.
        axis: Across which it lies.
    """
    slices = [volume.select(axis, index).float() for volume in volumes.values()]
    low, high = np.percentile(torch.cat([s.flatten() for s in slices]).numpy(), (0.5, 99.5))
    span = (float(low), float(max(high, low + 1e-6)))
    return enlarged(np.concatenate([_colored(to_grey(s, span)) for s in slices], axis=1))


def to_grey(slice_: Tensor, span: tuple[float, float] = GREY_SPAN) -> NDArray[np.uint8]:
    """A slice `(H, W)` as bytes."""
    low, high = span
    scaled = ((slice_ - low) / (high - low)).clamp(0, 1) * 255
    return scaled.round().to(torch.uint8).numpy()


def enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """Twice as large, without smoothing: grain is to be seen."""
    image = Image.fromarray(pixels)
    size = (_ENLARGED * image.width, _ENLARGED * image.height)
    return image.resize(size, Image.Resampling.NEAREST)


def _colored(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)


def _outlined(grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    whole = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture = _colored(grey)
    picture[inner & ~whole] = _OUTLINE
    return picture
