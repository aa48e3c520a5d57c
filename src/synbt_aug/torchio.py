"""The door to the TorchIO transforms: `from synbt_aug.torchio import SynBTTumor`."""

from __future__ import annotations

from synbt_aug_torchio import INTENSITY_KEY, PaintTumor, RecordIntensity, SynBTTumor, reference_of

__all__ = ["INTENSITY_KEY", "PaintTumor", "RecordIntensity", "SynBTTumor", "reference_of"]
