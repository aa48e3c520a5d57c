"""The door to the MONAI transforms: `from synbt_aug.monai import SynBTTumord`."""

from __future__ import annotations

from synbt_aug_monai import *  # noqa: F403
from synbt_aug_monai import __all__ as __all__
