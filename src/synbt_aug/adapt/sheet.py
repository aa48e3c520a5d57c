"""A sheet for the eye: each held-back tumor as it is, and painted again before and after."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from synbt_aug.adapt.figures import slices_at
from synbt_aug.evaluate import FitCase
from synbt_aug.evaluate.case_fit import largest_lesion
from synbt_aug.evaluate.realism.repaint import repainted
from synbt_aug.evaluate.slices.tumor_slice import SIDE, TumorSlice
from synbt_aug.host import Host
from synbt_aug.report.drawing import LINE, PAPER, draw_scale_bar, headline, legend, stacked, write
from synbt_aug.synthesizer import TumorSynthesizer

_ZOOM, _GAP, _BAR_MM = 2, 4, 10
_TILE = _ZOOM * SIDE

Row = list[TumorSlice]


def sheet_rows(
    cases: Iterable[FitCase],
    before: TumorSynthesizer,
    after: TumorSynthesizer,
) -> list[Row]:
    """One slice of each case: real, painted again by the start, and by the adapted weights.

    Args:
        cases: With their tumors; those without one that a window holds are left out.
        before: With the weights that were started from.
        after: With the adapted ones.
    """
    rows = []
    for case in cases:
        host, tumor = Host.of(case.volume, case.reference), case.volume.tumor
        margin = before.texture.hole_margin_mm
        lesion = None if tumor is None else largest_lesion(tumor, case.volume.spacing, margin)
        if lesion is None:
            continue
        seed = zlib.crc32(case.name.encode())
        images = [case.volume.image]
        for synthesizer in (before, after):
            result = repainted(host, lesion, synthesizer, seed=seed)
            if result is not None:
                images.append(result.image)
        slices = [slices_at(case.name, image, lesion, case.volume.spacing) for image in images]
        if len(slices) == 3 and all(slices):
            # One plane of three, by the tumor's size: the same in each column.
            plane = int(lesion.sum()) % len(slices[0])
            rows.append([one[plane] for one in slices])
    return rows


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """The sheet; post and subtraction of each slice, on the real one's grey levels.

    Args:
        rows: Of `sheet_rows`, at least one.
    """
    names = ("real", "before", "after")
    step = _TILE + _GAP
    size = 2 * len(names) * step - _GAP, LINE + len(rows) * step - _GAP
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    heads = [f"{what}, {name}" for what in ("post", "subtraction") for name in names]
    for column, name in enumerate(heads):
        write(draw, (column * step + 2, 0), name)
    for i, row in enumerate(rows):
        shown = [one.image[1] for one in row] + [one.image[1] - one.image[0] for one in row]
        for column, values in enumerate(shown):
            white = max(float(np.quantile(shown[column // 3 * 3], 0.998)), 1e-6)
            grey = np.clip(values * 255 / white, 0, 255).astype(np.uint8)
            tile = Image.fromarray(grey).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
            draw_scale_bar(tile, _ZOOM, _BAR_MM)
            picture.paste(tile, (column * step, LINE + i * step))
    note = (
        f"A row a case held back; 80 mm, bars {_BAR_MM} mm. Before and after: the same tumor "
        f"painted again in its place, asked for its shape and appearance."
    )
    title = headline("Held-back tumors, real and painted again", picture.width)
    return stacked([title, picture, legend([], note, picture.width)])
