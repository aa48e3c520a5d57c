"""Random fields: smooth noise, cell walls, small blurs, and the randomness behind them.

Everything works in mm on any voxel size. Nothing here knows anatomy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy import ndimage
from torch import Tensor

Triple = tuple[float, float, float]

BANK_VOXELS = 112
BANK_CELL_VOXELS = 12


@dataclass(frozen=True)
class Randomness:
    """One stage's private source: single numbers from NumPy, fields from torch."""

    numbers: np.random.Generator
    fields: torch.Generator

    @classmethod
    def stages(cls, seed: int, count: int) -> list[Randomness]:
        """Independent sources, so that one stage's draws never shift another's."""
        children = np.random.SeedSequence(seed).spawn(count)
        return [
            cls(
                np.random.Generator(np.random.PCG64(child)),
                torch.Generator().manual_seed(int(child.generate_state(2, np.uint64)[1] >> 1)),
            )
            for child in children
        ]

    def uniform(self, low: float, high: float) -> float:
        """One number, even between `low` and `high`."""
        return float(self.numbers.uniform(low, high))

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> float:
        """One number from a normal distribution."""
        return float(self.numbers.normal(mean, sd))

    def lognormal(
        self, median: float, sigma: float, within: tuple[float, float] = (0.0, math.inf)
    ) -> float:
        """One number whose logarithm is normal with SD `sigma`, clipped to `within`."""
        return min(max(median * math.exp(self.normal(0.0, sigma)), within[0]), within[1])

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.numbers.random() < probability)


@dataclass(frozen=True)
class Grid:
    """Voxel grid; `origin_mm` is the position of voxel (0, 0, 0) in the phantom's frame.

    In that frame x = 0 is the midline (positive to the patient's left), y grows from the
    front edge of the field of view to the back, and z = 0 is the middle slice.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)

    def axis(self, dim: int) -> Tensor:
        """Coordinates in mm along one axis, shaped to broadcast over the volume."""
        values = torch.arange(self.shape[dim]).float() * self.spacing[dim] + self.origin_mm[dim]
        return values.reshape([-1 if d == dim else 1 for d in range(3)])

    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates in mm along X, Y and Z."""
        return self.axis(0), self.axis(1), self.axis(2)

    def index(self, point_mm: ArrayLike) -> np.ndarray:
        """Fractional voxel index of points in mm, shape `(..., 3)`."""
        return (np.asarray(point_mm) - np.array(self.origin_mm)) / np.array(self.spacing)

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        """The part of the grid inside `box`, in the same frame."""
        origin = tuple(o + b.start * s for o, b, s in zip(self.origin_mm, box, self.spacing))
        shape = tuple(b.stop - b.start for b in box)
        return Grid(shape, self.spacing, origin)  # type: ignore[arg-type]

    @property
    def extent_mm(self) -> Triple:
        """Edge lengths of the field of view."""
        x, y, z = (n * s for n, s in zip(self.shape, self.spacing))
        return x, y, z

    def smooth_noise(
        self,
        cell_mm: float | Triple,
        *,
        generator: torch.Generator,
        octaves: int = 1,
        persistence: float = 0.5,
        flat: int | None = None,
    ) -> Tensor:
        """`smooth_noise` with cells in mm; `flat` names an axis of one voxel."""
        cell = np.broadcast_to(np.asarray(cell_mm, float), 3) / np.array(self.spacing)
        shape = [1 if d == flat else n for d, n in enumerate(self.shape)]
        return smooth_noise(
            shape, cell, generator=generator, octaves=octaves, persistence=persistence
        )


def grain(grid: Grid, sigma_mm: float | Triple, *, generator: torch.Generator) -> Tensor:
    """White noise under a Gaussian, of unit variance: fine texture without a lattice's lines.

    Args:
        grid: What it lies on.
        sigma_mm: SD of the Gaussian, one or one per axis; a few voxels at most.
        generator: Source of randomness.
    """
    x, y, z = (
        float(mm) / s for mm, s in zip(np.broadcast_to(np.asarray(sigma_mm), 3), grid.spacing)
    )
    noise = blur(torch.randn(grid.shape, generator=generator), (x, y, z))
    return noise / float(noise.numpy().std(dtype=np.float64))


