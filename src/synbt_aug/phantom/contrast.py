"""From tissue to signal: what a perfect scanner would show before and after contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.lesion import Growth
from synbt_aug.phantom.physics import ToftsModel, spoiled_gradient_echo
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness, blur, bounding_box, sample
from synbt_aug.phantom.tissue import Tissue, TissueTable, tissue_table
from synbt_aug.phantom.uptake import LesionUptake, draw_level

# Background enhancement minimal, mild, moderate, marked: Ktrans of gland and shares.
BACKGROUND_KTRANS = (0.0010, 0.0036, 0.0075, 0.018)
BACKGROUND_SHARE = (0.22, 0.38, 0.28, 0.12)
# Water between fat cells, of a fat voxel, and its uptake (Ktrans per min), both lognormal: median,
# sigma and range. Dark tissue around patients' tumors gains half of its signal early, an eighth of
# what the tumor gains; fat alone would gain nothing.
FAT_WATER, FAT_KTRANS = (0.06, 0.9, (0.008, 0.4)), (0.033, 0.8, (0.002, 0.15))
# How often fat suppression fails in a corner of the field.
CORNER_SHARE = 0.18

#: Softness of borders between the tissues behind the breast, SD in mm.
BORDER_MM = 0.8


@dataclass(frozen=True)
class Protocol:
    """The scan: field strength, echo and repetition times, fat suppression."""

    field_tesla: float
    fat_saturated: bool
    tr: float  # s
    te: float  # s
    flip_deg: float
    relaxivity: float  # L / mmol / s
    dose: float
    delay_s: float


def draw_protocol(settings: PhantomSettings, rnd: Randomness) -> Protocol:
    """Median TR/TE in ms of the cohorts: Duke 5.0/2.3, ISPY1 9.0/4.2, ISPY2 6.2/2.8."""
    drawn_field = 3.0 if rnd.chance(0.45) else 1.5
    drawn_saturation = rnd.chance(0.996)
    if rnd.chance(0.7):
        te, tr, flip = rnd.uniform(1.3, 2.8), rnd.uniform(3.8, 6.5), rnd.uniform(10, 14)
    else:
        te, tr, flip = rnd.uniform(3.2, 4.8), rnd.uniform(6.5, 9.0), rnd.uniform(12, 20)
    field = settings.field_tesla or drawn_field
    saturated = drawn_saturation if settings.fat_saturation is None else settings.fat_saturation
    return Protocol(
        field, saturated, tr / 1e3, te / 1e3, flip,
        4.2 if field > 2 else 4.6, rnd.uniform(0.8, 1.15), rnd.uniform(0, 10),
    )  # fmt: skip


class SignalModel:
    """Signal of one patient under one protocol, scan by scan.

    Everything random is drawn once, here, so that scans differ by contrast agent alone.
    Phase -1 is the scan before contrast, phase i the i-th after injection. Lesions draw from
    their own source, so that a patient looks the same with and without them.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        growths: tuple[Growth, ...],
        protocol: Protocol,
        times_s: tuple[float, ...],
        rnd: Randomness,
        lesion_rnd: Randomness,
    ):
        self._anatomy = anatomy
        self._protocol = protocol
        self._tofts = ToftsModel(times_s, protocol.dose, protocol.delay_s)
        self._table = _with_water_in_fat(_vary(tissue_table(protocol.field_tesla), rnd), rnd)
        self._water_t1 = self._table.t1.clone()
        self._water_t1[Tissue.FAT] = self._table.t1[Tissue.GLAND]
        base = anatomy.labels.clone()
        for painted_later in (Tissue.GLAND, Tissue.VESSEL, Tissue.SKIN):
            base[base == painted_later] = Tissue.FAT
        self._base = base.long()
        self._residual = _residual_fat(anatomy, protocol, rnd)
        table = self._table
        fat = spoiled_gradient_echo(
            1 / table.t1[Tissue.FAT], table.density[Tissue.FAT], table.t2_star[Tissue.FAT],
            tr=protocol.tr, te=protocol.te, flip_deg=protocol.flip_deg,
        )  # fmt: skip
        self._fat_signal = float(fat)
        self._fat_map = self._residual * (table.fat_fraction * self._fat_signal)[self._base]
        self._mottle = _fine_texture(anatomy, rnd)
        self._mottling = rnd.uniform(0.03, 0.14)
        ktrans = float(rnd.numbers.choice(BACKGROUND_KTRANS, p=BACKGROUND_SHARE))
        ktrans *= rnd.lognormal(1.0, 0.2)
        stipple = rnd.uniform(0.1, 0.45)
        self._gland_ktrans = [
            ktrans
            * torch.exp(0.35 * g.lobes + stipple * g.grain).clamp(0.25, 4)
            * (0.5 + 0.5 * g.lobule)
            for g in anatomy.glands
        ]
        level = draw_level(lesion_rnd)
        self._lesions = [LesionUptake(g, anatomy, ktrans, level, lesion_rnd) for g in growths]

    def healthy(self, phase: int) -> Tensor:
        """Noise-free signal without lesions, before coil, blur and motion."""
        anatomy, table = self._anatomy, self._table
        uptake = self._concentration(phase, table.ktrans, table.ve, table.vp)
        water = self._spgr(uptake, self._water_t1, table.density, table.t2_star)
        water = water * (1 - table.fat_fraction)
        water[Tissue.AIR] = 0
        # Tissues behind the breast are labels: their borders are softened like all others.
        soft = tuple(BORDER_MM / s for s in anatomy.torso.grid.spacing)
        image = blur(water[self._base] + self._fat_map, soft) * self._mottle  # type: ignore[arg-type]
        image += anatomy.skin_weight * (
            water[Tissue.SKIN] + 0.1 * self._fat_signal * self._residual - image
        )
        for gland, ktrans in zip(anatomy.glands, self._gland_ktrans):
            c = self._concentration(phase, ktrans, table.ve[Tissue.GLAND], table.vp[Tissue.GLAND])
            lit = self._tissue(Tissue.GLAND, c) * (1 + self._mottling * gland.grain)
            lit = 0.94 * lit + 0.06 * self._fat_signal * self._residual[gland.box]
            view = image[gland.box]
            view += gland.weight * (lit - view)
        image += anatomy.vessel_weight * (water[Tissue.VESSEL] - image)
        return image * anatomy.body_weight

    def with_lesions(self, image: Tensor, phase: int) -> Tensor:
        """Paint the lesions into `healthy(phase)`, in place."""
        table = self._table
        for lesion in self._lesions:
            c = self._concentration(phase, lesion.ktrans, lesion.ve, lesion.vp)
            t1 = table.t1[Tissue.TUMOR] * lesion.t1_factor
            lit = self._spgr(c, t1, table.density[Tissue.TUMOR], table.t2_star[Tissue.TUMOR])
            view = image[lesion.box]
            view += lesion.weight * (lit * lesion.mottle - view)
            if lesion.void is not None:
                view *= 1 - lesion.void
        return image

    def _concentration(self, phase: int, ktrans: Tensor, ve: Tensor, vp: Tensor) -> Tensor:
        if phase < 0:
            return torch.zeros_like(ktrans)
        return self._tofts.concentration(phase, ktrans, ve, vp)

    def _tissue(self, tissue: Tissue, concentration: Tensor) -> Tensor:
        t = self._table
        return self._spgr(concentration, t.t1[tissue], t.density[tissue], t.t2_star[tissue])

    def _spgr(self, c: Tensor, t1: Tensor, density: Tensor, t2_star: Tensor) -> Tensor:
        p = self._protocol
        rate = 1 / t1 + p.relaxivity * c
        return spoiled_gradient_echo(rate, density, t2_star, tr=p.tr, te=p.te, flip_deg=p.flip_deg)


