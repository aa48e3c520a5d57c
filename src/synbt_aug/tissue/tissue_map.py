"""Tissue probabilities on a working grid of about 2 mm, and the way from a host to that grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.volume import Spacing

#: Side of the working grid's voxels, in mm: skin is 1.5 mm, the finest strand of gland that a
#: tumor's site depends on about 3 mm.
WORKING_MM = 2.0

#: Planes of the grid that are averaged at once: what they are made of stays in the cache.
_PLANES = 8


def grid_shape(
    shape: tuple[int, int, int], spacing: Spacing, mm: float = WORKING_MM
) -> tuple[int, int, int]:
    """Voxels of the working grid, which covers the host's box exactly.

    Args:
        shape: The host's voxels along D, H and W.
        spacing: Their size, in mm.
        mm: Wanted side of the grid's voxels; met to half a voxel of the whole.
    """
    d, h, w = (max(round(n * size / mm), 1) for n, size in zip(shape, spacing, strict=True))
    return d, h, w


def to_grid(volume: Tensor, spacing: Spacing, mm: float = WORKING_MM) -> Tensor:
    """Bring a volume to the working grid: means where it gets coarser, linear where finer.

    Args:
        volume: Shape `(C, D, H, W)`, any real dtype.
        spacing: Voxel size, in mm.
        mm: As for `grid_shape`.

    Returns:
        Shape `(C, d, h, w)`, float32.
    """
    # One channel at a time: of a scan at its native size each takes 130 MB in float32.
    return torch.cat([_channel_to_grid(channel[None], spacing, mm) for channel in volume])


def _channel_to_grid(channel: Tensor, spacing: Spacing, mm: float) -> Tensor:
    n_d, n_h, n_w = channel.shape[1:]
    target = grid_shape((n_d, n_h, n_w), spacing, mm)
    finer = tuple(max(new, old) for new, old in zip(target, channel.shape[1:], strict=True))
    # Whole factors are the common case; the pooling of odd ones is five times slower.
    factors = [old // new for old, new in zip(finer, target, strict=True)]
    whole = all(new * f == old for new, f, old in zip(target, factors, finer, strict=True))
    same = finer == tuple(channel.shape[1:])
    if whole and same and channel.device.type == "cpu":
        return _means_of_blocks(channel[0], factors)[None]
    batch = channel[None].to(torch.float32)
    if not same:
        batch = F.interpolate(batch, finer, mode="trilinear", align_corners=False)
    if whole:
        return F.avg_pool3d(batch, factors)[0]
    return F.adaptive_avg_pool3d(batch, target)[0]


def _means_of_blocks(volume: Tensor, factors: Sequence[int]) -> Tensor:
    """`avg_pool3d` of one channel on the CPU, some planes at a time: a third of its time.

    Args:
        volume: Shape `(D, H, W)`, any real dtype.
        factors: Sides of the blocks, which fill the volume.
    """
    f_d, f_h, f_w = factors
    means = torch.empty([n // f for n, f in zip(volume.shape, factors, strict=True)])
    for start in range(0, len(means), _PLANES):
        total: np.ndarray = means[start : start + _PLANES].numpy()
        there = volume[start * f_d : (start + _PLANES) * f_d]
        # numpy's any is a search, torch's a reduction.
        if there.dtype == torch.bool and not there.numpy().any():
            total[:] = 0
            continue
        planes = there.to(torch.float32).numpy()
        rows = reduce(np.add, (planes[k::f_d] for k in range(f_d)))
        columns = reduce(np.add, (rows[:, k::f_h] for k in range(f_h)))
        np.copyto(total, reduce(np.add, (columns[:, :, k::f_w] for k in range(f_w))))
        total /= math.prod(factors)
    return means


@dataclass(frozen=True)
class TissueMap:
    """How likely each tissue is, on a grid of about 2 mm.

    Args:
        probability: By `TissueLabel`, shape `(5, d, h, w)`, float32, summing to 1 in a voxel.
        shape: The host's voxels along D, H and W.
        spacing: The host's voxel size, in mm.
        known: Whether these are tissues that are known, and no estimate.

    Raises:
        SynBTError: If there are not five tissues.
    """

    probability: Tensor
    shape: tuple[int, int, int]
    spacing: Spacing
    known: bool = False

    def __post_init__(self) -> None:
        if self.probability.ndim != 4 or self.probability.shape[0] != len(TissueLabel):
            raise SynBTError(
                f"TissueMap needs probabilities of shape ({len(TissueLabel)}, d, h, w), got "
                f"{tuple(self.probability.shape)}. From a label map: TissueMap.of_labels."
            )

    @classmethod
    def of_labels(cls, labels: Tensor, spacing: Spacing) -> TissueMap:
        """From known tissues.

        Args:
            labels: Values of `TissueLabel` on the host's grid, shape `(D, H, W)`.
            spacing: Voxel size, in mm.
        """
        one_hot = torch.stack([labels == value for value in TissueLabel]).to(torch.float32)
        d, h, w = labels.shape
        return cls(to_grid(one_hot, spacing), (d, h, w), spacing, known=True)

    @property
    def labels(self) -> Tensor:
        """The likeliest tissue, values of `TissueLabel`, uint8, shape `(d, h, w)`."""
        # argmax along the first axis is several times slower on a CPU.
        return self.probability.max(0).indices.to(torch.uint8)

    @property
    def factors(self) -> tuple[float, float, float]:
        """Host voxels a grid voxel, along each axis."""
        d, h, w = (n / g for n, g in zip(self.shape, self.probability.shape[1:], strict=True))
        return d, h, w

    @property
    def grid_mm(self) -> tuple[float, float, float]:
        """Size of the grid's voxels, in mm."""
        d, h, w = (f * mm for f, mm in zip(self.factors, self.spacing, strict=True))
        return d, h, w

    def at_host(self) -> Tensor:
        """The likeliest tissue on the host's grid, uint8, shape `(D, H, W)`."""
        fine = F.interpolate(
            self.probability[None], self.shape, mode="trilinear", align_corners=False
        )
        return fine[0].argmax(0).to(torch.uint8)