def upsample(coarse: Tensor, shape: list[int] | tuple[int, ...] | torch.Size) -> Tensor:
    """Trilinear resize of a `(X, Y, Z)` tensor, corners aligned.

    Axis by axis, as products of matrices: a quarter of the time of torch's `interpolate`.
    """
    return _resized(coarse, [_linear_weights(n, m) for n, m in zip(coarse.shape, shape)])


def _resized(coarse: Tensor, weights: list[Tensor]) -> Tensor:
    """A `(X, Y, Z)` tensor times one matrix per axis, each `(voxels, knots)`."""
    x, y, z = weights
    plane = y @ (coarse @ z.T)
    return (x @ plane.reshape(len(coarse), -1)).reshape(len(x), len(y), len(z))


def _linear_weights(knots: int, count: int) -> Tensor:
    """What each of `count` points takes from `knots` values, shape `(count, knots)`."""
    at = torch.linspace(0, knots - 1, count, dtype=torch.float64)
    below = at.long().clamp_max(max(knots - 2, 0))
    part = (at - below).float()
    weights = torch.zeros(count, knots)
    rows = torch.arange(count)
    weights[rows, below] = 1 - part
    weights[rows, (below + 1).clamp_max(knots - 1)] += part
    return weights


def _spline_weights(knots: int, count: int) -> Tensor:
    """Cubic B-splines at `count` points between the second and the second last of `knots`."""
    at = torch.linspace(1, knots - 2, count, dtype=torch.float64)
    away = (at[:, None] - torch.arange(knots)).abs()
    near = 2 / 3 - away**2 + away**3 / 2
    far = (2 - away).clamp_min(0) ** 3 / 6
    return torch.where(away < 1, near, far).float()


def smooth_noise(
    shape: list[int] | tuple[int, ...],
    cell: np.ndarray,
    *,
    generator: torch.Generator,
    octaves: int = 1,
    persistence: float = 0.5,
) -> Tensor:
    """Noise of about zero mean and unit variance, twice differentiable.

    Random knots under cubic B-splines: between linear ones, outlines are polygons along the axes.

    Args:
        shape: Voxels along each axis.
        cell: Size of the largest blobs in voxels, one per axis. They correlate as far as those of
            a linear interpolation of knots so far apart.
        generator: Source of randomness.
        octaves: How often blobs of half the size are added.
        persistence: Amplitude of each octave relative to the one before.
    """
    total: Tensor | None = None
    power = 0.0
    for octave in range(octaves):
        # A spline of knots this close is as wide as a linear one of knots a cell apart.
        size = np.maximum(np.asarray(cell) / 2**octave / math.sqrt(2), 1.0)
        knots = [math.ceil(n / c) + 3 for n, c in zip(shape, size)]
        amplitude = persistence**octave
        weights = [_spline_weights(k, n) for k, n in zip(knots, shape)]
        layer = _resized(torch.randn(knots, generator=generator) * amplitude, weights)
        total = layer if total is None else total.add_(layer)
        # Cubic B-splines keep (151/315)^3 = 0.11 of white noise's variance.
        power += (151 / 315) ** 3 * amplitude**2
    assert total is not None, "octaves must be at least 1"
    return total.mul_(1 / math.sqrt(power))


