"""A small 3D U-Net for five tissues; keys of our own, nothing that a library may rename."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synbt_aug.networks.plain_settings import check_widths, from_plain
from synbt_aug.support.number import check_number
from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.slabs import SLAB, block_in_slabs, joined
from synbt_aug.tissue.tissue_map import WORKING_MM


@dataclass(frozen=True)
class NetworkSettings:
    """The shape of the network (ours: the paper says only "SynthSeg").

    Args:
        channels: Width a level, the first at `grid_mm`. Level 0 holds 7/8 of the voxels and
            decides the time: there one convolution a block in place of two saves a quarter.
        grid_mm: Side of the voxels that it works on, in mm.

    Raises:
        SynBTError: If no such network can be made.
    """

    channels: tuple[int, ...] = (8, 16, 32, 64, 96)
    grid_mm: float = WORKING_MM

    def __post_init__(self) -> None:
        check_widths("channels", self.channels, levels=(2, 7))
        check_number("grid_mm", self.grid_mm, 0.5, 10)

    @property
    def divisor(self) -> int:
        """What the sides of the input must divide by."""
        return int(2 ** (len(self.channels) - 1))

    @property
    def min_side(self) -> int:
        """The smallest side: instance normalisation needs two voxels at the lowest level."""
        return 2 * self.divisor

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Any) -> NetworkSettings:
        """The inverse of `to_dict`."""
        return from_plain(cls, values)


#: Sides of the means of the signal that the last layer sees, in voxels.
SMOOTHINGS = (1, 3)


#: Voxels up to which a volume is taken as a whole; a bilateral scan at its native size has more.
_WHOLE_VOXELS = 1_500_000


class _Block(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU; as often as asked."""

    def __init__(self, before: int, after: int, stride: int = 1, times: int = 2) -> None:
        layers: list[nn.Module] = []
        for k in range(times):
            first, step = (before, stride) if k == 0 else (after, 1)
            layers += [
                nn.Conv3d(first, after, 3, step, padding=1, bias=False),
                nn.InstanceNorm3d(after, affine=True),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        super().__init__(*layers)


class TissueNetwork(nn.Module):
    """U-Net of strided convolutions, 1.1 M parameters at the defaults.

    The last layer is linear in the signal, with slopes that the features give (ours): which side
    of which threshold is gland depends on the contrast around, and a product says that in one
    layer. Rectified sums of 8 channels drew the gland as a ball instead.

    Args:
        settings: Shape of the network.

    Source:
        Isensee et al., "nnU-Net", Nature Methods 18, 2021 (architecture).
    """

    def __init__(self, settings: NetworkSettings = NetworkSettings()) -> None:
        super().__init__()
        self.settings = settings
        widths = settings.channels
        pairs = list(itertools.pairwise(widths))
        self.first = _Block(1, widths[0], times=1)
        self.down = nn.ModuleList(_Block(a, b, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(b, a, 2, stride=2, bias=False) for a, b in reversed(pairs)
        )
        self.merge = nn.ModuleList(
            _Block(2 * a, a, times=1 if level == 0 else 2)
            for level, (a, _) in reversed(list(enumerate(pairs)))
        )
        self.last = nn.Conv3d(widths[0], len(TissueLabel), 1)
        self.slope = nn.Conv3d(widths[0], len(SMOOTHINGS) * len(TissueLabel), 1)
        nn.init.zeros_(self.slope.weight)
        nn.init.zeros_(self.slope.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the five tissues.

        Args:
            x: By `segmenter.normalise`, shape `(B, 1, d, h, w)`.

        Returns:
            Shape `(B, 5, d, h, w)`.

        Raises:
            ValueError: If a side is too short or does not divide.
        """
        s = self.settings
        if x.ndim != 5 or any(n % s.divisor or n < s.min_side for n in x.shape[2:]):
            raise ValueError(
                f"TissueNetwork needs (B, 1, d, h, w) with sides divisible by {s.divisor} and "
                f"{s.min_side} at least, got {tuple(x.shape)}. TissueSegmenter pads."
            )
        in_slabs = not torch.is_grad_enabled() and x.numel() > _WHOLE_VOXELS
        depth = x.shape[2]
        levels = [
            block_in_slabs(self.first, depth, lambda near: x[:, :, near])
            if in_slabs
            else self.first(x)
        ]
        for down in self.down:
            levels.append(down(levels[-1]))
        y = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            if in_slabs and len(levels) == 1:
                y = block_in_slabs(merge, depth, partial(joined, up, y, levels.pop()))
            else:
                y = merge(torch.cat([up(y), levels.pop()], dim=1))
        means = [x if w == 1 else F.avg_pool3d(x, w, 1, w // 2) for w in SMOOTHINGS]
        if not in_slabs:
            return self._logits(y, means)
        logits = x.new_empty(x.shape[0], len(TissueLabel), *x.shape[2:])
        for start in range(0, depth, SLAB):
            planes = slice(start, start + SLAB)
            near_means = [mean[:, :, planes] for mean in means]
            logits[:, :, planes] = self._logits(y[:, :, planes], near_means)
        return logits

    def _logits(self, y: Tensor, means: list[Tensor]) -> Tensor:
        """Logits of features `(B, C, d, h, w)` and means of the signal `(B, 1, d, h, w)`."""
        logits: Tensor = self.last(y)
        for mean, slope in zip(means, self.slope(y).chunk(len(means), dim=1), strict=True):
            logits = logits + slope * mean
        return logits
