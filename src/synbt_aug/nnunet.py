"""The door to the nnU-Net trainer: `from synbt_aug.nnunet import nnUNetTrainerSynBT`.

Not built yet. Importing it says so, rather than offering a name that does nothing.
"""

from __future__ import annotations

raise ImportError(
    "The nnU-Net trainer comes with version 0.2 of synbt-aug. Until then use "
    "synbt_aug.SynBTInjector, which takes a batch (B, 2, D, H, W) and its labels from any loader."
)