def _vary(table: TissueTable, rnd: Randomness) -> TissueTable:
    """Spread T1, density and uptake wider than physics, the tumor's only moderately."""
    spread = torch.full((12,), 0.14)
    spread[Tissue.TUMOR] = 0.06

    def factor(scale: float) -> Tensor:
        return torch.exp(scale * spread * torch.randn(12, generator=rnd.fields))

    return TissueTable(
        table.t1 * factor(1.0), table.t2_star, table.density * factor(0.8),
        table.fat_fraction, table.ktrans * factor(2.5), table.ve, table.vp,
    )  # fmt: skip


def _with_water_in_fat(table: TissueTable, rnd: Randomness) -> TissueTable:
    """The vessels and the stroma that fat holds, which take up contrast where fat does not."""
    fat_fraction, ktrans, ve = table.fat_fraction.clone(), table.ktrans.clone(), table.ve.clone()
    fat_fraction[Tissue.FAT] = 1 - rnd.lognormal(*FAT_WATER)
    ktrans[Tissue.FAT] = rnd.lognormal(*FAT_KTRANS)
    ve[Tissue.FAT] = table.ve[Tissue.GLAND]
    return replace(table, fat_fraction=fat_fraction, ktrans=ktrans, ve=ve)


def _fine_texture(anatomy: Anatomy, rnd: Randomness) -> Tensor:
    """Factor on the signal: grain finer than any structure drawn elsewhere.

    In the fat of one real 1.5 T case, signal minus its 1.5 mm blur had an SD of 23 % of the
    signal (noise alone: 8 %), with a correlation at 1 mm of 0.5 from front to back and 0.3
    across. Patients beside phantoms at 1 mm, noise included, wanted less: here 2-20 % in the
    breast, and little behind it; strands and sheets are drawn by the gland.
    """
    grid = anatomy.torso.grid
    texture = 1 + 0.04 * grid.smooth_noise(3, generator=rnd.fields)
    strength = min(max(rnd.lognormal(0.052, 0.45), 0.018), 0.14)
    box = bounding_box(anatomy.breast)
    if box is not None:
        inner = grid.crop(box)
        coarse = inner.smooth_noise((5, 8, 5), generator=rnd.fields, octaves=2, persistence=1.0)
        white = torch.randn(inner.shape, generator=rnd.fields)
        sx, sy, sz = grid.spacing
        streaks = blur(white, (0.5 / sx, 1.3 / sy, 0.5 / sz))
        fibres = 0.45 * coarse + 0.6 * streaks / float(streaks.numpy().std(dtype=np.float64))
        where = 0.3 + 0.7 * anatomy.breast[box]
        texture[box] += strength * fibres.clamp(-2.5, 3) * where
    _stripe_muscle(texture, anatomy, rnd)
    return texture


