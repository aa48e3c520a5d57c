"""Augmentation of segmentation crops: average down, flip, rotate, scale and shift.

Pure functions. All of it comes after the painting, so that a synthetic tumor is smoothed, turned
and scaled as a real one is. Intensities are linear here (`synbt_aug.signal.intensity.to_linear`);
the soft compression that the networks see comes last.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from synbt_aug.signal.intensity import knee
from synbt_aug.train.segmentation_preset import SegmentationPreset


class View(NamedTuple):
    """What the network sees of a sample.

    Args:
        image: Shape `(2, D, H, W)`, float32.
        label: 1 in tumors, shape `(1, D, H, W)`, float32.
    """

    image: Tensor
    label: Tensor


def average_down(volume: Tensor, factor: int) -> Tensor:
    """Average blocks of `factor`^3 voxels; the last ones are filled up with the nearest voxels.

    Args:
        volume: Shape `(C, D, H, W)`, floating point.
        factor: Voxels along an axis.

    Returns:
        Shape `(C, ceil(D / factor), ...)`.
    """
    if factor == 1:
        return volume
    pad = [length for n in reversed(volume.shape[1:]) for length in (0, -n % factor)]
    if any(pad):
        volume = functional.pad(volume[None], pad, mode="replicate")[0]
    return functional.avg_pool3d(volume[None], factor)[0]


def augmented(view: View, preset: SegmentationPreset, *, generator: torch.Generator) -> View:
    """Flip, rotate, scale and shift at random, then compress.

    Args:
        view: Linear intensities.
        preset: With the chances and ranges.
        generator: CPU generator; always gives the same count of numbers.

    Returns:
        Mapped intensities, as the networks see them; same shapes.
    """
    draws = torch.rand(10, generator=generator).tolist()
    axes = [axis for axis, draw in zip((-3, -2, -1), draws[:3], strict=True) if draw < preset.flip]
    if axes:
        view = View(view.image.flip(axes), view.label.flip(axes))
    if draws[3] < preset.rotated:
        d, h, w = (math.radians(preset.rotation_deg) * (2 * draw - 1) for draw in draws[4:7])
        view = rotated(view, (d, h, w))
    image = view.image
    if draws[7] < preset.jittered:
        scale = 1 + preset.scale * (2 * draws[8] - 1)
        image = (image + 1) * scale - 1 + preset.shift * (2 * draws[9] - 1)
    return View(knee(image), view.label)


def rotated(view: View, angles_rad: tuple[float, float, float]) -> View:
    """Rotate about the middle; what comes in from outside repeats the nearest voxel.

    Args:
        view: To rotate.
        angles_rad: About the D, H and W axis, one after the other.
    """
    both = torch.cat([view.image, view.label])[None]
    matrix = torch.eye(3)
    for axis, angle in enumerate(angles_rad):
        i, j = (k for k in range(3) if k != axis)
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    # torch's grids run over [-1, 1] along each side and name W first.
    half = torch.tensor(both.shape[2:], dtype=torch.float32) / 2
    matrix = (matrix * half[None, :] / half[:, None]).flip(0, 1)
    theta = torch.cat([matrix, torch.zeros(3, 1)], dim=1)[None].to(both)
    grid = functional.affine_grid(theta, list(both.shape), align_corners=False)
    moved = functional.grid_sample(both, grid, padding_mode="border", align_corners=False)[0]
    return View(moved[:2], (moved[2:] >= 0.5).to(moved))
