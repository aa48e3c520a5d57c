"""What tumor, how it lies, and where: the random part of painting, as plain numbers.

Everything drawn here ends in a `Placement`, which goes into the recipe. `rasterize` turns it
into a shape, the same one every time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.mask import (
    bounding_box,
    pose,
    rotation_matrix,
    smooth_surface,
    sphere_voxels,
)
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.bank import TumorBank, template_distance
from synbt_aug.volume import Spacing
from synbt_aug.window import WINDOW_SIDES_MM, Window, fitting_side, window_around

#: The smallest tumor, in mm: a latent cell and a half.
SMALLEST_MM = 6.0

#: Diameters of the cohort: about lognormal with this median and this SD of the logarithm
#: (MAMA-MIA: 17, 30 and 58 mm at 5, 50 and 95 %).
MEDIAN_MM = 30.0
LOG_SD = 0.38

#: Share of a tumor's voxels that must lie on allowed tissue.
_INSIDE = 0.97

#: Elastic displacement: SD over the tumor's diameter, on a grid of so many points a side.
_ELASTIC = 0.04
_ELASTIC_POINTS = 4

#: How far the level may move when a size is met, in mm.
_LEVEL_REACH_MM = 1.0


@dataclass(frozen=True)
class Pose:
    """How a template lies in its window.

    Args:
        template: Its index in the bank.
        quaternion: Rotation (w, x, y, z), a unit quaternion.
        flip: Whether the first axis is mirrored before it is rotated.
        elastic_mm: SD of the elastic displacement, in mm.
        elastic_seed: Of the displacement field.
    """

    template: int
    quaternion: tuple[float, float, float, float]
    flip: bool
    elastic_mm: float
    elastic_seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "quaternion": list(self.quaternion)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pose:
        """Read what `to_dict` wrote."""
        w, x, y, z = (float(v) for v in values["quaternion"])
        return cls(**{**values, "quaternion": (w, x, y, z)})


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def draw_seed(generator: torch.Generator) -> int:
    """A seed for something of its own, below 2^31."""
    return int(torch.randint(2**31 - 1, (), generator=generator))


def draw_diameter_mm(generator: torch.Generator, most_mm: float) -> float:
    """A diameter from the cohort's distribution, at most `most_mm`, at least 6 mm."""
    for _ in range(16):
        diameter = MEDIAN_MM * math.exp(LOG_SD * float(_normal(generator)))
        if SMALLEST_MM <= diameter <= most_mm:
            return diameter
    # A breast far smaller than the cohort's tumors: anything that fits.
    return SMALLEST_MM + _uniform(generator) * max(most_mm - SMALLEST_MM, 0.0)


def draw_pose(
    bank: TumorBank, diameter_mm: float, generator: torch.Generator, category: str | None = None
) -> Pose:
    """A template near the wanted size, and how it lies.

    Args:
        bank: Where from.
        diameter_mm: Wanted; templates within about 25 % of it are likely.
        generator: On the CPU.
        category: Only templates of this category, where the bank has any.
    """
    candidates = bank.of_category(category) if category else []
    candidates = candidates or list(range(len(bank)))
    ratio = torch.tensor(
        [math.log(bank.templates[k].diameter_mm / diameter_mm) for k in candidates],
        dtype=torch.float64,
    )
    # The nearest keeps a chance however far it is.
    weight = torch.exp(-0.5 * ((ratio.abs() - ratio.abs().min()) / 0.25) ** 2)
    chosen = int(torch.multinomial(weight, 1, generator=generator))
    quaternion = _normal(generator, 4)
    w, x, y, z = (quaternion / quaternion.norm()).tolist()
    return Pose(
        template=candidates[chosen],
        quaternion=(w, x, y, z),
        flip=_uniform(generator) < 0.5,
        elastic_mm=_ELASTIC * diameter_mm,
        elastic_seed=draw_seed(generator),
    )


def rotation_and_displacement(how: Pose) -> tuple[Tensor, Tensor]:
    """A pose as `mask.pose` takes it: shape `(3, 3)`, and `(3, k, k, k)` in mm."""
    generator = torch.Generator().manual_seed(how.elastic_seed)
    grid = (3, _ELASTIC_POINTS, _ELASTIC_POINTS, _ELASTIC_POINTS)
    displacement = torch.randn(grid, generator=generator) * how.elastic_mm
    rotation = rotation_matrix(torch.tensor(how.quaternion, dtype=torch.float64))
    if how.flip:
        rotation = rotation * torch.tensor([-1.0, 1.0, 1.0])
    return rotation, displacement


class Raster(NamedTuple):
    """A shape in its window, and how that window was reached.

    Args:
        distance: What `rasterize` gives.
        zoom: Of the template, corrected for what smoothing ate.
        side: Of the window it was posed in, in mm.
        first: Where in that window the shape's own begins; negative where it reaches beyond.
    """

    distance: Tensor
    zoom: float
    side: int
    first: tuple[int, int, int]


def _posed(bank: TumorBank, how: Pose, zoom: float, side: int, device: torch.device) -> Tensor:
    rotation, displacement = rotation_and_displacement(how)
    distance = template_distance(bank, how.template).to(device)
    return _without_specks(smooth_surface(pose(distance, rotation, zoom, displacement, side)))


