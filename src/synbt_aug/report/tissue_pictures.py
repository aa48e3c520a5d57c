"""Tissues and sites as pictures: the scan, its tissues in colour, and where a tumor may go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from synbt_aug.report.drawing import (
    LINE,
    PAPER,
    Color,
    ReadersAxes,
    draw_scale_bar,
    headline,
    legend,
    stacked,
    write,
)
from synbt_aug.tissue import TISSUE_NAMES, TissueLabel
from synbt_aug.volume import Spacing

#: Colours of the tissues; what is behind the breast stays grey.
TISSUE_COLOURS: dict[TissueLabel, Color] = {
    TissueLabel.FAT: (230, 200, 90),
    TissueLabel.GLAND: (220, 60, 90),
    TissueLabel.SKIN: (90, 170, 230),
    TissueLabel.BEHIND: (120, 120, 120),
}

#: Of a likely site.
SITE_COLOUR: Color = (60, 230, 130)

_COLUMNS = ("scan", "tissues", "where a tumor may start")
_PLANES = ("axial", "coronal", "sagittal")
_PIXELS, _MARGIN, _GAP, _BAR_MM = 288, 74, 4, 50


def tissue_sheet(
    pre: Tensor,
    labels: Tensor,
    weight: Tensor,
    spacing: Spacing,
    affine: np.ndarray | None = None,
    *,
    title: str = "",
) -> Image.Image:
    """Three planes, each as scan, tissues, and sites, with a legend.

    The planes go through the middle of the fibroglandular tissue, or of the volume where there is
    none.

    Args:
        pre: The pre-contrast scan, shape `(D, H, W)`.
        labels: Values of `TissueLabel`, same shape.
        weight: How likely a tumor starts here, in [0, 1], same shape.
        spacing: Voxel size along D, H and W, in mm.
        affine: Voxel (x, y, z) to scanner coordinates; None takes x to the left, y to the back
            and z to the head.
        title: Over the picture.
    """
    turn = ReadersAxes(spacing, affine)
    scan, tissue, sites = (turn(v.detach().cpu().numpy()) for v in (pre, labels, weight))
    step = max(1, round((scan.size / 100_000) ** (1 / 3)))
    low, high = np.percentile(scan[::step, ::step, ::step], (0.5, 99.5))
    gland = tissue == TissueLabel.GLAND
    rows = []
    for axis, plane in enumerate(_PLANES):
        others = tuple(k for k in range(3) if k != axis)
        area = gland.sum(axis=others)
        at = int(area.argmax()) if gland.any() else scan.shape[axis] // 2
        flat, kinds, likely = (_slice(v, axis, at) for v in (scan, tissue, sites))
        share = np.clip((flat.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
        grey = np.repeat(share[..., None], 3, axis=-1) * 255
        mm = (turn.spacing[others[0]], turn.spacing[others[1]])
        pictures = [_sized(p, mm) for p in (grey, _tinted(grey, kinds), _lit(grey, likely))]
        tall, wide = (n * size for n, size in zip(grey.shape, mm, strict=False))
        for picture in pictures:
            draw_scale_bar(picture, _PIXELS / max(tall, wide), _BAR_MM)
        rows.append(_row(plane, pictures))
    heads = Image.new("RGB", (max(row.width for row in rows), LINE), PAPER)
    draw = ImageDraw.Draw(heads)
    for column, name in enumerate(_COLUMNS):
        write(draw, (_MARGIN + column * (_PIXELS + _GAP) + 2, 0), name)
    meanings = [(colour, TISSUE_NAMES[label]) for label, colour in TISSUE_COLOURS.items()]
    below = legend(
        [*meanings, (SITE_COLOUR, "likely start of a tumor")], f"Bars: {_BAR_MM} mm.", heads.width
    )
    above = [headline(title, heads.width)] if title else []
    return stacked([*above, heads, *rows, below])


def _slice(volume: NDArray, axis: int, index: int) -> NDArray:
    """One plane; rows run downwards, so axes that rise to the head are turned over."""
    plane = np.take(volume, index, axis)
    return plane[::-1] if axis else plane


def _tinted(grey: NDArray[np.float64], kinds: NDArray) -> NDArray[np.float64]:
    tinted = grey.copy()
    for value, colour in TISSUE_COLOURS.items():
        tinted[kinds == value] = 0.45 * tinted[kinds == value] + 0.55 * np.array(colour)
    return tinted


def _lit(grey: NDArray[np.float64], likely: NDArray) -> NDArray[np.float64]:
    share = 0.7 * np.clip(likely.astype(np.float64), 0, 1)[..., None]
    return (1 - share) * grey + share * np.array(SITE_COLOUR)


def _sized(picture: NDArray[np.float64], mm: tuple[float, float]) -> Image.Image:
    """At one scale in mm, the longer side of one length."""
    tall, wide = picture.shape[0] * mm[0], picture.shape[1] * mm[1]
    scale = _PIXELS / max(tall, wide)
    image = Image.fromarray(np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8)))
    return image.resize((max(round(wide * scale), 1), max(round(tall * scale), 1)))


def _row(plane: str, pictures: list[Image.Image]) -> Image.Image:
    width = _MARGIN + len(pictures) * (_PIXELS + _GAP)
    row = Image.new("RGB", (width, pictures[0].height + _GAP), PAPER)
    write(ImageDraw.Draw(row), (6, 2), plane)
    for column, picture in enumerate(pictures):
        row.paste(picture, (_MARGIN + column * (_PIXELS + _GAP), 0))
    return row
