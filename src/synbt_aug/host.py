"""A volume that something is painted into, with what is measured of it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import (
    IntensityReference,
    extended_reference,
    measure_reference,
    to_linear,
)
from synbt_aug.tissue.segments import Segments
from synbt_aug.tissue.sites import SiteMap, find_sites, sites_of_roi
from synbt_aug.tissue.tissue_map import TissueMap, to_grid
from synbt_aug.volume import BreastVolume


@dataclass(frozen=True)
class Host:
    """A volume and what is measured of it once.

    Args:
        volume: The scan.
        reference: Its intensity references.
        real_tumor: Tumors that no one painted, boolean, shape `(D, H, W)`; None: none are.
    """

    volume: BreastVolume
    reference: IntensityReference
    real_tumor: Tensor | None = None
    _tissue: dict[Segments, TissueMap] = field(default_factory=dict, repr=False, compare=False)
    _sites: dict[tuple[Segments | None, bool], SiteMap] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, volume: BreastVolume, reference: IntensityReference | None = None) -> Host:
        """Measure the references, unless they are given; its tumors are real.

        Raises:
            SynBTError: If references cannot be measured, or those given are of more channels.
        """
        image = volume.image
        if reference is None:
            known = measure_reference(image, volume.valid)
        else:
            known = extended_reference(reference, image, volume.valid)
        if known.channels != image.shape[0]:
            raise SynBTError(
                f"The intensity references are of {known.channels} channels, the volume has "
                f"{image.shape[0]}. Pass the whole series, or reference.pair for pre and post."
            )
        return cls(volume, known, volume.tumor)

    @property
    def occupied(self) -> Tensor | None:
        """Existing tumors and forbidden places, boolean, shape `(D, H, W)`."""
        tumor, forbidden = self.volume.tumor, self.volume.forbidden
        if tumor is None or forbidden is None:
            return forbidden if tumor is None else tumor
        return tumor | forbidden

    @cached_property
    def floor(self) -> Tensor:
        """Smallest value of each channel's valid voxels, shape `(C, 1, 1, 1)`, in the image's type.

        Nothing is painted below it, removals included: a scan of magnitudes, or one that was
        cut off at zero, holds no value there.
        """
        image, valid = self.volume.image, self.volume.valid
        known = image if valid is None else torch.where(valid, image, image.amax())
        return known.amin((1, 2, 3), keepdim=True)

    def sites_by(self, segmenter: Segments | None, only_free_side: bool = False) -> SiteMap:
        """Where a tumor may go; found on first use.

        Args:
            segmenter: Finds the tissues. It is not called where the volume has a roi, which then
                decides alone.
            only_free_side: Leave out breasts that hold a real tumor.

        Raises:
            SynBTError: If there is neither a segmenter nor a roi.
        """
        key = (segmenter, only_free_side)
        if key not in self._sites:
            self._sites[key] = self._find(segmenter, only_free_side)
        return self._sites[key]

    def _find(self, segmenter: Segments | None, only_free_side: bool) -> SiteMap:
        v = self.volume
        real = self.real_tumor if only_free_side else None
        if v.roi is not None:
            return sites_of_roi(v.roi, v.spacing, self.occupied, v.valid, real)
        if segmenter is None:
            raise SynBTError(
                "To find a place for a tumor, the tissues or a roi must be known. Pass a "
                "segmenter, or BreastVolume(..., roi=mask)."
            )
        if segmenter not in self._tissue:
            self._tissue[segmenter] = segmenter(v.image[0], v.spacing, v.valid)
        level = (to_linear(to_grid(v.image[:2], v.spacing), self.reference.pair) + 1) / 2
        return find_sites(self._tissue[segmenter], level, self.occupied, v.valid, real)

    def cropped(self, volume: BreastVolume) -> Host:
        """A part of this host, with the references and the floor of the whole.

        Args:
            volume: The part.
        """
        part = Host(volume, self.reference, volume.tumor)
        part.__dict__["floor"] = self.floor
        return part

    def holding(self, image: Tensor) -> Host:
        """The same host with an image in which something was painted."""
        later = Host(self.volume.with_image(image), self.reference, self.real_tumor, self._tissue)
        # Nothing is painted below it.
        later.__dict__["floor"] = self.floor
        return later
