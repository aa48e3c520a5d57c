"""Voxels for a given shape: the tumor nearest in size, in the shape's box."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from analytic import ball, ellipsoid, small_bank, voxel_bank
from synbt_aug.errors import SynBTError
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.stretched_signal import nearest_in_size, stretched_signal
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM


def test_the_template_nearest_in_ratio_is_taken() -> None:
    sizes = [int(t.mask.sum()) for t in small_bank().templates]
    for k in (0, 1, 2):
        assert nearest_in_size(small_bank(), sizes[k]) == k
    assert nearest_in_size(small_bank(), 1) == sizes.index(min(sizes))
    assert nearest_in_size(small_bank(), 10**6) == sizes.index(max(sizes))


def ramp_bank() -> TumorBank:
    """A ball whose pre rises along D by .1 a voxel, and whose post is 1 inside and 0 outside."""
    mask = ball(16, 8)
    inside = F.pad(mask.float(), (SIGNAL_MARGIN_MM,) * 6)
    rise = torch.arange(inside.shape[0]).float()[:, None, None].expand(inside.shape) * 0.1
    signal = torch.stack([rise, inside]).half()
    return TumorBank((Template(mask, Appearance(), "ramp", signal=signal),))


def test_the_tumors_box_is_stretched_to_the_shapes_box() -> None:
    mask = ellipsoid((48, 48, 48), (24, 24, 24), (16, 8, 8))
    found = stretched_signal(ramp_bank(), 0, mask)
    assert found.shape == (2, 48, 48, 48)
    # Twice as long along D: the ramp is half as steep. The template's middle is its 14th voxel.
    line = found[0, 12:36, 24, 24]
    assert (line[1:] - line[:-1]).numpy() == pytest.approx(0.05, abs=2e-3)
    assert float(found[0, 23:25, 24, 24].mean()) == pytest.approx(0.1 * 13.5, abs=2e-3)


def test_the_shape_holds_tumor_and_its_surroundings_hold_none() -> None:
    mask = torch.zeros(48, 48, 48, dtype=torch.bool)
    mask[16:32, 16:32, 16:32] = True
    found = stretched_signal(ramp_bank(), 0, mask)
    # The cube's corners lie outside the ball: they are filled from it.
    assert float(found[1][mask].min()) >= 0.5
    assert float(found[1][~mask].max()) < 0.5


def test_a_bank_of_shapes_has_no_voxels() -> None:
    with pytest.raises(SynBTError, match="synbt bank build DATASET"):
        stretched_signal(small_bank(), 0, ball(32, 6))
    assert stretched_signal(voxel_bank(), 0, ball(32, 6)).isfinite().all()
