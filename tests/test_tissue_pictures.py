from __future__ import annotations

import numpy as np
import torch

from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue_pictures import SITE_COLOUR, TISSUE_COLOURS, tissue_sheet


def test_gland_is_tinted_and_sites_shine() -> None:
    scan = torch.rand(20, 30, 40)
    labels = torch.full((20, 30, 40), int(TissueLabel.GLAND), dtype=torch.uint8)
    sheet = np.asarray(
        tissue_sheet(torch.zeros_like(scan), labels, torch.ones(20, 30, 40), (1,) * 3)
    )
    width = sheet.shape[1] // 3
    plain, tinted, lit = sheet[100, 100], sheet[100, width + 20], sheet[100, -20]
    assert plain.tolist() == [0, 0, 0]
    assert np.allclose(tinted, 0.55 * np.array(TISSUE_COLOURS[TissueLabel.GLAND]), atol=2)
    assert np.allclose(lit, 0.7 * np.array(SITE_COLOUR), atol=2)


def test_all_planes_have_one_scale() -> None:
    scan = torch.rand(10, 20, 40)
    labels = torch.zeros(10, 20, 40, dtype=torch.uint8)
    sheet = tissue_sheet(scan, labels, torch.zeros(10, 20, 40), (4.0, 2.0, 1.0))
    # Every plane is 40 mm a side: three squares beside and below each other, 4 pixels apart.
    assert sheet.size == (3 * 288, 3 * 292)
