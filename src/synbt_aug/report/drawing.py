"""What all pictures of scans share: the reader's axes, text, a scale bar, a legend.

Radiologists read axial slices with the patient's left at the right and the front up, and other
planes with the head up. Pillow alone; what is shown is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nibabel import orientations
from PIL import Image, ImageDraw, ImageFont

from synbt_aug.volume import Spacing

Color = tuple[int, int, int]

INK: Color = (226, 230, 236)
PAPER: Color = (15, 17, 21)

#: Of a new tumor's label.
OUTLINE: Color = (255, 86, 86)

#: Height of a line of text, in pixels.
LINE = 18


class ReadersAxes:
    """Turns volumes so that D rises to the head, H to the back and W to the left.

    Args:
        spacing: Voxel size along D, H and W before, in mm.
        affine: Voxel (x, y, z), that is W, H and D, to scanner coordinates; None: they lie so.

    Attributes:
        spacing: Voxel size along D, H and W after, in mm.
    """

    def __init__(self, spacing: Spacing, affine: np.ndarray | None) -> None:
        self._turn = None
        self.spacing = spacing
        if affine is not None:
            now = orientations.io_orientation(affine)
            self._turn = orientations.ornt_transform(now, orientations.axcodes2ornt("LPS"))
            x, y, z = (spacing[::-1][int(axis)] for axis in np.argsort(self._turn[:, 0]))
            self.spacing = (z, y, x)

    def __call__(self, volume: np.ndarray) -> np.ndarray:
        """A view of a volume of shape `(D, H, W)`; nothing is copied."""
        if self._turn is None:
            return volume
        turned: np.ndarray = orientations.apply_orientation(volume.T, self._turn).T
        return turned


def bounds_of(mask: np.ndarray) -> tuple[slice, ...]:
    """The box of a mask's True voxels; everything where there is none."""
    box = []
    for axis, length in enumerate(mask.shape):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        there = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, length))
    return tuple(box)


def write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int = 13) -> None:
    """Text with its upper left corner at a place."""
    draw.text(place, text, fill=INK, font=ImageFont.load_default(size=size))


def wrapped(text: str, width: int, size: int = 13) -> list[str]:
    """Text as lines of at most so many pixels, cut between words."""
    font = ImageFont.load_default(size=size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_scale_bar(picture: Image.Image, pixels_per_mm: float, mm: float) -> None:
    """A bar of so many mm in the lower left corner, light on a dark edge."""
    draw = ImageDraw.Draw(picture)
    left, bottom = 6, picture.height - 7
    right = left + max(1, round(mm * pixels_per_mm)) - 1
    white, black = (255, 0) if picture.mode == "L" else ((255, 255, 255), (0, 0, 0))
    draw.rectangle((left - 1, bottom - 3, right + 1, bottom + 1), fill=black)
    draw.rectangle((left, bottom - 2, right, bottom), fill=white)


def legend(entries: Sequence[tuple[Color, str]], note: str, width: int) -> Image.Image:
    """A strip that says what colours mean, with a note after them.

    Args:
        entries: (colour, meaning) of each.
        note: What else there is to know; "" for nothing.
        width: Of the strip, in pixels; it is as tall as its lines need.
    """
    font = ImageFont.load_default(size=13)
    swatch, gap = 12, 18
    places: list[tuple[int, int]] = []
    left, top = 6, 4
    for _, meaning in entries:
        wide = swatch + 6 + round(font.getlength(meaning))
        if left > 6 and left + wide > width:
            left, top = 6, top + LINE
        places.append((left, top))
        left += wide + gap
    lines = wrapped(note, width - 12)
    first = top + (LINE if entries else 0)
    strip = Image.new("RGB", (width, first + len(lines) * LINE + 4), PAPER)
    draw = ImageDraw.Draw(strip)
    for (color, meaning), (x, y) in zip(entries, places, strict=True):
        draw.rectangle((x, y + 2, x + swatch, y + 2 + swatch), fill=color)
        write(draw, (x + swatch + 6, y), meaning)
    for number, line in enumerate(lines):
        write(draw, (6, first + number * LINE), line)
    return strip


def stacked(parts: Sequence[Image.Image], gap: int = 0) -> Image.Image:
    """Pictures below each other on dark paper."""
    width = max(part.width for part in parts)
    height = sum(part.height for part in parts) + gap * (len(parts) - 1)
    whole = Image.new("RGB", (width, height), PAPER)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + gap
    return whole


def headline(text: str, width: int) -> Image.Image:
    """A title over a picture, as many lines as it needs."""
    lines = wrapped(text, width - 12)
    strip = Image.new("RGB", (width, len(lines) * LINE + 4), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        write(draw, (6, 2 + number * LINE), line)
    return strip
