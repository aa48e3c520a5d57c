"""A healthy patient: torso, chest, gland, vessels, nodes and skin on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.phantom.chest import label_chest
from synbt_aug.phantom.chest_vessels import grow_chest_vessels
from synbt_aug.phantom.gland import GLAND_FRACTION, Gland, grow_glands
from synbt_aug.phantom.nodes import grow_nodes
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import DENSITY_SHARE, Torso, build_torso, nipple_distance
from synbt_aug.phantom.vessels import grow_vessels

# How often the first and last slices hold noise alone.
EMPTY_ENDS_SHARE = 0.15

# How much of its own signal the skin of a patient shows, on average.
SKIN_SHOWN = (0.5, 1.25)

# Thickness of a patient's skin away from the nipple, and how softly it ends below.
SKIN_MM, SKIN_SOFT_MM = (1.0, 2.4), 0.45


@dataclass(frozen=True)
class Anatomy:
    """Labels and partial volumes of a healthy patient.

    `labels` (int8) says which tissue fills most of a voxel; the weights (0..1) say how much
    of it skin and vessels (with lymph nodes) fill. All have the shape of the grid; `fascia` is
    `(X, 1, Z)`.
    """

    torso: Torso
    density: str
    labels: Tensor
    fascia: Tensor
    glands: tuple[Gland, ...]
    gland_fraction: float
    vessel_weight: Tensor
    skin_weight: Tensor
    body_weight: Tensor
    breast: Tensor

    def gland_weight(self) -> Tensor:
        """Partial volume of gland over the whole grid."""
        weight = torch.zeros(self.torso.grid.shape)
        for gland in self.glands:
            view = weight[gland.box]
            torch.maximum(view, gland.weight, out=view)
        return weight


def build_anatomy(settings: PhantomSettings, rnd: Randomness) -> Anatomy:
    """Draw a patient without tumors."""
    density = settings.density
    drawn = str(rnd.numbers.choice(list(DENSITY_SHARE), p=list(DENSITY_SHARE.values())))
    density = density or drawn
    torso = build_torso(settings, density, rnd)
    labels, fascia = label_chest(torso, rnd)
    fraction = rnd.uniform(*GLAND_FRACTION[density])
    glands = grow_glands(torso, labels, fascia, fraction, rnd)
    nodes = grow_nodes(torso, labels, fascia, rnd)
    chest_vessels = grow_chest_vessels(torso, fascia, rnd)
    vessel_weight = torch.maximum(grow_vessels(torso, labels, chest_vessels, rnd), 0.7 * nodes)
    skin_weight = _add_skin(torso, labels, rnd)
    voxel = min(torso.grid.spacing)
    body_weight = (torso.skin_depth / voxel + 0.5).clamp(0, 1)
    breast = torso.body & (torso.radial < 1) & (torso.chest_depth < fascia)
    if rnd.chance(EMPTY_ENDS_SHARE):
        seen = _without_ends(torso, rnd)
        labels[~seen.expand(labels.shape)] = Tissue.AIR
        breast = breast & seen
        body_weight = body_weight * seen
    return Anatomy(
        torso, density, labels, fascia, glands, fraction,
        vessel_weight, skin_weight, body_weight, breast,
    )  # fmt: skip


def _without_ends(torso: Torso, rnd: Randomness) -> Tensor:
    """Slices that hold signal, bool, `(1, 1, Z)`: the excited slab ends inside the field."""
    _, _, z = torso.grid.axes()
    reach = 0.5 * torso.grid.extent_mm[2]
    low, high = (reach - rnd.uniform(0, 0.12) * 2 * reach for _ in range(2))
    return (z > -low) & (z < high)


def _add_skin(torso: Torso, labels: Tensor, rnd: Randomness) -> Tensor:
    """Skin, areola and nipple; returns the partial volume of skin."""
    _, y, _ = torso.grid.axes()
    depth = torso.skin_depth
    uneven = 0.3 * torso.grid.smooth_noise(22, generator=rnd.fields)
    uneven = uneven + 0.25 * torso.grid.smooth_noise(8, generator=rnd.fields)
    thickness = rnd.uniform(*SKIN_MM) * torch.exp(uneven).clamp(0.5, 2.0)
    for breast in torso.breasts:
        # Thicker towards the areola.
        near = torch.exp(-((nipple_distance(torso.grid, breast) / rnd.uniform(9, 18)) ** 2))
        thickness = thickness + rnd.uniform(0.1, 0.9) * near * (y < breast.nipple[1] + 30)
    # A voxel counts as skin while its centre lies less than half a voxel too deep.
    reach = thickness + 0.25 * min(torso.grid.spacing)
    labels[torso.body & (depth < reach)] = Tissue.SKIN
    for breast in torso.breasts:
        from_axis = nipple_distance(torso.grid, breast)
        front = breast.nipple[1]
        areola = (from_axis < rnd.uniform(6, 12)) & (y < front + 22) & (depth < reach + 0.3)
        nipple = (from_axis < rnd.uniform(3.5, 5.5)) & (y < front + rnd.uniform(2, 5))
        labels[torso.body & (areola | nipple)] = Tissue.NIPPLE
    # Skin that lies on the coil, or is cut by slices aslant, hardly shows.
    shown = rnd.uniform(*SKIN_SHOWN) * torch.exp(
        0.45 * torso.grid.smooth_noise(16, generator=rnd.fields)
        + 0.3 * torso.grid.smooth_noise(7, generator=rnd.fields)
    )
    return torch.sigmoid((thickness - depth) / SKIN_SOFT_MM) * torso.body * shown.clamp(0.1, 1)
