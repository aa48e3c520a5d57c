"""The parts of a tumor that its appearance is measured over, for a batch of shapes.

All of it follows from the shapes alone and is made once a batch. Means over all zones are one
matrix product. No number is read from a tensor, so that a GPU is not waited for; a row does not
depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.grid.mask import averaging_matrix, blend_weight, gaussian
from synbt_aug.signal.intensity import sorted_values
from synbt_aug.tumor.appearance import SHELL_MM

#: Order of the zones in `Zones.means`.
LABEL, SHELL, INTERIOR, PERIPHERY, CORE, OUTER, INNER = range(7)

#: The lift of a soft edge ends this deep, in mm; the level beneath is smoothed by `BENEATH_MM`.
LIFT_MM = 1.5
BENEATH_MM = 2.0

#: How deep the edge of a tumor is thinned by its surroundings before contrast, in mm.
THIN_MM = 1.8

#: Width of the soft edge of the gains of texture, in mm.
_EDGE_MM = 0.7

#: Voxels deeper than this, in mm, count as enclosed where what lies around them shows: a necrotic
#: core is part of its tumor.
_ENCLOSED_MM = 1.5

#: Fewer voxels make no shell, no interior, no core.
_FEWEST_IN_SHELL = 20
_FEWEST_IN_INTERIOR = 30
_FEWEST_IN_CORE = 20

#: A tumor whose deepest voxels lie less deep than this, in mm, has no core.
_SHALLOWEST_CORE_MM = 3.0


@dataclass(frozen=True)
class Zones:
    """B shapes; N is the number of voxels of a window.

    Args:
        shape: Of the windows.
        means: Weights of the voxels of each zone, which sum to 1, shape `(B, 7, N)`.
        weight: Of the blend, shape `(B, N)`.
        height: Depth over the deepest depth, 0 outside, shape `(B, N)`.
        rising: Share of the edge's lift, 1 on the surface, 0 from `LIFT_MM` on, `(B, N)`.
        thinned: Share of the edge's thinning before contrast, 1 on the surface, `(B, N)`.
        soft: Where the gains of texture act, shape `(B, N)`.
        inner: Voxels that the level beneath the edge is taken from, shape `(B, N)`.
        inner_share: The same, smoothed by `BENEATH_MM`, at least 1e-6, shape `(B, N)`.
        trust: Where that share is large enough to be divided by, in [0, 1], shape `(B, N)`.
        enclosed: Voxels deep enough to be enclosed by the rest, shape `(B, N)`.
        has_core: Whether there is a core to tell from a rim, boolean, shape `(B, 1)`.
        has_interior: Whether there are voxels enough to speak of skewness, `(B, 1)`.
        blur: The smoothing by which visibility is judged, a matrix an axis, `(B, n, n)` each,
            whose rows sum to 1.
    """

    shape: tuple[int, int, int]
    means: Tensor
    weight: Tensor
    height: Tensor
    rising: Tensor
    thinned: Tensor
    soft: Tensor
    inner: Tensor
    inner_share: Tensor
    trust: Tensor
    enclosed: Tensor
    has_core: Tensor
    has_interior: Tensor
    blur: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, distance: Tensor, depth: Tensor, known: Tensor, blur: Sequence[Tensor]) -> Zones:
        """Measure shapes.

        Args:
            distance: Signed distance to the label's smooth surface, in mm, `(B, d, h, w)`.
            depth: Depth of the label's voxels by the exact distance, negative outside, in mm.
            known: Tissue that counts as surroundings, boolean.
            blur: By `blur_matrices`, on the device of the shapes.
        """
        label = distance <= 0
        shell = (-depth >= SHELL_MM[0]) & (-depth <= SHELL_MM[1]) & known
        shell = _unless_few(shell, known & ~label, _FEWEST_IN_SHELL)
        shell = _unless_few(shell, ~label, 1)
        deepest, deep = _deepest(label, depth)
        interior = label & (depth >= 1)
        # The outermost millimetre is left out: partial volume dims it in every tumor.
        periphery = interior & (depth < 0.4 * deep)
        core = label & (depth >= 0.65 * deep)
        fewer = torch.minimum(_count(periphery), _count(core))
        inner = (depth >= deepest.clamp_max(LIFT_MM)).to(torch.float32)
        enclosed = label & (depth > _ENCLOSED_MM)
        interior_or_all = _unless_few(interior, label, _FEWEST_IN_INTERIOR)
        zones = (label, shell, interior_or_all, periphery, core, label & ~enclosed, inner > 0)
        d, h, w = label.shape[1:]
        inner_share = gaussian(inner, BENEATH_MM).flatten(1)
        return cls(
            (d, h, w),
            _shares(torch.stack(zones, 1)),
            blend_weight(distance).flatten(1),
            (depth / deepest.clamp_min(1)).clamp(0, 1).flatten(1),
            (1 - depth / LIFT_MM).clamp(0, 1).flatten(1),
            (-(depth.clamp_min(0) / THIN_MM).square()).exp().flatten(1),
            gaussian((depth >= 1).to(torch.float32), _EDGE_MM).flatten(1),
            inner.flatten(1),
            inner_share.clamp_min(1e-6),
            (inner_share / 1e-3).clamp(0, 1),
            enclosed.to(torch.float32).flatten(1),
            ((fewer >= _FEWEST_IN_CORE) & (deep.flatten() >= _SHALLOWEST_CORE_MM))[:, None],
            (_count(interior) >= _FEWEST_IN_INTERIOR)[:, None],
            (blur[0], blur[1], blur[2]),
        )

    def mean(self, zone: int, values: Tensor) -> Tensor:
        """Mean of values `(B, N)` over a zone, shape `(B, 1)`."""
        return torch.bmm(self.means[:, zone : zone + 1], values[..., None])[..., 0]

    def all_means(self, values: Tensor) -> Tensor:
        """Means of values `(B, N, K)` over all zones, shape `(B, 7, K)`."""
        return torch.bmm(self.means, values)

    def smoothed(self, values: Tensor) -> Tensor:
        """Values `(B, N)` as visibility is judged by: over about a millimetre."""
        return _blurred(values.unflatten(1, self.shape), self.blur).flatten(1)

    def beneath(self, values: Tensor) -> Tensor:
        """The level beneath the edge, carried outwards, shape `(B, N)`."""
        inside = (values * self.inner).unflatten(1, self.shape)
        near = gaussian(inside, BENEATH_MM).flatten(1) / self.inner_share
        return torch.lerp(self.mean(INNER, values), near, self.trust)


def blur_matrices(
    sigmas: Sequence[float], shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The smoothing by which visibility is judged, on the CPU: known where the sizes are drawn.

    Args:
        sigmas: Of each row, in mm.
        shape: Of the windows.

    Returns:
        A matrix an axis, `(B, n, n)` each.
    """
    d, h, w = (torch.stack([averaging_matrix(n, max(s, 0.05)) for s in sigmas]) for n in shape)
    return d, h, w


