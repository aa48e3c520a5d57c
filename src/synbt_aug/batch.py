"""A batch as it comes to the injector: looked at once, its samples as volumes, and written back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.sample_plans import sample_volume
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.signal.subtraction import fit_channel, recomputed
from synbt_aug.support.device import sent
from synbt_aug.volume import BreastVolume, Spacing, check_type

_WHO = "SynBTInjector"


@dataclass(frozen=True)
class Batch:
    """What came, as for a call of the injector.

    Args:
        settings: With channels and label values.
        images: Shape `(B, C, D, H, W)`.
        labels: Shape `(B, 1, D, H, W)`.
        spacing: Voxel size, in mm.
        references: One a sample; None: not known.
        valid: Voxels that carry signal, boolean, shape `(B, D, H, W)`.
        roi: Where tumors may go, shape `(B, D, H, W)`.

    Raises:
        SynBTError: If shapes, types or channels do not fit.
    """

    settings: InjectionSettings
    images: Tensor
    labels: Tensor
    spacing: Spacing
    references: Sequence[IntensityReference | None] | None = None
    valid: Tensor | None = None
    roi: Tensor | None = None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        self._check_channels()
        check_type(images, _WHO)
        expected = (images.shape[0], 1, *images.shape[2:])
        if tuple(labels.shape) != expected:
            raise SynBTError(f"{_WHO} needs labels of shape {expected}, got {tuple(labels.shape)}.")
        check_label_type(labels, self.settings.tumor_label, _WHO)
        expected = (images.shape[0], *images.shape[2:])
        for name, mask in (("valid", self.valid), ("roi", self.roi)):
            if mask is not None and tuple(mask.shape) != expected:
                raise SynBTError(f"{name} needs shape {expected}, got {tuple(mask.shape)}.")
        if self.references is not None and len(self.references) != len(images):
            raise SynBTError(
                f"references needs one entry a sample, {len(images)}, got {len(self.references)}."
            )

    def _check_channels(self) -> None:
        s, shape = self.settings, tuple(self.images.shape)
        if len(shape) != 5 or shape[1] <= max(s.pre_channel, s.post_channel):
            raise SynBTError(
                f"{_WHO} needs images of shape (B, C, D, H, W) with channels {s.pre_channel} (pre) "
                f"and {s.post_channel} (post), got {shape}. Set pre_channel and post_channel."
            )
        if shape[1] <= max((*s.scans, *s.subtraction_channels)):
            raise SynBTError(
                f"{_WHO} needs all of post_channels {s.post_channels} and subtraction_channels "
                f"{s.subtraction_channels}, got images of shape {shape}."
            )

    def reference(self, k: int) -> IntensityReference | None:
        """Those of a sample; None where they are not known."""
        return None if self.references is None else self.references[k]

    def scans(self, k: int) -> Tensor:
        """Pre, the painted post and further phases of a sample, shape `(2 + P, D, H, W)`."""
        return torch.stack([self.images[k, c] for c in self.settings.scans])

    def as_it_is(self, k: int) -> Host:
        """A sample's host without a look at its values."""
        valid = self._seen(k)
        return Host.of(
            BreastVolume.unchecked(self.scans(k), self.spacing, valid), self.reference(k)
        )

    def volume(self, k: int) -> BreastVolume:
        """A sample as a volume.

        Raises:
            SynBTError: If its values are no signal.
        """
        valid, roi = (None if one is None else one[k] for one in (self.valid, self.roi))
        scans, label = self.scans(k), self.labels[k, 0]
        return sample_volume(self.settings, scans, label, self.spacing, valid=valid, roi=roi)

    def put(self, k: int, scans: Tensor, images: Tensor) -> None:
        """Write painted scans of a sample, and its subtractions anew.

        Args:
            k: Which.
            scans: As `scans` gives them, painted.
            images: A copy of the batch's.
        """
        s, before = self.settings, self.scans(k)
        if s.subtraction_channels:
            changed, seen = (scans != before).any(0), self._seen(k)
            for c in s.subtraction_channels:
                old = self.images[k, c]
                fit = fit_channel(old, before, sent(seen, old.device))
                images[k, c] = recomputed(old, fit, before, scans, changed)
        for c, scan in zip(s.scans, scans, strict=True):
            images[k, c] = scan

    def _seen(self, k: int) -> Tensor:
        """Voxels that carry signal, boolean, shape `(D, H, W)`."""
        seen = self.labels[k, 0] >= 0
        if self.valid is None:
            return seen
        return seen & sent(self.valid[k].to(torch.bool), seen.device)


def check_label_type(labels: Tensor, tumor_label: int, who: str) -> None:
    """See that labels can hold a tumor's value.

    Args:
        labels: Of any shape.
        tumor_label: What a tumor is to be.
        who: What the user called.

    Raises:
        SynBTError: If they cannot, or torch does not calculate with their type.
    """
    if labels.dtype != torch.bool:
        check_type(labels, who, "labels")
    if torch.tensor(tumor_label).to(labels.dtype).item() != tumor_label:
        raise SynBTError(
            f"{who} needs labels that can hold tumor_label={tumor_label}, got {labels.dtype}. "
            f"Convert them with labels.to(torch.int16), or set another tumor_label."
        )
