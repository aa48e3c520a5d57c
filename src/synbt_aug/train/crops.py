"""Random crops of training cases, in all 48 axis orders.

Cases are kept in memory and only read. A crop that overhangs its case is padded
with the nearest voxels, and the padding is marked invalid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from synbt_aug.errors import SynBTError

# Sites remembered of each tumor: enough to centre crops all over it.
_TUMOR_SITES = 400


class TrainingCase(Protocol):
    """What training reads of a case, on a 1 mm isotropic grid.

    Attributes:
        q: Mapped intensities (see `synbt_aug.signal.intensity`), shape `(2, D, H, W)`,
            float16 or float32.
        valid: Where the host has signal, shape `(D, H, W)`, bool.
        tumor: Instance numbers, 0 for none, shape `(D, H, W)`, uint8.
        body: Voxels where crops may be centred, shape `(N, 3)`, integers.
    """

    @property
    def q(self) -> Tensor: ...  # noqa: D102
    @property
    def valid(self) -> Tensor: ...  # noqa: D102
    @property
    def tumor(self) -> Tensor: ...  # noqa: D102
    @property
    def body(self) -> Tensor: ...  # noqa: D102


class Crop(NamedTuple):
    """A box cut from a case.

    Args:
        q: Mapped intensities, shape `(2, n, n, n)`, float32.
        valid: False in padding and where the case had no signal, `(n, n, n)`, bool.
        tumor: Instance numbers, `(n, n, n)`, uint8.
    """

    q: Tensor
    valid: Tensor
    tumor: Tensor


@dataclass(frozen=True)
class CropMix:
    """Where crops are centred; what is left of 1 falls anywhere (all ours).

    Args:
        tumor: Share centred near a tumor voxel, where the case has one.
        body: Share centred near a body voxel.
        overhang: Share that may reach over the edge of the case.
        jitter: Largest shift of the centre, as a share of the side.
    """

    tumor: float = 0.45
    body: float = 0.4
    overhang: float = 0.1
    jitter: float = 1 / 3


@dataclass(frozen=True)
class _Resident:
    q: Tensor
    valid: Tensor
    tumor: Tensor
    body: Tensor


def resident(cases: Sequence[TrainingCase], device: torch.device) -> Sequence[TrainingCase]:
    """The cases on a GPU, where they take at most half of its free memory; else as they are."""
    if device.type != "cuda" or not len(cases):
        return cases
    size = sum(t.nbytes for case in cases for t in (case.q, case.valid, case.tumor))
    if size > torch.cuda.mem_get_info(device)[0] // 2:
        return cases
    return [
        _Resident(c.q.to(device), c.valid.to(device), c.tumor.to(device), c.body) for c in cases
    ]


class CropSampler:
    """Draws crops from cases.

    Args:
        cases: At least one.
        mix: Where crops are centred.
    """

    def __init__(self, cases: Sequence[TrainingCase], mix: CropMix = CropMix()) -> None:
        if not len(cases):
            raise SynBTError("Training needs at least one case, got none. Give --data a dataset.")
        self.cases, self.mix = cases, mix
        picker = torch.Generator().manual_seed(0)
        self._tumor_sites = [_some_sites(case.tumor, picker) for case in cases]

    def crop(self, size: int | tuple[int, int, int], *, generator: torch.Generator) -> Crop:
        """Draw one crop, flipped and its axes permuted at random.

        Args:
            size: Sides in voxels, before the axes are permuted.
            generator: CPU generator.
        """
        sides = (size,) * 3 if isinstance(size, int) else size
        index = below(len(self.cases), generator)
        case, tumor_sites = self.cases[index], self._tumor_sites[index]
        volume = tuple(case.q.shape[1:])
        draw = uniform(generator)
        if draw < self.mix.tumor and len(tumor_sites):
            centre = tumor_sites[below(len(tumor_sites), generator)].tolist()
        elif draw < self.mix.tumor + self.mix.body and len(case.body):
            centre = case.body[below(len(case.body), generator)].tolist()
        else:
            centre = [below(n, generator) for n in volume]
        overhang = uniform(generator) < self.mix.overhang
        corner = []
        for middle, side, n in zip(centre, sides, volume, strict=True):
            reach = round(side * self.mix.jitter)
            low = int(middle) - side // 2 + below(2 * reach + 1, generator) - reach
            corner.append(low if overhang else min(max(low, 0), max(n - side, 0)))
        return turn(cut(case, corner, sides), generator=generator)

    def batch(
        self, size: int | tuple[int, int, int], count: int, *, generator: torch.Generator
    ) -> Tensor:
        """Draw crops and stack their intensities, shape `(count, 2, ...)`, float32.

        Sides that differ among themselves are drawn without permuting axes.
        """
        crops = [self.crop(size, generator=generator).q for _ in range(count)]
        return torch.stack(crops)


def cut(case: TrainingCase, corner: Sequence[int], sides: Sequence[int]) -> Crop:
    """Cut a box, padding with the nearest voxels where it overhangs.

    Args:
        case: To cut from.
        corner: First voxel along D, H and W; may be negative.
        sides: Sides of the box in voxels.
    """
    volume = case.q.shape[1:]
    # A box beside the case entirely would have no voxel to repeat.
    corner = [min(max(low, 1 - s), n - 1) for low, s, n in zip(corner, sides, volume, strict=True)]
    inside = [
        slice(max(low, 0), min(low + s, n)) for low, s, n in zip(corner, sides, volume, strict=True)
    ]
    q = case.q[(slice(None), *inside)].float()
    valid, tumor = case.valid[tuple(inside)], case.tumor[tuple(inside)]
    pad: list[int] = []
    for low, s, part in reversed(list(zip(corner, sides, inside, strict=True))):
        before = part.start - low
        pad += [before, s - before - (part.stop - part.start)]
    if any(pad):
        q = F.pad(q[None], pad, mode="replicate")[0]
        valid, tumor = F.pad(valid, pad, value=False), F.pad(tumor, pad, value=0)
    return Crop(q, valid.bool(), tumor)


def turn(crop: Crop, *, generator: torch.Generator) -> Crop:
    """Flip each axis at random; permute them too where the sides are equal."""
    flips = [axis for axis in (-3, -2, -1) if uniform(generator) < 0.5]
    order = torch.randperm(3, generator=generator).tolist()
    if len(set(crop.valid.shape)) > 1:
        order = [0, 1, 2]

    def turned(volume: Tensor) -> Tensor:
        lead = volume.ndim - 3
        moved = volume.permute(*range(lead), *(lead + axis for axis in order))
        return (moved.flip(flips) if flips else moved).contiguous()

    return Crop(*(turned(volume) for volume in crop))


def jitter_intensity(q: Tensor, *, generator: torch.Generator, share: float = 0.7) -> Tensor:
    """Scale and shift each channel of some crops, so that reference errors do no harm.

    Args:
        q: Mapped intensities, shape `(B, 2, D, H, W)`.
        generator: CPU generator.
        share: Of the crops that change (ours, as are the ranges).

    Returns:
        `(q + 1) a - 1 + b` with a in [.75, 1.3] and b in [-.06, .06].
    """
    shape = (q.shape[0], q.shape[1], 1, 1, 1)
    changed = (torch.rand(q.shape[0], 1, 1, 1, 1, generator=generator) < share).float()
    scale = 1 + changed * (0.75 + 0.55 * torch.rand(shape, generator=generator) - 1)
    shift = changed * (0.12 * torch.rand(shape, generator=generator) - 0.06)
    return (q + 1) * scale.to(q.device) - 1 + shift.to(q.device)


def _some_sites(tumor: Tensor, picker: torch.Generator) -> Tensor:
    sites = tumor.nonzero()
    keep = torch.randperm(len(sites), generator=picker)[:_TUMOR_SITES]
    return sites[keep.to(sites.device)].cpu()


def below(count: int, generator: torch.Generator) -> int:
    """A random integer from 0 to `count - 1`."""
    return int(torch.randint(count, (), generator=generator))


def uniform(generator: torch.Generator) -> float:
    """A random number in [0, 1)."""
    return float(torch.rand((), generator=generator))
