"""A volume that something is painted into, with what is measured of it once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from synbt_aug.intensity import IntensityReference, measure_reference, to_linear
from synbt_aug.tumor.sites import SiteMap, find_sites
from synbt_aug.volume import BreastVolume, Synthesis


@dataclass(frozen=True)
class Host:
    """A volume and what is measured of it once.

    Args:
        volume: The scan.
        reference: Its intensity references.
    """

    volume: BreastVolume
    reference: IntensityReference
    _sites: list[SiteMap] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, volume: BreastVolume, reference: IntensityReference | None = None) -> Host:
        """Measure the references, unless they are given."""
        return cls(volume, reference or measure_reference(volume.image, volume.valid))

    @property
    def occupied(self) -> Tensor | None:
        """Existing tumors and forbidden places, boolean, shape `(D, H, W)`."""
        tumor, forbidden = self.volume.tumor, self.volume.forbidden
        if tumor is None or forbidden is None:
            return forbidden if tumor is None else tumor
        return tumor | forbidden

    @property
    def blocked(self) -> Tensor | None:
        """Voxels that must stay as they are: occupied ones and those without signal."""
        occupied, valid = self.occupied, self.volume.valid
        if occupied is None or valid is None:
            return occupied if valid is None else ~valid
        return occupied | ~valid

    @property
    def sites(self) -> SiteMap:
        """Where a tumor may go; found on first use."""
        if not self._sites:
            level = (to_linear(self.volume.image, self.reference) + 1) / 2
            v = self.volume
            self._sites.append(find_sites(level, v.spacing, self.occupied, v.valid))
        return self._sites[0]

    def after(self, painted: Synthesis) -> Host:
        """The host for the next tumor: painted, the new tumor taken."""
        tumor = self.volume.tumor
        taken = painted.support if tumor is None else tumor | painted.support
        return Host(replace(self.volume, image=painted.image, tumor=taken), self.reference)