def sample(texture: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Read a texture at normalised coordinates (-1..1 spans it; beyond, it is mirrored).

    Several textures of one size, shape `(C, X, Y, Z)`, are read at once. The coordinates may have
    any shape that they broadcast to: `(N,)` reads a list of points.
    """
    points = torch.stack(torch.broadcast_tensors(z, y, x), dim=-1)
    shape = points.shape[:-1]
    textures = texture[None] if texture.ndim == 4 else texture[None, None]
    read = F.grid_sample(
        textures,
        points.reshape(1, 1, 1, -1, 3),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=True,
    )[0, :, 0, 0]
    return read.reshape(-1, *shape) if texture.ndim == 4 else read.reshape(shape)


def blur(field: Tensor, sigma_voxels: Triple) -> Tensor:
    """Small Gaussian blur by repeated three-tap filters; edges repeat. Returns a new tensor."""
    field = field.clone()
    for dim, sigma in enumerate(sigma_voxels):
        n = field.shape[dim]
        if sigma <= 0 or n < 2:
            continue
        # A tap of w, 1 - 2w, w adds a variance of 2w; w <= 1/4 keeps the response positive.
        passes = math.ceil(sigma**2 / 0.5)
        w = sigma**2 / 2 / passes
        for _ in range(passes):
            out = field * (1 - 2 * w)
            out.narrow(dim, 0, n - 1).add_(field.narrow(dim, 1, n - 1), alpha=w)
            out.narrow(dim, 1, n - 1).add_(field.narrow(dim, 0, n - 1), alpha=w)
            out.narrow(dim, 0, 1).add_(field.narrow(dim, 0, 1), alpha=w)
            out.narrow(dim, n - 1, 1).add_(field.narrow(dim, n - 1, 1), alpha=w)
            field = out
    return field


def distance_inside_mm(mask: Tensor, spacing: Triple, step: int = 2) -> Tensor:
    """Distance to the nearest voxel outside, in mm, computed at 1/`step` resolution."""
    coarse = mask[::step, ::step, ::step].numpy()
    distance = ndimage.distance_transform_edt(coarse, sampling=[s * step for s in spacing])
    return upsample(torch.from_numpy(distance.astype(np.float32)), mask.shape)


def bounding_box(mask: Tensor) -> tuple[slice, slice, slice] | None:
    """Smallest box around the true voxels, or `None` if there are none."""
    box = []
    for dim in range(3):
        others = tuple(d for d in range(3) if d != dim)
        hits = torch.nonzero(mask.any(dim=others[1]).any(dim=others[0]))[:, 0]
        if len(hits) == 0:
            return None
        box.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return box[0], box[1], box[2]


@cache
def cell_walls(variant: int) -> Tensor:
    """Distance to the walls of a Voronoi foam, in units of the mean cell size.

    The foam depends on `variant` (0, 1 or 2) alone, not on any seed or on the order of
    calls; about half a second the first time, then cached. Shape `(112, 112, 112)`.
    """
    n = BANK_VOXELS
    rng = np.random.Generator(np.random.PCG64([7, variant]))
    count = (n // BANK_CELL_VOXELS) ** 3
    empty = np.ones((n, n, n), bool)
    empty[tuple(rng.integers(0, n, (count, 3)).T)] = False
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    owner = (nearest[0] * n + nearest[1]) * n + nearest[2]
    wall = np.zeros_like(empty)
    for dim in range(3):
        first = tuple(slice(0, -1) if d == dim else slice(None) for d in range(3))
        wall[first] |= np.diff(owner, axis=dim) != 0
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(~wall), 0.5)
    # The filter lifts the walls off zero by about 0.3 voxels.
    distance = np.clip(distance - 0.3, 0, None)
    return torch.from_numpy((distance / BANK_CELL_VOXELS).astype(np.float32))


def foam(
    variant: int, cell_mm: float, x: Tensor, y: Tensor, z: Tensor, offset: np.ndarray
) -> Tensor:
    """Distance in mm to the walls of a foam of `cell_mm` cells, at positions in mm."""
    half_extent = BANK_VOXELS / 2 / BANK_CELL_VOXELS * cell_mm
    position = [c / half_extent + float(o) for c, o in zip((x, y, z), offset)]
    return sample(cell_walls(variant), *position) * cell_mm
