"""What finds tissues, whatever it is: the network, or known tissues in a test."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from synbt_aug.tissue.tissue_map import TissueMap
from synbt_aug.volume import Spacing


class Segments(Protocol):
    """Anything that finds the tissues of a scan."""

    def __call__(self, pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
        """Find them.

        Args:
            pre: Pre-contrast signal in any scale and dtype, shape `(D, H, W)`.
            spacing: Voxel size, in mm.
            valid: Voxels that carry signal, boolean, same shape; None means all.
        """
        ...