def _stripe_muscle(texture: Tensor, anatomy: Anatomy, rnd: Randomness) -> None:
    """Fibres that run outwards and upwards along the chest, with fat between bundles."""
    muscle = (anatomy.labels == Tissue.MUSCLE) & (anatomy.torso.chest_depth > 0)
    box = bounding_box(muscle)
    slope, strength = rnd.uniform(-0.5, 0.5), rnd.uniform(0.03, 0.11)
    coarse = torch.randn(2, 12, 60, 26, generator=rnd.fields)
    if box is None:
        return
    where = muscle[box]
    grid = anatomy.torso.grid.crop(box)
    x, z = (c.expand(where.shape)[where] for c in grid.axes()[::2])
    # Bundles wind through the layer; lines that keep to its border look like a ribbon.
    winding = 1.2 * grid.smooth_noise(30, generator=rnd.fields)[where]
    depth = anatomy.torso.chest_depth[box][where] + winding
    # A knot each 20 mm along the fibres, 2.2 mm in depth and 8 mm across.
    thin, thick = 1.8 * sample(coarse, (x + slope * z) / 120, depth / 64 - 1, (z - slope * x) / 100)
    bundles = 1 + strength * (thin + 0.6 * thick - 0.5 * thin.clamp_min(0.8))
    texture[box][where] *= bundles.clamp(0.3, 1.8)


def _residual_fat(anatomy: Anatomy, protocol: Protocol, rnd: Randomness) -> Tensor:
    """Fraction of fat signal left after saturation; patches where the shim failed."""
    grid = anatomy.torso.grid
    level = rnd.lognormal(0.017, 1.1, (0.003, 0.15))
    drift = grid.smooth_noise(64, generator=rnd.fields)
    failed = grid.smooth_noise(75, generator=rnd.fields)
    if not protocol.fat_saturated:
        return torch.ones(grid.shape)
    patches = 0.25 * torch.sigmoid((failed - 2.6) * 3)
    if rnd.chance(CORNER_SHARE):
        patches = patches + _bright_corner(anatomy, rnd)
    return (level * (1 + 0.15 * drift) + patches).clamp(0.004, 1.0)


def _bright_corner(anatomy: Anatomy, rnd: Randomness) -> Tensor:
    """Fat that stays bright between the breasts or under one, where the field is uneven."""
    torso = anatomy.torso
    x, y, z = torso.grid.axes()
    middle = (rnd.uniform(-15, 15), torso.chest_y + rnd.uniform(-10, 15))
    end = rnd.uniform(0.2, 0.6) * torso.grid.extent_mm[2] * (1 if rnd.chance(0.3) else -1)
    away = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (0.7 * (z - end)) ** 2
    return rnd.uniform(0.04, 0.18) * torch.exp(-away / (2 * rnd.uniform(15, 32) ** 2))
