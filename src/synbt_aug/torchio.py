"""The door to the TorchIO transform: `from synbt_aug.torchio import SynBTTumor`.

Not built yet. Importing it says so, rather than offering a name that does nothing.
"""

from __future__ import annotations

raise ImportError(
    "The TorchIO transform comes with version 0.2 of synbt-aug. Until then use "
    "synbt_aug.SynBTInjector, which takes a batch (B, 2, D, H, W) and its labels from any loader."
)
