"""The door to the MONAI transform: `from synbt_aug.monai import SynBTTumord`.

Not built yet. Importing it says so, rather than offering a name that does nothing.
"""

from __future__ import annotations

raise ImportError(
    "The MONAI transform comes with version 0.2 of synbt-aug. Until then use "
    "synbt_aug.SynBTInjector, which takes a batch (B, 2, D, H, W) and its labels from any loader."
)