def _count(mask: Tensor) -> Tensor:
    return mask.flatten(1).sum(1)


def _shares(masks: Tensor) -> Tensor:
    """Weights that sum to 1, of masks of shape `(B, Z, d, h, w)`: `(B, Z, N)`."""
    rows = masks.flatten(2).to(torch.float32)
    return rows / rows.sum(-1, keepdim=True).clamp_min(1)


def _unless_few(mask: Tensor, other: Tensor, fewest: int) -> Tensor:
    return torch.where((_count(mask) < fewest)[:, None, None, None], other, mask)


def _deepest(label: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """The deepest depth, and its .98 quantile over the label, shape `(B, 1, 1, 1)` each."""
    inside = torch.where(label, depth, 0.0).flatten(1)
    # What is not of the label is 0 and sorts first.
    ranked = sorted_values(inside)
    rank = ranked.shape[1] - 1 - 0.02 * (_count(label) - 1).clamp_min(0)
    quantile = ranked.gather(1, rank.round().long()[:, None])
    return ranked[:, -1:, None, None], quantile[..., None, None]


def _blurred(volume: Tensor, matrices: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """As `mask.separable`, with matrices of each row's own, `(B, d, h, w)`."""
    along_d, along_h, along_w = matrices
    volume = volume @ along_w[:, None].transpose(-1, -2)
    volume = along_h[:, None] @ volume
    return (along_d @ volume.flatten(2)).unflatten(2, volume.shape[2:])
