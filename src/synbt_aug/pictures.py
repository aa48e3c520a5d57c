"""Pictures of a painted tumor: slices in three planes, subtraction, outline.

Pillow alone: `synbt synthesize` always writes a preview, and matplotlib with what it pulls in
weighs ten times as much. Slices lie as radiologists read them (the patient's left at the right,
front or head up) where an affine tells the axes, at one scale in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from nibabel import orientations
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from synbt_aug.volume import Spacing

OUTLINE = (255, 86, 86)
_INK, _PAPER = (226, 230, 236), (15, 17, 21)
# A close-up shows at least this much; larger tumors get their size and 24 mm more.
_CLOSE_UP_MM = 64.0
_CLOSE_UP_PIXELS = 192
_WHOLE_PIXELS = 320
_COLUMNS = tuple(
    f"{what} {time}" for what in ("pre", "post", "subtraction") for time in ("before", "after")
)


@dataclass(frozen=True)
class BeforeAfter:
    """A case before and after, to be shown.

    Args:
        title: Its heading.
        before: Pre and post as they came, shape `(2, D, H, W)`; D, H, W = z, y, x of the affine.
        after: The same with the tumor.
        tumor: The new label, boolean, shape `(D, H, W)`; may be empty (removals, null paints).
        support: Voxels that may differ, boolean, same shape.
        spacing: Voxel size along D, H and W, in mm.
        affine: Voxel (x, y, z) to scanner coordinates; None takes x to the left, y to the back
            and z to the head.
        facts: Rows for the table beside the pictures: name -> value.
        recipe: What paints it again.
        words: What there is to see, in plain sentences.
    """

    title: str
    before: np.ndarray
    after: np.ndarray
    tumor: np.ndarray
    support: np.ndarray
    spacing: Spacing
    affine: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] | None = None
    words: str = ""


@dataclass(frozen=True)
class PlaneView:
    """One plane through the tumor.

    Args:
        plane: "axial", "coronal" or "sagittal".
        whole: The whole slice of post after, with the outline.
        close: Close-ups by name: "pre before", "post after", "subtraction after", ...
        outline: The outline alone on a transparent ground, for close-ups.
    """

    plane: str
    whole: Image.Image
    close: dict[str, Image.Image]
    outline: Image.Image

    def marked(self, name: str) -> Image.Image:
        """A close-up with the outline drawn."""
        picture = self.close[name].convert("RGB")
        picture.paste(self.outline, mask=self.outline)
        return picture


def plane_views(painting: BeforeAfter) -> list[PlaneView]:
    """The three planes through the middle of the tumor, or of what was repainted."""
    shown = _as_read(painting)
    before, after, tumor = shown.before, shown.after, shown.tumor
    focus = tumor if tumor.any() else shown.support
    index, middle = _slices(focus), _middle(focus)
    side_mm = _side_mm(focus, shown.spacing)
    pairs = {
        "pre": (before[0], after[0]),
        "post": (before[1], after[1]),
        "subtraction": (before[1] - before[0], after[1] - after[0]),
    }
    grey = {what: _levels(b, a, focus) for what, (b, a) in pairs.items()}
    # What does not take up contrast is black.
    grey["subtraction"] = (0.0, max(grey["subtraction"][1], 1e-6))
    views = []
    for axis, plane in enumerate(("axial", "coronal", "sagittal")):
        lens = _Lens(axis, index[axis], middle, shown.spacing, side_mm)
        close = {
            f"{what} {time}": lens.close(lens.slice(volume), grey[what])
            for what, pair in pairs.items()
            for time, volume in zip(("before", "after"), pair, strict=True)
        }
        mask = lens.slice(tumor)
        whole = lens.whole(lens.slice(after[1]), grey["post"]).convert("RGB")
        whole.paste(OUTLINE, mask=_edge(lens.whole(mask, (0, 1), Image.Resampling.NEAREST)))
        edge = _edge(lens.close(mask, (0, 1), Image.Resampling.NEAREST))
        outline = Image.new("RGBA", edge.size, (*OUTLINE, 0))
        outline.putalpha(edge)
        views.append(PlaneView(plane, whole, close, outline))
    return views


def preview(painting: BeforeAfter) -> Image.Image:
    """One picture: planes in rows; the whole slice, then pre, post and subtraction."""
    gap, head, margin, tile = 4, 20, 74, _CLOSE_UP_PIXELS
    rows = []
    for view in plane_views(painting):
        wide = round(view.whole.width * tile / view.whole.height)
        cells = [view.whole.resize((wide, tile), Image.Resampling.LANCZOS)]
        cells += [
            view.marked(name) if name == "subtraction after" else view.close[name]
            for name in _COLUMNS
        ]
        rows.append((view.plane, cells))
    first = max(cells[0].width for _, cells in rows)
    lefts = [margin, *(margin + first + gap + i * (tile + gap) for i in range(len(_COLUMNS)))]
    size = (lefts[-1] + tile + gap, 2 * head + len(rows) * (tile + gap))
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    _write(draw, (6, 3), painting.title)
    for left, name in zip(lefts, ("whole slice, post after", *_COLUMNS), strict=True):
        _write(draw, (left, head), name)
    for i, (plane, cells) in enumerate(rows):
        top = 2 * head + i * (tile + gap)
        _write(draw, (6, top + 2), plane)
        for left, cell in zip(lefts, cells, strict=True):
            picture.paste(cell, (left, top))
    return picture


def contact_sheet(paintings: Sequence[BeforeAfter], columns: int = 3) -> Image.Image:
    """Axial close-ups of many tumors: post before, post after, subtraction after with outline."""
    gap, head, tile = 8, 18, _CLOSE_UP_PIXELS * 2 // 3
    columns = min(columns, len(paintings))
    rows = -(-len(paintings) // columns)
    step = 3 * tile + gap, head + tile + gap
    sheet = Image.new("RGB", (columns * step[0] - gap, rows * step[1] - gap), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, painting in enumerate(paintings):
        left, top = (i % columns) * step[0], (i // columns) * step[1]
        view = plane_views(painting)[0]
        _write(draw, (left + 2, top), painting.title)
        cells = (
            view.close["post before"],
            view.close["post after"],
            view.marked("subtraction after"),
        )
        for j, cell in enumerate(cells):
            small = cell.resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(small, (left + j * tile, top + head))
    return sheet


@dataclass(frozen=True)
class _Lens:
    """One plane through the centre: the whole slice, and a square around the tumor."""

    axis: int
    index: int
    middle: tuple[float, float, float]
    spacing: Spacing
    side_mm: float

    @property
    def _axes(self) -> tuple[int, int]:
        rows, columns = (axis for axis in range(3) if axis != self.axis)
        return rows, columns

    def slice(self, volume: np.ndarray) -> np.ndarray:
        """Rows run downwards, so axes that rise to the head are turned over."""
        plane = np.take(volume, self.index, axis=self.axis)
        return plane[::-1] if self.axis != 0 else plane

    def whole(
        self,
        plane: np.ndarray,
        levels: tuple[float, float],
        method: Image.Resampling = Image.Resampling.BICUBIC,
    ) -> Image.Image:
        tall, wide = (
            n * self.spacing[axis] for n, axis in zip(plane.shape, self._axes, strict=True)
        )
        scale = _WHOLE_PIXELS / max(tall, wide)
        size = max(1, round(wide * scale)), max(1, round(tall * scale))
        return Image.fromarray(_grey(plane, levels)).resize(size, method)

    def close(
        self,
        plane: np.ndarray,
        levels: tuple[float, float],
        method: Image.Resampling = Image.Resampling.BICUBIC,
    ) -> Image.Image:
        rows, columns = self._axes
        row, column = self.middle[rows], self.middle[columns]
        if self.axis != 0:
            row = plane.shape[0] - 1 - row
        down, across = (
            self.side_mm / 2 / self.spacing[rows],
            self.side_mm / 2 / self.spacing[columns],
        )
        x, y = column + 0.5, row + 0.5
        box = (x - across, y - down, x + across, y + down)
        size = (_CLOSE_UP_PIXELS, _CLOSE_UP_PIXELS)
        return Image.fromarray(_grey(plane, levels)).transform(
            size, Image.Transform.EXTENT, box, method
        )


def _as_read(painting: BeforeAfter) -> BeforeAfter:
    """Turn the axes so that D rises to the head, H to the back and W to the left."""
    if painting.affine is None:
        return replace(painting, before=_floats(painting.before), after=_floats(painting.after))
    now = orientations.io_orientation(painting.affine)
    turn = orientations.ornt_transform(now, orientations.axcodes2ornt("LPS"))

    def turned(volume: np.ndarray) -> np.ndarray:
        return orientations.apply_orientation(volume.T, turn).T

    order = [int(axis) for axis in np.argsort(turn[:, 0])]
    x, y, z = (painting.spacing[::-1][axis] for axis in order)
    return replace(
        painting,
        before=np.stack([turned(channel) for channel in _floats(painting.before)]),
        after=np.stack([turned(channel) for channel in _floats(painting.after)]),
        tumor=turned(painting.tumor),
        support=turned(painting.support),
        spacing=(z, y, x),
        affine=None,
    )


def _floats(image: np.ndarray) -> np.ndarray:
    return np.asarray(image, dtype=np.float32)


def _slices(focus: np.ndarray) -> tuple[int, int, int]:
    """The slice to show along each axis: the middle one of those as full as the fullest, nearly."""
    picked = []
    for axis in range(3):
        area = focus.sum(axis=tuple(a for a in range(3) if a != axis))
        full = np.flatnonzero(area >= 0.9 * area.max())
        picked.append(int(full[len(full) // 2]))
    return picked[0], picked[1], picked[2]


def _middle(focus: np.ndarray) -> tuple[float, float, float]:
    """The middle of the box around the tumor, in voxels; of the volume without one."""
    box = (ndimage.find_objects(focus.astype(np.uint8)) or [[slice(0, n) for n in focus.shape]])[0]
    d, h, w = ((side.start + side.stop - 1) / 2 for side in box)
    return d, h, w


def _side_mm(focus: np.ndarray, spacing: Spacing) -> float:
    if not focus.any():
        return _CLOSE_UP_MM
    box = ndimage.find_objects(focus.astype(np.uint8))[0]
    longest = max((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True))
    return max(_CLOSE_UP_MM, longest + 24.0)


def _levels(before: np.ndarray, after: np.ndarray, focus: np.ndarray) -> tuple[float, float]:
    """Black and white for both times, so that bright tumors do not burn out."""
    sample = before.ravel()[:: max(1, before.size // 100_000)]
    low, high = (float(v) for v in np.percentile(sample, (1, 99.5)))
    if focus.any():
        high = max(high, float(np.percentile(after[focus], 95)))
    return low, max(high, low + 1e-6)


def _grey(plane: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    low, high = levels
    share = (plane.astype(np.float32) - low) / (high - low)
    return np.ascontiguousarray((255 * share.clip(0, 1)).round().astype(np.uint8))


def _edge(mask: Image.Image) -> Image.Image:
    """The outermost pixels of a mask, at the size that is shown."""
    inside = np.asarray(mask) > 127
    return Image.fromarray(255 * (inside & ~ndimage.binary_erosion(inside)).astype(np.uint8))


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str) -> None:
    draw.text(place, text, fill=_INK, font=ImageFont.load_default(size=13))
