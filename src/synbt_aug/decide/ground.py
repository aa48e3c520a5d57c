"""What deciding knows of a host: its grid, what is taken, and where something may go. No signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import blend_weight
from synbt_aug.grid.support import beside
from synbt_aug.grid.window import Shape, to_region
from synbt_aug.host import Host
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.volume import Spacing


@dataclass(frozen=True)
class Ground:
    """A host as deciding sees it; all tensors lie on the CPU.

    Args:
        shape: Voxels along D, H and W.
        spacing: Their size, in mm.
        find_sites: Where something may go, beside what is occupied; asked with whether breasts
            that hold a real tumor are left out.
        occupied: Existing tumors and other forbidden places, boolean, shape `shape`.
        valid: Voxels that carry signal, boolean; None means all.
        taken: What will be painted already, boolean; None: nothing.
        further: How many post-contrast scans there are besides the one that is painted first.
        earlier: How many of them were taken before it.
    """

    shape: Shape
    spacing: Spacing
    find_sites: Callable[[bool], SiteMap]
    occupied: Tensor | None = None
    valid: Tensor | None = None
    taken: Tensor | None = None
    further: int = 0
    earlier: int = 0

    @classmethod
    def of(cls, host: Host, segmenter: Segments | None = None) -> Ground:
        """Of a host.

        Args:
            host: Its sites are found when they are first asked for.
            segmenter: Finds the tissues; not needed for a given mask or where the host has a roi.
        """
        occupied, valid = host.occupied, host.volume.valid
        return cls(
            host.volume.shape,
            host.volume.spacing,
            lambda only_free_side: host.sites_by(segmenter, only_free_side),
            None if occupied is None else occupied.cpu(),
            None if valid is None else valid.cpu(),
            further=host.volume.further,
            earlier=host.volume.earlier,
        )

    def sites(self, only_free_side: bool = False) -> SiteMap:
        """Where something may go, away from what is there and from what will be.

        Args:
            only_free_side: Leave out breasts that hold a real tumor.
        """
        found = self.find_sites(only_free_side)
        return found if self.taken is None else found.without(self.taken)

    def blocked(self) -> Tensor | None:
        """Voxels that must stay as they are, boolean; None: none must."""
        blocked = None if self.valid is None else ~self.valid
        for more in (self.occupied, self.taken):
            if more is not None:
                blocked = more if blocked is None else blocked | more
        return blocked

    def holding(self, plan: Plan) -> Ground:
        """The same with what a plan will change taken."""
        taken = (
            torch.zeros(self.shape, dtype=torch.bool) if self.taken is None else self.taken.clone()
        )
        window = plan.recipe.window
        inside = window.inside_region(self.shape)
        taken[window.host_box(self.shape)] |= support_of(plan, self.shape)[inside]
        return replace(self, taken=taken)


def support_of(plan: Plan, shape: Shape) -> Tensor:
    """Voxels of the window's region that a plan may change, boolean, `window.region_shape`."""
    window = plan.recipe.window
    weight = blend_weight(to_region(plan.distance, window) - plan.shift_mm)
    free = plan.free_region(shape)
    return (weight > 0) & free & beside(((weight >= 0.5) & free)[None], window.spacing)[0]
