"""What the codec is held against: simpler ways to lose detail, one of them at its very rate.

Each takes a scan and gives it back as it would be after coding, in the scan's own units. The
block PCA spends the same bits: `log2(codebook size)` = 13 for each cell of 4 x 4 x 4 voxels and
two channels, as 13 bits of scalar quantizers on the cell's principal components. A code of fixed
length is compared with codes of fixed length; no entropy coder helps either side. The bits go,
one after the other, to the component whose mean squared error they lower most, and each
component's levels are Lloyd's for training cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import gaussian
from synbt_aug.networks import VQVAE
from synbt_aug.signal.intensity import IntensityReference, from_model, to_model

#: (image `(2, D, H, W)`, references) -> the same after coding, float32.
Coding = Callable[[Tensor, IntensityReference], Tensor]

#: Voxels a cell along each axis.
CELL = 4

_MOST_CELLS = 60_000
_LLOYD_ROUNDS = 25


def by_codec(codec: VQVAE, patch: int | None = None, *, quantized: bool = True) -> Coding:
    """The codec: map, encode, codebook, decode, map back.

    Args:
        codec: In eval mode, on the device that is to do it.
        patch: Encode patches of this side and join them, as the paper does; None: in one pass.
        quantized: False decodes the continuous latent: what a perfect codebook would give.
    """

    @torch.no_grad()
    def code(image: Tensor, reference: IntensityReference) -> Tensor:
        q = to_model(image, reference)[None].to(next(codec.parameters()).device)
        padded, sides = _to_whole_cells(q)
        z = codec.encode(padded) if patch is None else codec.encode_patches(padded, patch)
        seen = codec.decode(codec.quantize(z)[0] if quantized else z)[(0, slice(None), *sides)]
        return from_model(seen.to(image.device), reference)

    return code


def by_gaussian(sigma_mm: float = 1.0) -> Coding:
    """A Gaussian blur of voxels of 1 mm; its weights are 1 at the faces, too."""

    def code(image: Tensor, reference: IntensityReference) -> Tensor:
        x = image.to(torch.float32)
        return gaussian(x, sigma_mm) / gaussian(torch.ones_like(x[:1]), sigma_mm)

    return code


def by_pooling(image: Tensor, reference: IntensityReference) -> Tensor:
    """Average pooling over 2^3 voxels and linear interpolation: 8 numbers a cell and channel."""
    x = image.to(torch.float32)[None]
    sides = x.shape[2:]
    padded = F.pad(x, [k for n in reversed(sides) for k in (0, n % 2)], mode="replicate")
    small = F.avg_pool3d(padded, 2)
    wide = F.interpolate(small, scale_factor=2, mode="trilinear", align_corners=False)
    return wide[0, :, : sides[0], : sides[1], : sides[2]]


@dataclass(frozen=True)
class BlockPCA:
    """A cell's principal components, each coded by a scalar quantizer; use as a `Coding`.

    Args:
        mean: Of the cells, shape `(128,)`.
        basis: Components that got bits, shape `(K, 128)`, orthonormal rows.
        levels: Of each component, ascending; `2 ** bits` of them.
    """

    mean: Tensor
    basis: Tensor
    levels: tuple[Tensor, ...]

    @property
    def bits(self) -> int:
        """Of one cell."""
        return sum(round(math.log2(len(levels))) for levels in self.levels)

    def __call__(self, image: Tensor, reference: IntensityReference) -> Tensor:
        """Code a scan; see `Coding`."""
        q, sides = _to_whole_cells(to_model(image, reference)[None])
        cells, grid = to_cells(q[0])
        found = (cells - self.mean) @ self.basis.T
        for k, levels in enumerate(self.levels):
            found[:, k] = _nearest(found[:, k], levels)
        coded = from_cells(found @ self.basis + self.mean, grid)
        return from_model(coded[(slice(None), *sides)], reference)


def fit_block_pca(
    windows: Sequence[Tensor], bits: int = 13, *, generator: torch.Generator
) -> BlockPCA:
    """Learn components and levels.

    Args:
        windows: Mapped signal of training scans, shape `(2, D, H, W)` each, sides that divide
            by 4.
        bits: Of a cell.
        generator: On the CPU: which cells are looked at.

    Raises:
        SynBTError: If there are too few cells for the levels.

    Source:
        Gersho and Gray, "Vector quantization and signal compression", 1992, chapters 8 (transform
        coding, allocation of bits) and 6 (Lloyd).
    """
    cells = torch.cat([to_cells(q.float())[0] for q in windows])
    if len(cells) < 2 ** min(bits, 10):
        raise SynBTError(
            f"A block PCA of {bits} bits needs at least {2 ** min(bits, 10)} cells to learn from, "
            f"got {len(cells)}. Give it more windows."
        )
    cells = cells[torch.randperm(len(cells), generator=generator)[:_MOST_CELLS]]
    mean = cells.mean(0)
    _, vectors = torch.linalg.eigh(torch.cov((cells - mean).T.double()))
    basis = vectors.flip(1).T[:bits].float()
    scores = (cells - mean) @ basis.T
    levels = [scores[:, k].mean()[None] for k in range(len(basis))]
    # What one bit more would save, for each component.
    finer = [_lloyd(scores[:, k], 2) for k in range(len(basis))]
    for _ in range(bits):
        saves = [
            _error(scores[:, k], levels[k]) - _error(scores[:, k], finer[k])
            for k in range(len(basis))
        ]
        best = saves.index(max(saves))
        levels[best] = finer[best]
        finer[best] = _lloyd(scores[:, best], 2 * len(levels[best]))
    kept = [k for k in range(len(basis)) if len(levels[k]) > 1]
    return BlockPCA(mean, basis[kept], tuple(levels[k] for k in kept))


def to_cells(q: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut `(2, D, H, W)` into cells, shape `(N, 128)`, and say how many lie along each axis."""
    channels, d, h, w = q.shape
    grid = (d // CELL, h // CELL, w // CELL)
    blocks = q.reshape(channels, grid[0], CELL, grid[1], CELL, grid[2], CELL)
    return blocks.permute(1, 3, 5, 0, 2, 4, 6).reshape(math.prod(grid), -1), grid


def from_cells(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The inverse of `to_cells`."""
    blocks = cells.reshape(*grid, 2, CELL, CELL, CELL).permute(3, 0, 4, 1, 5, 2, 6)
    return blocks.reshape(2, *(n * CELL for n in grid))


def _to_whole_cells(q: Tensor) -> tuple[Tensor, tuple[slice, slice, slice]]:
    """Pad `(1, 2, D, H, W)` until its sides divide by 4; and where the scan is in there."""
    d, h, w = q.shape[2:]
    pad = [k for n in (w, h, d) for k in (0, -n % CELL)]
    whole = F.pad(q, pad, mode="replicate") if any(pad) else q
    return whole, (slice(0, d), slice(0, h), slice(0, w))


def _nearest(values: Tensor, levels: Tensor) -> Tensor:
    if len(levels) == 1:
        return levels.expand_as(values)
    return levels[torch.bucketize(values.contiguous(), (levels[1:] + levels[:-1]) / 2)]


def _error(values: Tensor, levels: Tensor) -> float:
    return float((values - _nearest(values, levels)).square().mean())


def _lloyd(values: Tensor, count: int) -> Tensor:
    """Levels of least mean squared error, from quantiles on."""
    levels = torch.quantile(values, (torch.arange(count) + 0.5) / count)
    for _ in range(_LLOYD_ROUNDS):
        which = torch.bucketize(values.contiguous(), (levels[1:] + levels[:-1]) / 2)
        sums = torch.zeros(count).index_add_(0, which, values)
        counts = torch.bincount(which, minlength=count)
        levels = torch.where(counts > 0, sums / counts.clamp_min(1), levels)
    return levels
