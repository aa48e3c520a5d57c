"""The door to the TorchIO transforms: `from synbt_aug.torchio import SynBTTumor`."""

from __future__ import annotations

from synbt_aug_torchio import *  # noqa: F403
from synbt_aug_torchio import __all__ as __all__
