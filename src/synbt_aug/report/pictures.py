"""A painted tumor in three planes: whole slices and close-ups, subtraction, outline.

Pillow alone: `synbt synthesize` always writes a preview, and matplotlib with what it pulls in
weighs ten times as much. Slices lie as radiologists read them where an affine tells the axes, at
one scale in mm. Only the slices shown are copied: a scan at its native size is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from synbt_aug.report.drawing import OUTLINE, ReadersAxes, bounds_of
from synbt_aug.volume import Spacing

# A close-up shows at least this much; larger tumors get their size and 24 mm more.
_CLOSE_UP_MM = 64.0
# Tumors farther apart are not shown in one close-up: the largest is.
_LONGEST_MM = 104.0
CLOSE_UP_PIXELS = 192
_WHOLE_PIXELS = 320
PLANES = ("axial", "coronal", "sagittal")


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
        whole: The slice of post after, with the outline; constant margins are cut away.
        close: Close-ups by name: "pre before", "post after", "subtraction after", ...
        outline: The outline alone on a transparent ground, for close-ups.
        side_mm: What a close-up shows, in mm.
        whole_pixels_per_mm: Scale of the whole slice.
    """

    plane: str
    whole: Image.Image
    close: dict[str, Image.Image]
    outline: Image.Image
    side_mm: float
    whole_pixels_per_mm: float

    def marked(self, name: str) -> Image.Image:
        """A close-up with the outline drawn."""
        picture = self.close[name].convert("RGB")
        picture.paste(self.outline, mask=self.outline)
        return picture


def plane_views(painting: BeforeAfter, planes: Sequence[str] = PLANES) -> list[PlaneView]:
    """The planes through the middle of the tumor, or of what was repainted."""
    turn = ReadersAxes(painting.spacing, painting.affine)
    tumor, support = turn(painting.tumor), turn(painting.support)
    before, after = ([turn(c) for c in image] for image in (painting.before, painting.after))
    focus = tumor if tumor.any() else support
    box = bounds_of(focus)
    if focus.any() and _longest_mm(box, turn.spacing) > _LONGEST_MM:
        focus, box = _largest_part(focus, box)
    index = _slices(focus[box], box)
    side_mm = _CLOSE_UP_MM
    if focus.any():
        side_mm = max(_CLOSE_UP_MM, _longest_mm(box, turn.spacing) + 24.0)
    levels = _levels(before, [channel[box][focus[box]] for channel in after])
    views = []
    for plane in planes:
        axis = PLANES.index(plane)
        pre, post = (
            [_slice(channel, axis, index[axis]) for channel in (b, a)]
            for b, a in zip(before, after, strict=True)
        )
        pairs = {
            "pre": pre,
            "post": post,
            "subtraction": [after - before for before, after in zip(pre, post, strict=True)],
        }
        mask = _slice(tumor, axis, index[axis])
        spacing = tuple(mm for k, mm in enumerate(turn.spacing) if k != axis)
        lens = _Lens((spacing[0], spacing[1]), _content(pre[0], post[0]), _middle(box, axis, focus))
        close = {
            f"{what} {time}": lens.close(flat, levels[what], side_mm)
            for what, pair in pairs.items()
            for time, flat in zip(("before", "after"), pair, strict=True)
        }
        whole = lens.whole(post[1], levels["post"]).convert("RGB")
        whole.paste(OUTLINE, mask=_edge(lens.whole(mask, (0, 1), Image.Resampling.NEAREST)))
        edge = _edge(lens.close(mask, (0, 1), side_mm, Image.Resampling.NEAREST))
        outline = Image.new("RGBA", edge.size, (*OUTLINE, 0))
        outline.putalpha(edge)
        views.append(PlaneView(plane, whole, close, outline, side_mm, lens.whole_pixels_per_mm))
    return views


@dataclass(frozen=True)
class _Lens:
    """One plane: its content as a whole, and a square around the tumor.

    Args:
        spacing: Of rows and columns, in mm.
        content: Rows and columns that are not a constant margin.
        middle: Of what is looked at, row and column, in voxels.
    """

    spacing: tuple[float, float]
    content: tuple[slice, slice]
    middle: tuple[float, float]

    @property
    def whole_pixels_per_mm(self) -> float:
        sides = [(s.stop - s.start) * mm for s, mm in zip(self.content, self.spacing, strict=True)]
        return _WHOLE_PIXELS / max(sides)

    def whole(
        self,
        plane: np.ndarray,
        levels: tuple[float, float],
        method: Image.Resampling = Image.Resampling.BICUBIC,
    ) -> Image.Image:
        shown = plane[self.content]
        tall, wide = (
            max(1, round(n * mm * self.whole_pixels_per_mm))
            for n, mm in zip(shown.shape, self.spacing, strict=True)
        )
        return Image.fromarray(_grey(shown, levels)).resize((wide, tall), method)

    def close(
        self,
        plane: np.ndarray,
        levels: tuple[float, float],
        side_mm: float,
        method: Image.Resampling = Image.Resampling.BICUBIC,
    ) -> Image.Image:
        (y, down), (x, across) = (
            _shifted_in(middle + 0.5, side_mm / 2 / mm, part)
            for middle, mm, part in zip(self.middle, self.spacing, self.content, strict=True)
        )
        box = (x - across, y - down, x + across, y + down)
        size = (CLOSE_UP_PIXELS, CLOSE_UP_PIXELS)
        return Image.fromarray(_grey(plane, levels)).transform(
            size, Image.Transform.EXTENT, box, method
        )


