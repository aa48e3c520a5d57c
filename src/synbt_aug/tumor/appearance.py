"""What a tumor looks like, in five numbers that one function measures on any image.

A phantom, a real case and a user's wish speak the same language: signal is in units of the
case's reference range, measured before the knee.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm, signed_distance_mm
from synbt_aug.support.number import check_number
from synbt_aug.volume import Spacing

#: What kinds of lesion the networks tell apart.
CATEGORIES = ("mass", "rim", "non-mass")

#: Order in which the network takes the appearance; part of the contract.
APPEARANCE_INPUTS = (
    "log(1 + enhancement)",
    "heterogeneity",
    "log(rim)",
    "pre_contrast",
    *CATEGORIES,
)

#: Mean and SD of the four numbers over phantom tumors, by which the network's input is scaled.
CENTRE = (0.75, 0.15, 0.10, 0.35)
SPREAD = (0.35, 0.10, 0.30, 0.25)

#: A tumor whose outer part is brighter than its core by this factor is a rim.
RIM_RATIO = 1.35

#: A ball's mean depth is a quarter of its radius; a mask with less than this share of that is
#: too ragged for a mass.
_MASS_COMPACTNESS = 0.45

#: The numbers that a tumor can have, by attribute.
LIMITS = {
    "enhancement": (-0.9, 20.0),
    "heterogeneity": (0.0, 3.0),
    "rim": (0.05, 20.0),
    "pre_contrast": (-5.0, 20.0),
}
LIMITS_ADVICE = "`synbt bank show` lists what the bank's tumors have."

#: The ring of tissue that a tumor's contrast is measured against, in mm from its surface.
SHELL_MM = (2.0, 6.0)


@dataclass(frozen=True)
class Appearance:
    """A tumor's appearance. None: not asked for, or not measurable.

    Args:
        enhancement: Mean of the tumor less that of the shell 2-6 mm around it, in post, over
            the case's reference range.
        heterogeneity: Coefficient of variation of the post signal inside, above `low`.
        rim: Post signal of the periphery over that of the core, above `low`; above 1 for a
            rim-enhancing tumor.
        pre_contrast: As `enhancement`, in pre.
        category: "mass", "rim" or "non-mass".

    Raises:
        SynBTError: If the category is unknown or a number is not one that a tumor can have.
    """

    enhancement: float | None = None
    heterogeneity: float | None = None
    rim: float | None = None
    pre_contrast: float | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        check_category(self.category)
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                check_number(name, value, least, most, advice=LIMITS_ADVICE)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Appearance:
        """Read what `to_dict` wrote."""
        return cls(**values)

    def updated(self, wish: Appearance) -> Appearance:
        """This appearance, with whatever `wish` asks for in place of its own."""
        asked = {k: v for k, v in wish.to_dict().items() if v is not None}
        return replace(self, **asked)

    def to_model(self) -> tuple[Tensor, Tensor]:
        """The network's input: values and which of them are known, shape `(7,)` each."""
        numbers = (
            None if self.enhancement is None else math.log1p(self.enhancement),
            self.heterogeneity,
            None if self.rim is None else math.log(self.rim),
            self.pre_contrast,
        )
        values = [
            0.0 if n is None else min(max((n - c) / s, -4.0), 4.0)
            for n, c, s in zip(numbers, CENTRE, SPREAD, strict=True)
        ]
        known = [float(n is not None) for n in numbers]
        values += [float(self.category == name) for name in CATEGORIES]
        known += [float(self.category is not None)] * len(CATEGORIES)
        return torch.tensor(values), torch.tensor(known)


def check_category(name: str | None) -> None:
    """See that a category, if one is named, is one that the networks tell apart.

    Raises:
        SynBTError: If it is not.
    """
    if name is not None and name not in CATEGORIES:
        raise SynBTError(f"category needs one of {', '.join(map(repr, CATEGORIES))}, got {name!r}.")


