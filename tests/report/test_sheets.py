from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from small_scans import SHOWN_SHAPE, before_after
from synbt_aug.report.drawing import OUTLINE, PAPER
from synbt_aug.report.sheets import axial_panel, contact_sheet, preview, sheet_of


def _empty_share(picture: Image.Image) -> float:
    return float((np.asarray(picture) == PAPER).all(axis=-1).mean())


def _bars(picture: Image.Image) -> list[int]:
    """Lengths of the runs of white in the rows of a picture, those of 8 pixels and more."""
    white = (np.asarray(picture.convert("RGB")) == 255).all(axis=-1)
    found = set()
    for row in white:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        found |= {int(b - a) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 8}
    return sorted(found)


def test_a_panel_is_titled_and_has_a_bar_of_ten_millimetres_in_each_picture() -> None:
    dark = before_after(before=np.full((2, *SHOWN_SHAPE), 100, np.float32))
    dark = before_after(before=dark.before, after=dark.before)
    panel = axial_panel(dark)
    # 160 pixels show 64 mm.
    assert _bars(panel) == [25]
    assert _empty_share(panel.crop((0, 0, panel.width, 18))) < 1.0


@pytest.mark.parametrize("count", range(1, 14))
def test_little_of_a_sheet_s_grid_stays_empty(count: int) -> None:
    panel = Image.new("RGB", (480, 196), (90, 90, 90))
    sheet = np.asarray(sheet_of([panel] * count))
    grid = sheet[: -sheet_of([panel]).height + 196]
    columns, rows = round(sheet.shape[1] / 492), round(grid.shape[0] / 208)
    assert columns * rows - count <= min(columns - 1, 2)
    assert columns * rows - count <= columns * rows / 5 or count < 3


def test_a_sheet_has_a_title_and_a_legend() -> None:
    painting = before_after()
    plain, titled = contact_sheet([painting]), contact_sheet([painting], title="Tumors of seed 3")
    assert titled.height > plain.height
    legend = np.asarray(plain)[-44:]
    assert (legend == OUTLINE).all(axis=-1).sum() > 100


def test_a_long_title_takes_lines_and_no_more_width() -> None:
    painting = before_after()
    long = contact_sheet([painting], title="Tumors of seeds 0 to 99 in a long file name " * 4)
    assert long.width == contact_sheet([painting]).width


def test_a_preview_has_its_scale_and_its_legend_below_the_planes() -> None:
    flat = np.full((2, *SHOWN_SHAPE), 100, np.float32)
    shown = preview(before_after(before=flat, after=flat))
    # 192 pixels show 64 mm of a close-up. Whole slices of 60 x 80, 40 x 80 and 40 x 60 mm fit
    # 192 x 288 pixels: 3.2, 3.6 and 4.8 pixels a mm.
    assert _bars(shown) == [30, 160, 180, 240]
    assert (np.asarray(shown)[-44:] == OUTLINE).all(axis=-1).sum() > 100


def test_a_removal_has_no_outline_to_explain() -> None:
    nothing = np.zeros(SHOWN_SHAPE, bool)
    shown = np.asarray(preview(before_after(tumor=nothing)))
    assert not (shown == OUTLINE).all(axis=-1).any()