def _shifted_in(middle: float, half: float, content: slice) -> tuple[float, float]:
    """A span's middle and half, moved off a constant margin where the content is wide enough."""
    if content.stop - content.start >= 2 * half:
        middle = min(max(middle, content.start + half), content.stop - half)
    return middle, half


def _slice(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """One plane, float32; rows run downwards, so axes that rise to the head are turned over."""
    plane = np.take(volume, index, axis=axis).astype(np.float32)
    return plane[::-1] if axis != 0 else plane


def _content(pre: np.ndarray, post: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns without the margins of one value that a host padded with."""
    spans = []
    for across, length in ((1, pre.shape[0]), (0, pre.shape[1])):
        varied = np.zeros(length, bool)
        for flat in (pre, post):
            varied |= np.ptp(flat, axis=across) > 0
        there = np.flatnonzero(varied)
        spans.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, length))
    return spans[0], spans[1]


def _slices(focus: np.ndarray, box: tuple[slice, ...]) -> tuple[int, ...]:
    """The slice to show along each axis: the middle one of those as full as the fullest, nearly."""
    picked = []
    for axis in range(3):
        area = focus.sum(axis=tuple(a for a in range(3) if a != axis))
        full = np.flatnonzero(area >= 0.9 * area.max())
        picked.append(box[axis].start + int(full[len(full) // 2]))
    return tuple(picked)


def _longest_mm(box: tuple[slice, ...], spacing: Spacing) -> float:
    return max((s.stop - s.start) * mm for s, mm in zip(box, spacing, strict=True))


def _largest_part(
    focus: np.ndarray, box: tuple[slice, ...]
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """The largest connected part of a mask, and its box."""
    parts, _ = ndimage.label(focus[box], np.ones((3, 3, 3)))
    largest = np.zeros_like(focus)
    largest[box] = parts == np.bincount(parts[parts > 0]).argmax()
    return largest, bounds_of(largest)


def _middle(box: tuple[slice, ...], axis: int, focus: np.ndarray) -> tuple[float, float]:
    """The middle of the tumor's box in one plane, row and column."""
    rows, columns = (k for k in range(3) if k != axis)
    row, column = ((box[k].start + box[k].stop - 1) / 2 for k in (rows, columns))
    return (focus.shape[rows] - 1 - row if axis != 0 else row), column


def _levels(
    before: Sequence[np.ndarray], painted: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Black and white of pre, post and subtraction, for both times.

    Args:
        before: Pre and post, shape `(D, H, W)` each.
        painted: The values of pre and post in the new tumor, shape `(n,)` each.
    """
    step = max(1, round((before[0].size / 100_000) ** (1 / 3)))
    seen = [channel[::step, ::step, ::step].astype(np.float32) for channel in before]
    new = [channel.astype(np.float32) for channel in painted]
    found = {}
    for name, sample, values in (
        ("pre", seen[0], new[0]),
        ("post", seen[1], new[1]),
        ("subtraction", seen[1] - seen[0], new[1] - new[0]),
    ):
        low, high = (float(v) for v in np.percentile(sample, (1, 99.5)))
        if name == "subtraction":
            low, high = 0.0, max(high, 1e-6)  # what does not take up contrast is black
        if values.size:
            # Bright tumors are not to burn out.
            high = max(high, float(np.percentile(values, 95)))
        found[name] = low, max(high, low + 1e-6)
    return found


def _grey(plane: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    low, high = levels
    share = (plane.astype(np.float32) - low) / (high - low)
    return np.ascontiguousarray((255 * share.clip(0, 1)).round().astype(np.uint8))


def _edge(mask: Image.Image) -> Image.Image:
    """The outermost pixels of a mask, at the size that is shown."""
    inside = np.asarray(mask) > 127
    return Image.fromarray(255 * (inside & ~ndimage.binary_erosion(inside)).astype(np.uint8))