def measure_appearance(
    linear: Tensor,
    mask: Tensor,
    spacing: Spacing = (1.0, 1.0, 1.0),
    around: Tensor | None = None,
) -> Appearance:
    """Measure a tumor.

    Args:
        linear: Signal as `intensity.to_linear` gives it, before the knee, shape
            `(2, D, H, W)`.
        mask: The tumor, boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.
        around: Tissue that counts as surroundings (body, no other tumor), boolean, shape
            `(D, H, W)`. None: all.

    Returns:
        All five attributes. A tumor too thin for a core has rim 1.

    Raises:
        SynBTError: If the mask is empty.
    """
    return _measure(linear, mask, spacing, around)[0]


def measure_with_surroundings(
    linear: Tensor, mask: Tensor, around: Tensor | None = None
) -> tuple[Appearance, tuple[float, float]]:
    """A tumor at 1 mm as `measure_appearance` measures it, and what it was measured against.

    Returns:
        The appearance; and the level of the shell, pre and post, above `low` over the range.
    """
    appearance, surroundings = _measure(linear, mask, (1.0, 1.0, 1.0), around)
    pre, post = surroundings.tolist()
    return appearance, (pre, post)


def _measure(
    linear: Tensor, mask: Tensor, spacing: Spacing, around: Tensor | None
) -> tuple[Appearance, Tensor]:
    voxels = int(mask.sum())
    if voxels == 0:
        raise SynBTError("measure_appearance needs a tumor, got an empty mask.")
    radius_mm = equivalent_diameter_mm(voxels, spacing) / 2
    signal = (linear.to(torch.float32) + 1) / 2
    distance = signed_distance_mm(mask, spacing, max(radius_mm, SHELL_MM[1]) + max(spacing))
    shell = (distance >= SHELL_MM[0]) & (distance <= SHELL_MM[1])
    if around is not None:
        shell &= around
    if int(shell.sum()) < 20:
        shell = ~mask if around is None else around & ~mask
    surroundings = signal[:, shell].mean(1) if bool(shell.any()) else signal.flatten(1).median(1)[0]
    inside = signal[:, mask]
    contrast = (inside.mean(1) - surroundings).tolist()

    depth = -distance[mask]
    post = inside[1]
    spread = variation(post, depth)
    rim = rim_ratio(post, depth)
    compactness = float(depth.mean()) / (radius_mm / 4)
    if radius_mm >= 4 and compactness < _MASS_COMPACTNESS:
        category = "non-mass"
    else:
        category = "rim" if rim > RIM_RATIO else "mass"
    appearance = Appearance(
        enhancement=min(max(contrast[1], -0.9), 20.0),
        heterogeneity=min(spread, 3.0),
        rim=rim,
        pre_contrast=min(max(contrast[0], -5.0), 20.0),
        category=category,
    )
    return appearance, surroundings


def variation(post: Tensor, depth: Tensor) -> float:
    """Coefficient of variation of a tumor's signal.

    Args:
        post: Post signal above `low` of its voxels, shape `(N,)`.
        depth: Their depth, in mm, shape `(N,)`; the outermost millimetre does not count.
    """
    interior = depth >= 1.0
    voxels = post[interior] if int(interior.sum()) >= 30 else post
    return float(voxels.std(unbiased=False) / voxels.mean().clamp_min(0.05))


def has_core(depth: Tensor) -> bool:
    """Whether a tumor, by the depth of its voxels in mm, has a core to tell from a rim."""
    return _zones(depth) is not None


def rim_ratio(post: Tensor, depth: Tensor) -> float:
    """Periphery over core; 1 without a core.

    Args:
        post: Post signal above `low` of a tumor's voxels, shape `(N,)`.
        depth: Their depth, in mm, shape `(N,)`.
    """
    zones = _zones(depth)
    if zones is None:
        return 1.0
    periphery, core = (post[zone].mean().clamp_min(0.05) for zone in zones)
    return min(max(float(periphery / core), 0.05), 20.0)


def _zones(depth: Tensor) -> tuple[Tensor, Tensor] | None:
    """Voxels of periphery and core; None where there are too few of either."""
    deepest = float(depth.quantile(0.98)) if len(depth) < 2**24 else float(depth.max())
    # The outermost millimetre is left out: partial volume dims it in every tumor.
    periphery, core = (depth >= 1.0) & (depth < 0.4 * deepest), depth >= 0.65 * deepest
    if deepest < 3 or min(int(periphery.sum()), int(core.sum())) < 20:
        return None
    return periphery, core
