"""Sheets of painted tumors: one in all planes, or many side by side, with scale and legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw

from synbt_aug.report.drawing import (
    LINE,
    OUTLINE,
    PAPER,
    draw_scale_bar,
    headline,
    legend,
    stacked,
    write,
)
from synbt_aug.report.pictures import CLOSE_UP_PIXELS, PLANES, BeforeAfter, plane_views

# Scale bars of close-ups and of whole slices.
_BAR_MM, _LONG_BAR_MM = 10, 50
_NOTE = (
    f"Bars: {_BAR_MM} mm in close-ups, {_LONG_BAR_MM} mm in whole slices. Before and after share "
    "their grey levels."
)
_COLUMNS = tuple(
    f"{what} {time}" for what in ("pre", "post", "subtraction") for time in ("before", "after")
)


def preview(painting: BeforeAfter) -> Image.Image:
    """One picture: planes in rows; the whole slice, then pre, post and subtraction."""
    gap, margin, tile = 4, 74, CLOSE_UP_PIXELS
    rows = []
    for view in plane_views(painting):
        # Both breasts side by side are wide.
        shrunk = min(tile / view.whole.height, 1.5 * tile / view.whole.width)
        wide, tall = (max(1, round(n * shrunk)) for n in view.whole.size)
        whole = view.whole.resize((wide, tall), Image.Resampling.LANCZOS)
        draw_scale_bar(whole, view.whole_pixels_per_mm * shrunk, _LONG_BAR_MM)
        cells = [view.marked(n) if n == "subtraction after" else view.close[n] for n in _COLUMNS]
        for cell in cells:
            draw_scale_bar(cell, tile / view.side_mm, _BAR_MM)
        rows.append((view.plane, [whole, *cells]))
    first = max(cells[0].width for _, cells in rows)
    lefts = [margin, *(margin + first + gap + i * (tile + gap) for i in range(len(_COLUMNS)))]
    size = (lefts[-1] + tile + gap, LINE + len(rows) * (tile + gap))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for left, name in zip(lefts, ("whole slice, post after", *_COLUMNS), strict=True):
        write(draw, (left, 0), name)
    for i, (plane, cells) in enumerate(rows):
        top = LINE + i * (tile + gap)
        write(draw, (6, top + 2), plane)
        for left, cell in zip(lefts, cells, strict=True):
            picture.paste(cell, (left, top))
    return _framed(picture, painting.title, with_outline=bool(painting.tumor.any()))


def contact_sheet(paintings: Iterable[BeforeAfter], *, title: str = "") -> Image.Image:
    """Axial close-ups of many tumors.

    Args:
        paintings: At least one; each is drawn and let go before the next is asked for.
        title: Over the sheet.
    """
    return sheet_of([axial_panel(painting) for painting in paintings], title=title)


def axial_panel(painting: BeforeAfter) -> Image.Image:
    """Post before, post after and subtraction after with the outline, side by side."""
    return _panel(painting, ("axial",))


def planes_panel(painting: BeforeAfter) -> Image.Image:
    """As `axial_panel`, in three rows: axial, coronal and sagittal."""
    return _panel(painting, PLANES)


def _panel(painting: BeforeAfter, planes: Sequence[str]) -> Image.Image:
    names, tile, gap = ("post before", "post after", "subtraction after"), 160, 2
    size = len(names) * tile, 2 * LINE + len(planes) * (tile + gap) - gap
    panel = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(panel)
    write(draw, (2, 0), painting.title)
    for i, view in enumerate(plane_views(painting, planes)):
        for j, name in enumerate(names):
            if i == 0:
                write(draw, (j * tile + 2, LINE), name, size=11)
            cell = view.marked(name) if name == "subtraction after" else view.close[name]
            small = cell.resize((tile, tile), Image.Resampling.LANCZOS)
            draw_scale_bar(small, tile / view.side_mm, _BAR_MM)
            panel.paste(small, (j * tile, 2 * LINE + i * (tile + gap)))
    return panel


def sheet_of(
    panels: Sequence[Image.Image], *, title: str = "", planes: str = "Axial slices."
) -> Image.Image:
    """Panels of one size, at least one, in a grid of which little stays empty.

    Args:
        panels: Of `axial_panel` or `planes_panel`.
        title: Over the sheet.
        planes: What the panels show, for the note below it.
    """
    (width, height), gap = panels[0].size, 12
    columns = _columns(len(panels), (width + gap) / (height + gap))
    rows = -(-len(panels) // columns)
    size = columns * (width + gap) - gap, rows * (height + gap) - gap
    sheet = Image.new("RGB", size, PAPER)
    for i, panel in enumerate(panels):
        place = (i % columns) * (width + gap), (i // columns) * (height + gap)
        sheet.paste(panel, place)
    note = f"{planes} Bars: {_BAR_MM} mm. Before and after share their grey levels."
    return _framed(sheet, title, with_outline=True, note=note)


def _framed(
    picture: Image.Image, title: str, *, with_outline: bool, note: str = _NOTE
) -> Image.Image:
    """A picture with its title above and its legend below."""
    meaning = [(OUTLINE, "label of the new tumor")] if with_outline else []
    above = [headline(title, picture.width)] if title else []
    return stacked([*above, picture, legend(meaning, note, picture.width)])


def _columns(count: int, aspect: float) -> int:
    """Columns of a grid that leave few panels of it empty, and then make it a landscape."""
    fewest = max(1, math.ceil(math.sqrt(count / 3)))

    def cost(columns: int) -> tuple[float, float]:
        rows = -(-count // columns)
        empty = 1 - count / (rows * columns)
        return round(empty, 3), abs(math.log(aspect * columns / rows / 1.5))

    return min(range(fewest, max(fewest, min(count, 4)) + 1), key=cost)
