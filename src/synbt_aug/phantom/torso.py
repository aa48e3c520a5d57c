"""The outer form: chest, breasts hanging from it, nipples, and distances from the skin.

Everything is implicit: a field in mm that is positive inside. A prone patient's breasts
hang towards smaller y. What lies inside is the business of other files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Grid, Randomness, distance_inside_mm

# Mean breast volume in ml falls with density: by BI-RADS in a CT and MRI series, times 1.13 to
# 1.24, as slices of phantoms held more air than patients'.
VOLUME_ML = {"a": 1300.0, "b": 830.0, "c": 600.0, "d": 450.0}
DENSITY_SHARE = {"a": 0.10, "b": 0.40, "c": 0.40, "d": 0.10}


@dataclass(frozen=True)
class Breast:
    """One breast: where it hangs, how far, and the normalised distance from its axis."""

    side: int  # +1 left (x > 0), -1 right
    center: tuple[float, float]  # x and z of the base, mm
    base_y: float  # chest wall behind the base, mm
    height: float  # chest wall to nipple, mm
    radii: tuple[float, float]  # half width and half height of the base, mm
    nipple: tuple[float, float, float]  # mm
    radial: Tensor  # 0 on the axis, 1 on the side wall; shape of the grid


@dataclass(frozen=True)
class Torso:
    """Surface of the body and of the chest inside it. Tensors have the shape of the grid."""

    grid: Grid  # with x = 0 on the midline
    breasts: tuple[Breast, ...]
    body: Tensor  # bool
    skin_depth: Tensor  # mm below the surface; sharp near it, coarse deep down
    chest_depth: Tensor  # mm below the chest's own surface, negative in the breasts
    radial: Tensor  # smallest of the breasts' radial fields
    half_width: float  # of the chest, mm
    half_depth: float  # of the chest, mm
    chest_y: float  # y of the sternum's skin


def build_torso(settings: PhantomSettings, density: str, rnd: Randomness) -> Torso:
    """Draw a body that fills the field of view like a cropped breast MRI."""
    plain = Grid(settings.shape, settings.spacing)
    ex, ey, ez = plain.extent_mm
    bilateral = settings.bilateral
    if bilateral is None:
        bilateral = rnd.chance(0.6) and ex >= 250
    side = 1 if rnd.chance(0.5) else -1

    radius, height = _draw_size(density, (ex / (2 if bilateral else 1), ey, ez), rnd)
    lateral = min(max(radius + rnd.uniform(6, 20), 60.0), 100.0)
    if bilateral:
        lateral = min(lateral, 0.27 * ex)
    center_x = 0.0 if bilateral else side * (lateral + rnd.uniform(-0.06, 0.06) * ex)
    chest_y = min(height + rnd.uniform(4, 30), 0.78 * ey)
    height = min(height, chest_y - 4)
    grid = Grid(
        settings.shape,
        settings.spacing,
        (
            center_x - ex / 2 + settings.spacing[0] / 2,
            settings.spacing[1] / 2,
            -ez / 2 + settings.spacing[2] / 2,
        ),
    )

    half_width, half_depth = rnd.uniform(150, 185), rnd.uniform(100, 130)
    chest_surface, chest_depth = _chest(grid, chest_y, half_width, half_depth, rnd)
    surface = chest_depth
    breasts = []
    warp = [grid.smooth_noise(52, generator=rnd.fields) * 2.5 for _ in range(2)]
    # Large breasts hang as long rounded cylinders, small ones as half ellipsoids.
    droop = height / radius
    form = min(max(1.3 + 0.8 * droop + rnd.uniform(-0.4, 0.4), 1.7), 3.2)
    flare = rnd.uniform(8, 24)
    for each in (1, -1) if bilateral else (side,):
        x0 = each * lateral
        column = int(min(max(round(float(grid.index((x0, 0, 0))[0])), 0), grid.shape[0] - 1))
        base_y = float(chest_surface[column, 0, grid.shape[2] // 2])
        breast, field = _breast(
            grid, each, x0, base_y, radius, height + base_y - chest_y, form, warp, rnd
        )
        breasts.append(breast)
        gap = (field - surface).abs().clamp_max(flare)
        surface = torch.maximum(field, surface) + (flare - gap) ** 2 / (4 * flare)
    for breast in breasts:
        surface = surface + _nipple_bump(grid, breast, rnd)

    skin_depth = _skin_depth(surface, grid)
    radial = breasts[0].radial
    for breast in breasts[1:]:
        radial = torch.minimum(radial, breast.radial)
    return Torso(
        grid, tuple(breasts), skin_depth > 0, skin_depth, chest_depth, radial,
        half_width, half_depth, chest_y,
    )  # fmt: skip


def _draw_size(
    density: str, room: tuple[float, float, float], rnd: Randomness
) -> tuple[float, float]:
    """Half width and height (mm) of a breast of this density that fits into `room`."""
    volume = VOLUME_ML[density] * 1e3 * math.exp(rnd.normal(0.0, 0.35))
    droop = min(max(rnd.lognormal(1.35, 0.22), 0.85), 2.1)
    # A superquadric of exponent 2.6 and its flare hold about 3.3 x radius^2 x height.
    radius = (volume / (3.3 * droop)) ** (1 / 3)
    radius = min(max(radius, 38.0), 84.0, 0.50 * room[0] - 4, 0.62 * room[2])
    return radius, min(max(droop * radius, 38.0), 140.0, 0.64 * room[1])


def _chest(
    grid: Grid, chest_y: float, half_width: float, half_depth: float, rnd: Randomness
) -> tuple[Tensor, Tensor]:
    """Front surface y(x, z) of the chest and depth below it (or below the back), mm."""
    x, y, z = grid.axes()
    across = (x / half_width).abs().clamp_max(0.9999)
    bow = half_depth * (1 - torch.sqrt(1 - across**2))
    waves = 1.6 * grid.smooth_noise(45, generator=rnd.fields, flat=1)
    # The sternum lies in a shallow groove.
    groove = rnd.uniform(1, 6) * torch.exp(-((x / 22) ** 2))
    front = chest_y + bow + rnd.uniform(-0.08, 0.08) * z + waves + groove
    slope = half_depth / half_width * across / torch.sqrt(1 - across**2)
    steepness = torch.sqrt(1 + slope**2).clamp_max(2.5)
    back = chest_y + half_depth * rnd.uniform(1.7, 1.9) - bow
    return front, torch.minimum(y - front, back - y) / steepness


def _breast(
    grid: Grid,
    side: int,
    x0: float,
    base_y: float,
    radius: float,
    height: float,
    form: float,
    warp: list[Tensor],
    rnd: Randomness,
) -> tuple[Breast, Tensor]:
    """One breast and its implicit surface, about in mm, positive inside.

    The surface is a superquadric (r^form + t^form = 1): form 2 is a half ellipsoid,
    above 3 the long rounded cylinder of a large breast in a prone coil.
    """
    x, y, z = grid.axes()
    height *= 1 + rnd.normal(0, 0.04)
    radius_x = radius * (1 + rnd.normal(0, 0.03))
    radius_z = radius * rnd.uniform(0.86, 1.02)
    z0 = rnd.normal(0, 0.05) * min(grid.extent_mm[2], 120)
    shift_x, shift_z = side * rnd.normal(-2, 5), rnd.normal(-7, 6)
    bulge = rnd.uniform(-0.08, 0.07)

    t = (base_y - y) / height
    forward = t.clamp(0, 1)
    width = 1 + 4 * bulge * forward * (1 - forward)
    radial = (
        (((x - x0 - shift_x * forward + warp[0]) / radius_x).abs() / width) ** 2.2
        + (((z - z0 - shift_z * forward + warp[1]) / radius_z).abs() / width) ** 2.2
    ).clamp_min(1e-6) ** (1 / 2.2)
    quadric = (radial**form + t.clamp_min(0) ** form) ** (1 / form)
    nipple = (x0 + shift_x, base_y - height, z0 + shift_z)
    breast = Breast(side, (x0, z0), base_y, height, (radius_x, radius_z), nipple, radial)
    return breast, (1 - quadric) * min(radius_x, radius_z)


def _nipple_bump(grid: Grid, breast: Breast, rnd: Randomness) -> Tensor:
    x, y, z = grid.axes()
    off_axis = (x - breast.nipple[0]) ** 2 + (z - breast.nipple[2]) ** 2
    bump = rnd.uniform(2, 7) * torch.exp(-off_axis / (2 * rnd.uniform(3.2, 4.5) ** 2))
    return bump * (y < breast.nipple[1] + 30)


def _skin_depth(surface: Tensor, grid: Grid) -> Tensor:
    """Signed depth below the skin: first-order near the surface, a distance transform below.

    A distance transform of voxels steps like the voxels do; value over slope does not, so
    skin 1.4 mm thin stays smooth.
    """
    slope = torch.zeros(())
    for dim, step in enumerate(grid.spacing):
        slope = slope + torch.gradient(surface, spacing=step, dim=dim)[0] ** 2
    near = surface / slope.sqrt().clamp_min(0.2)
    deep = distance_inside_mm(surface > 0, grid.spacing)
    return torch.where((near < 4) | (deep < 3), near.clamp_max(6), deep)


def nipple_distance(grid: Grid, breast: Breast) -> Tensor:
    """Distance in mm from the nipple's axis (not from its tip), shape `(X, 1, Z)`."""
    x, _, z = grid.axes()
    return torch.sqrt((x - breast.nipple[0]) ** 2 + (z - breast.nipple[2]) ** 2)
