"""A copied tumor's voxels lie where its shape lies, whatever the pose."""

from __future__ import annotations

import math
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from analytic import ellipsoid, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.grid.posing import pose
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.pose import Pose, rotation_and_displacement
from synbt_aug.tumor.posed_signal import posed_signal
from synbt_aug.tumor.shape import rasterize, rasterized
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM, Template

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
# A quarter turn about the last axis, one about no axis, and a slight one.
TURNS = [
    UPRIGHT,
    (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)),
    (0.5, 0.1, -0.7, 0.5),
    (0.97, 0.1, 0.15, -0.1),
]


def lopsided() -> Tensor:
    """An egg with a bump: no symmetry that a wrong flip or order of axes could hide behind."""
    shape = (30, 22, 18)
    egg = ellipsoid(shape, (14, 11, 9), (13, 10, 7))
    return egg | ellipsoid(shape, (22, 15, 11), (7, 6, 6))


@lru_cache(maxsize=1)
def bank() -> TumorBank:
    """One tumor whose signal is its own distance in pre, and where along D it is in post."""
    mask = lopsided()
    wide = torch.nn.functional.pad(mask, (SIGNAL_MARGIN_MM,) * 6)
    distance = signed_distance_mm(wide, limit_mm=16.0)
    along = torch.arange(wide.shape[0]) - (wide.shape[0] - 1) / 2
    signal = torch.stack([distance, along[:, None, None].expand(wide.shape)]).half()
    return TumorBank((Template(mask, small_bank().templates[0].appearance, "egg", signal=signal),))


def turned(quaternion: tuple[float, float, float, float], flip: bool, elastic: float) -> Pose:
    return Pose(0, quaternion, flip, elastic, 5)


def posed(how: Pose, diameter_mm: float) -> tuple[Tensor, Tensor]:
    """The shape, and the same number of voxels of the least distance as its signal says."""
    distance = rasterize(bank(), how, diameter_mm, 3.0)
    assert distance is not None
    signal = posed_signal(bank(), how, diameter_mm, 3.0)
    assert signal.shape == (2, *distance.shape) and signal.dtype == torch.float32
    mask = distance <= 0
    level = signal[0].flatten().kthvalue(int(mask.sum())).values
    # Smoothing moves the surface as a whole, and differs most where a tumor is small.
    assert abs(float(level)) < 0.5
    return mask, signal[0] <= level


def share_off(one: Tensor, two: Tensor) -> float:
    """Voxels that differ over voxels of the surface: d / 2 for a shift by d voxels."""
    surface = signed_distance_mm(one).abs() <= 0.5
    return float((one ^ two).sum() / surface.sum())


def middle_of(mask: Tensor) -> Tensor:
    return mask.nonzero().float().mean(0)


@pytest.mark.parametrize("quaternion", TURNS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("diameter_mm", "elastic"), [(20.0, 0.0), (13.0, 0.5), (32.0, 1.3)])
def test_the_signal_lies_on_the_shape_to_a_quarter_of_a_voxel(
    quaternion: tuple[float, float, float, float], flip: bool, diameter_mm: float, elastic: float
) -> None:
    shape, told = posed(turned(quaternion, flip, elastic), diameter_mm)
    assert float((middle_of(shape) - middle_of(told)).norm()) < 0.15
    assert share_off(shape, told) < 0.125


def test_a_shift_by_one_voxel_and_a_wrong_flip_would_be_seen() -> None:
    how, mirrored = (turned(TURNS[2], flip, 0.0) for flip in (False, True))
    shape, told = posed(how, 20.0)
    assert share_off(shape, told.roll(1, 0)) > 0.3
    assert share_off(shape, posed(mirrored, 20.0)[1]) > 0.3


def test_an_upright_pose_of_the_template_s_size_gives_its_own_voxels() -> None:
    size = bank().templates[0].diameter_mm
    signal = posed_signal(bank(), turned(UPRIGHT, False, 0.0), size, 3.0)
    middle = signal.shape[1] // 2
    # What smoothing ate is given back by a zoom of a few percent.
    steps = signal[1, middle - 10 : middle + 10, middle, middle].diff()
    assert bool(((steps > 0.9) & (steps <= 1.001)).all())
    assert abs(float(signal[1, middle, middle, middle])) < 1.5


def test_what_lies_beyond_the_stored_tissue_repeats_its_edge() -> None:
    signal = posed_signal(bank(), turned(UPRIGHT, False, 0.0), 13.0, 3.0)
    stored = bank().templates[0].signal
    assert isinstance(stored, Tensor)
    assert float(signal[1, 0].max()) == pytest.approx(float(stored[1].min()), abs=1e-4)
    assert float(signal[1, -1].min()) == pytest.approx(float(stored[1].max()), abs=1e-4)


def test_voxels_are_posed_by_the_formula_that_poses_shapes() -> None:
    how = turned((0.5, 0.1, -0.7, 0.5), True, 1.0)
    stored = bank().templates[0].signal
    shape = rasterized(bank(), how, 20.0, 3.0)
    assert isinstance(stored, Tensor) and shape is not None
    rotation, displacement = rotation_and_displacement(how)
    whole = pose(stored[0].float(), rotation, shape.zoom, displacement, shape.side) / shape.zoom
    signal = posed_signal(bank(), how, 20.0, 3.0)[0]
    # Six millimetres around the middle lie in the stored box.
    middle = signal.shape[0] // 2
    here = slice(middle - 6, middle + 6)
    d, h, w = (slice(start + middle - 6, start + middle + 6) for start in shape.first)
    assert torch.allclose(signal[here, here, here], whole[d, h, w], atol=1e-4)


def test_the_same_pose_gives_the_same_voxels_bit_by_bit() -> None:
    how = turned((0.5, 0.1, -0.7, 0.5), True, 1.0)
    one, two = (posed_signal(bank(), how, 20.0, 3.0) for _ in range(2))
    assert torch.equal(one, two)


def test_a_bank_without_voxels_is_refused() -> None:
    with pytest.raises(SynBTError, match="needs a bank with the voxels of its images"):
        posed_signal(small_bank(), turned(UPRIGHT, False, 0.0), 14.0, 3.0)


def test_a_tumor_that_no_window_holds_is_refused() -> None:
    rod = torch.ones((60, 4, 4), dtype=torch.bool)
    signal = torch.zeros((2, 72, 16, 16), dtype=torch.float16)
    template = Template(rod, small_bank().templates[0].appearance, "rod", signal=signal)
    with pytest.raises(SynBTError, match="one of 40 mm in this pose is too long"):
        posed_signal(TumorBank((template,)), turned(UPRIGHT, False, 0.0), 40.0, 3.0)
