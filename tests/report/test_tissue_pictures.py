from __future__ import annotations

import numpy as np
import torch

from synbt_aug.report.tissue_pictures import SITE_COLOUR, TISSUE_COLOURS, tissue_sheet
from synbt_aug.tissue import TissueLabel

SHAPE = (20, 30, 40)
# Left edge of the second and third picture, upper edge of the first row.
SECOND, THIRD, TOP = 74 + 292, 74 + 2 * 292, 18


def test_gland_is_tinted_and_sites_shine() -> None:
    labels = torch.full(SHAPE, int(TissueLabel.GLAND), dtype=torch.uint8)
    sheet = np.asarray(tissue_sheet(torch.zeros(SHAPE), labels, torch.ones(SHAPE), (1.0,) * 3))
    plain, tinted, lit = (sheet[TOP + 100, left + 100] for left in (74, SECOND, THIRD))
    assert plain.tolist() == [0, 0, 0]
    assert np.allclose(tinted, 0.55 * np.array(TISSUE_COLOURS[TissueLabel.GLAND]), atol=2)
    assert np.allclose(lit, 0.7 * np.array(SITE_COLOUR), atol=2)


def test_all_planes_have_one_scale() -> None:
    shape = (10, 20, 40)
    labels = torch.zeros(shape, dtype=torch.uint8)
    flat = tissue_sheet(torch.rand(shape), labels, torch.zeros(shape), (4.0, 2.0, 1.0))
    wide = tissue_sheet(torch.rand(shape), labels, torch.zeros(shape), (4.0, 2.0, 2.0))
    # Every plane is 40 mm a side: three squares beside and below each other. Then two of the
    # three are 80 mm wide, and half as tall on their paper.
    assert flat.width == 74 + 3 * 292
    assert flat.height - wide.height == 2 * 144


def test_every_colour_is_explained_below_the_planes() -> None:
    nothing = torch.zeros(SHAPE, dtype=torch.uint8)
    sheet = tissue_sheet(torch.rand(SHAPE), nothing, torch.zeros(SHAPE), (1.0,) * 3)
    below = np.asarray(sheet)[-44:]
    for colour in (*TISSUE_COLOURS.values(), SITE_COLOUR):
        assert (below == colour).all(axis=-1).sum() == 13 * 13
    titled = tissue_sheet(
        torch.rand(SHAPE), nothing, torch.zeros(SHAPE), (1.0,) * 3, title="Tissues of a scan"
    )
    assert titled.height == sheet.height + 22


def test_an_affine_turns_the_planes_to_the_reader_s_view() -> None:
    scan, labels, weight = torch.rand(SHAPE), torch.zeros(SHAPE), torch.zeros(SHAPE)
    labels[:4, 5:9] = int(TissueLabel.FAT)
    here = tissue_sheet(scan, labels, weight, (1.0,) * 3)
    # Stored from left to right and from the back to the front.
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    turned = [volume.flip(1, 2) for volume in (scan, labels, weight)]
    there = tissue_sheet(*turned, (1.0,) * 3, affine)
    assert np.array_equal(np.asarray(here), np.asarray(there))