def _without_specks(distance: Tensor) -> Tensor:
    """Push parts of less than a twentieth of the largest one outside the surface.

    Smoothing and posing leave islands of a few voxels, which no 4 mm latent cell can show.
    """
    # Parts that the level may yet join, or call up, when the size is met, are judged too.
    parts, count = ndimage.label((distance <= _LEVEL_REACH_MM).cpu().numpy())
    if count < 2:
        return distance
    inside = (distance <= 0).cpu().numpy()
    sizes = np.bincount(parts[inside], minlength=count + 1)[1:]
    specks = np.flatnonzero(sizes < max(0.05 * sizes.max(), 1)) + 1
    small = torch.from_numpy(np.isin(parts, specks)).to(distance.device)
    return torch.where(small, distance.clamp_min(2 * _LEVEL_REACH_MM), distance)


def rasterize(
    bank: TumorBank,
    how: Pose,
    diameter_mm: float,
    hole_margin_mm: float,
    device: torch.device | str = "cpu",
) -> Tensor | None:
    """A posed template of a given size, in the smallest window that holds it.

    Args:
        bank: The template's bank.
        how: Its pose.
        diameter_mm: Equivalent-sphere diameter wanted.
        hole_margin_mm: Dilation of the hole, which the window must hold with tissue around.
        device: Where to compute.

    Returns:
        Signed distance, shape `(n, n, n)` with n one of `WINDOW_SIDES_MM`, in mm, negative
        inside; the volume inside is met to a voxel. None when no window holds it.
    """
    raster = rasterized(bank, how, diameter_mm, hole_margin_mm, device)
    return None if raster is None else raster.distance


def rasterized(
    bank: TumorBank,
    how: Pose,
    diameter_mm: float,
    hole_margin_mm: float,
    device: torch.device | str = "cpu",
) -> Raster | None:
    """As `rasterize`, with how the window was reached."""
    device = torch.device(device)
    target = sphere_voxels(diameter_mm)
    zoom = diameter_mm / bank.templates[how.template].diameter_mm
    least = fitting_side(zoom * max(bank.templates[how.template].mask.shape)) or WINDOW_SIDES_MM[-1]
    for side in (s for s in WINDOW_SIDES_MM if s >= least):
        distance = _posed(bank, how, zoom, side, device)
        for _ in range(3):
            # Smoothing eats thin parts: grow the template until its volume is right again.
            volume = int((distance <= 0).sum())
            correction = (target / max(volume, target // 8, 1)) ** (1 / 3)
            if abs(correction - 1) < 0.02:
                break
            zoom *= correction
            distance = _posed(bank, how, zoom, side, device)
        distance = distance - distance.flatten().kthvalue(target).values
        box = bounding_box(distance <= hole_margin_mm)
        fits = fitting_side(max(end - start for start, end in box))
        if fits is not None and fits <= side:
            first = _first(box, fits)
            return Raster(_cropped(distance, first, fits), zoom, side, first)
    return None


def _first(box: tuple[tuple[int, int], ...], side: int) -> tuple[int, int, int]:
    """The first voxel of a window of this side around the box's middle."""
    d, h, w = ((start + end) // 2 - side // 2 for start, end in box)
    return d, h, w


def _cropped(distance: Tensor, first: tuple[int, int, int], side: int) -> Tensor:
    """A window of this side from its first voxel; what lies beyond is far outside."""
    far = float(distance.max())
    out = distance.new_full((side,) * 3, far)
    source, target = [], []
    for start, length in zip(first, distance.shape, strict=True):
        low, high = max(start, 0), min(start + side, length)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    out[tuple(target)] = distance[tuple(source)]
    return out


def allowed_in_window(sites: SiteMap, window: Window, shape: tuple[int, int, int]) -> Tensor:
    """Where tumor may lie, in a window; False beyond the host. Boolean, CPU, `(n, n, n)`."""
    steps = torch.arange(window.side)
    result = sites.allowed
    for axis in range(3):
        host = (window.origin[axis] + steps / window.spacing[axis]).round().to(torch.long)
        inside = (host >= 0) & (host < shape[axis])
        coarse = ((host + 0.5) / sites.factors[axis]).floor().to(torch.long)
        view = [1, 1, 1]
        view[axis] = window.side
        index = coarse.clamp(0, result.shape[axis] - 1)
        result = result.index_select(axis, index) & inside.view(view)
    return result


def draw_window(
    sites: SiteMap,
    mask: Tensor,
    shape: tuple[int, int, int],
    spacing: Spacing,
    generator: torch.Generator,
    tries: int = 24,
) -> Window | None:
    """A place for a shape.

    Args:
        sites: Of the host.
        mask: The tumor in the middle of its window, boolean, shape `(n, n, n)`.
        shape: The host's shape.
        spacing: The host's voxel size, in mm.
        generator: On the CPU.
        tries: Sites to try; the likeliest that fit, not the best, is taken.

    Returns:
        The window, or None where no site tried has room.
    """
    mask = mask.cpu()
    voxels = int(mask.sum())
    radius_mm = (3 * voxels / (4 * math.pi)) ** (1 / 3)
    room = (sites.depth_mm / (0.7 * radius_mm)).clamp(0, 1) ** 2
    weight = (sites.weight * room).flatten().double()
    if not bool(weight.sum() > 0):
        return None
    for chosen in torch.multinomial(weight, tries, replacement=True, generator=generator).tolist():
        jitter = torch.rand(3, generator=generator).tolist()
        d, h, w = torch.unravel_index(torch.tensor(chosen), sites.weight.shape)
        d, h, w = (
            (int(index) + share) * factor - 0.5
            for index, share, factor in zip((d, h, w), jitter, sites.factors, strict=True)
        )
        window = window_around((d, h, w), mask.shape[0], spacing)
        if int((mask & allowed_in_window(sites, window, shape)).sum()) >= _INSIDE * voxels:
            return window
    return None
